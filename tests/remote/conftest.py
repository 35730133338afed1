"""A real OpenAI-compatible server (llama-cpp-python's own), and one that answers as a test says."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chatapp.engine.client import EngineClient
from chatapp.paths import BUILTIN_MODEL, find_paths
from chatapp.remotes import make_remote, read_remotes, save_remotes

Name = Callable[..., None]


class Server:
    """`python -m llama_cpp.server` as a child process."""

    def __init__(self, model: Path, *arguments: str, port: int = 0) -> None:
        self.port = port or _unused_port()
        self._command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model)]
        self._command += ["--port", str(self.port), "--n_threads", "2", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self._process.poll() is None, "the server did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """As by `kill -9`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The built-in model behind HTTP."""
    made = Server(BUILTIN_MODEL, "--n_ctx", "1024", "--flash_attn", "true")
    yield made
    made.kill()


class Script:
    """What the scripted server answers, and what it was asked."""

    def __init__(self) -> None:
        self.models: bytes = b'{"data": [{"id": "m"}]}'
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.hung_up = threading.Event()
        self.url = ""


@pytest.fixture
def script() -> Iterator[Script]:
    """A server that answers as `Script` says."""
    made = Script()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            made.requests.append((self.path, dict(self.headers), b""))
            if not made.models:
                made.answers.pop(0)(self)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(made.models)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append((self.path, dict(self.headers), body))
            try:
                made.answers.pop(0)(self)
            except ConnectionError:
                made.hung_up.set()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def name() -> Name:
    """Name a server, as `models add-remote` does."""

    def add(word: str, url: str, **more: Any) -> None:
        paths = find_paths()
        save_remotes(read_remotes(paths) | {word: make_remote(word, url, **more)}, paths)

    return add


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[EngineClient]:
    """A real engine process."""
    made = EngineClient(log_path=tmp_path / "engine.log")
    yield made
    await made.stop()


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
