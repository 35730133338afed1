"""A SOCKS 5 proxy on loopback (RFC 1928, no authentication) that connects everybody to one port."""

import socket
import threading
from typing import Self


class SocksProxy:
    """Asked for any host, it leads to `port` of this machine, and remembers who was asked for."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as said:
            _, n_methods = said.read(2)
            said.read(n_methods)
            client.sendall(b"\x05\x00")
            kind = said.read(4)[3]
            host = said.read(said.read(1)[0] if kind == 3 else 4 if kind == 1 else 16)
            self.asked.append(host.decode() if kind == 3 else host.hex())
            said.read(2)
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Bytes until either side ends; then the other side hears of it."""
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
