"""A package index on loopback (PEP 503), with wheels that a test makes, and ways to fail at it."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from chatapp.library.package_index import Wheel
from chatapp.library.packages import SMOLLM2, PackagedModel

PIECE = 1 << 16


def write_wheel(
    model: PackagedModel, data: bytes, *, member: str = "", stored: bool = False
) -> bytes:
    """A wheel of `model`'s project with `data` as its model file."""
    project, version = model.wheel.project.replace("-", "_"), model.wheel.version
    info = f"{project}-{version}.dist-info"
    files = {
        member or model.member: data,
        f"{project}/__init__.py": b"raise SystemExit('a package was run')\n",
        f"{info}/LICENSE": b"Apache License, Version 2.0",
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: {model.wheel.project}\nVersion: {version}\n"
            "Requires-Dist: a-package-that-nobody-has==1\n"
        ).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]).encode()
    buffer = io.BytesIO()
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def describe(data: bytes, wheel: bytes) -> PackagedModel:
    """SmolLM2's package, as if `data` were its model file and `wheel` its wheel."""
    return replace(
        SMOLLM2,
        wheel=Wheel(SMOLLM2.wheel.project, SMOLLM2.wheel.version, len(wheel)),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


class PackageIndex:
    """The index. A context manager; `url` is for PIP_INDEX_URL."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status = 200
        self.bytes_per_s = 0.0
        self.requests: list[str] = []
        self.on_sent: Callable[[int], None] = lambda _total: None
        bound = type("Bound", (_Handler,), {"index": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
        self._server.daemon_threads = True

    def add(self, model: PackagedModel, wheel: bytes) -> None:
        """Offer `wheel` as the wheel of `model`."""
        project = model.wheel.project.replace("-", "_")
        self.files[f"{project}-{model.wheel.version}-py3-none-any.whl"] = wheel

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    @property
    def environment(self) -> dict[str, str]:
        """What makes pip and uv ask here and nowhere else."""
        return {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_FIND_LINKS": "",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_INDEX_URL": self.url,
            "PIP_RETRIES": "0",
            "UV_NO_CONFIG": "1",
            "UV_DEFAULT_INDEX": self.url,
            "UV_HTTP_RETRIES": "0",
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    index: PackageIndex

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        self.index.requests.append(self.path)

    def do_GET(self) -> None:
        index = self.index
        if index.status != 200:
            self.send_error(index.status)
            return
        if self.path.startswith("/files/"):
            self._send_file(index.files[self.path.removeprefix("/files/")])
            return
        project = self.path.removeprefix("/simple/").strip("/").replace("-", "_")
        links = [
            f'<a href="/files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>'
            for name, data in index.files.items()
            if name.startswith(f"{project}-")
        ]
        if not links:
            self.send_error(404)
            return
        body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        sent = 0
        try:
            while piece := data[sent : sent + PIECE]:
                self.wfile.write(piece)
                sent += len(piece)
                self.index.on_sent(sent)
                if self.index.bytes_per_s:
                    time.sleep(len(piece) / self.index.bytes_per_s)
        except ConnectionError:
            pass  # it was stopped
