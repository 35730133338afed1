"""A small model hub on loopback: what huggingface_hub asks for, and every way to fail at it.

Two servers run: the hub, and beside it the store that large files are redirected to, on another
port and therefore another origin. `Hub.sent` counts the bytes of file bodies by path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 1 << 16


@dataclass
class Repo:
    """One repository."""

    files: dict[str, bytes]
    licence: str = "apache-2.0"
    gated: bool = False
    private: bool = False
    n_params: int = 9_000_000
    downloads: int = 1000
    claimed: dict[str, str] = field(default_factory=dict)
    """A sha256 to claim instead of the true one."""


@dataclass
class Fault:
    """How the next `times` answers about files go wrong."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Body bytes after which the connection is closed."""
    no_range: bool = False
    shifted: bool = False
    """The range begins one byte later than asked for."""
    stall_s: float = 0
    page: bytes | None = None
    """What comes instead of the file, as from a login page; empty: without a length."""
    times: int = 1


class Hub:
    """The hub and its store. A context manager; `url` is for `HF_ENDPOINT`."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.token = "hf_right"
        self.faults: list[Fault] = []
        self.api_faults: list[Fault] = []
        self.bytes_per_s = 0.0
        self.requests: list[str] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.bodies: list[list[int]] = []
        """Of every answer with a file: where it began, and how many bytes were sent."""
        self.leaked: list[str] = []
        """Authorization headers that reached the store."""
        self.on_sent: Callable[[int], None] = lambda _total: None
        self._servers = [self._serve(_HubHandler), self._serve(_StoreHandler)]

    def _serve(self, handler: type[_Handler]) -> ThreadingHTTPServer:
        bound = type(handler.__name__, (handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    @property
    def url(self) -> str:
        """Of the hub."""
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def store_url(self) -> str:
        """Of the store."""
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    @property
    def starts(self) -> list[int]:
        """Where every answer with a file began."""
        return [start for start, _ in self.bodies]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        self.hub.requests.append(f"{self.command} {self.path}")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        raise NotImplementedError

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, value: object) -> None:
        self.reply(200, json.dumps(value).encode(), Content_Type="application/json")

    def refuse(self, status: int, code: str = "", **headers: str) -> None:
        more = {"X_Error_Code": code} if code else {}
        self.reply(status, b'{"error": "refused"}', **more, **headers)

    def fail(self, faults: list[Fault]) -> Fault:
        """The fault for this answer, `Fault()` when all is well."""
        if not faults:
            return Fault()
        fault = faults[0]
        fault.times -= 1
        if fault.times <= 0:
            faults.pop(0)
        time.sleep(fault.stall_s)
        return fault


class _HubHandler(_Handler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if path.startswith("/api/"):
            fault = self.fail(self.hub.api_faults)
            if fault.status:
                self.refuse(fault.status, **fault.headers)
            elif path == "/api/models":
                self._search(parse_qs(url.query))
            else:
                self._info(path.removeprefix("/api/models/"))
            return
        repo_id, _, rest = path.lstrip("/").partition("/resolve/")
        name = rest.partition("/")[2]
        repo = self._find(repo_id)
        if repo is None:
            return
        if name not in repo.files:
            self.refuse(404, "EntryNotFound")
            return
        self.reply(302, Location=f"{self.hub.store_url}/{repo_id}/{name}?signature=x")

    def _find(self, repo_id: str) -> Repo | None:
        repo = self.hub.repos.get(repo_id)
        given = self.headers.get("Authorization", "")
        known = given == f"Bearer {self.hub.token}"
        if given and not known:
            self.refuse(401)
        elif repo is None:
            self.refuse(404 if known else 401, "RepoNotFound")
        elif repo.private and not known:
            self.refuse(401, "RepoNotFound")
        elif repo.gated and not known and "/resolve/" in self.path:
            self.refuse(401, "GatedRepo")
        else:
            return repo
        return None

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].lower().split()
        rows = [
            self._row(repo_id, repo)
            for repo_id, repo in self.hub.repos.items()
            if all(word in repo_id.lower() for word in words) and not repo.private
        ]
        rows.sort(key=lambda row: -row["downloads"])
        self.reply_json(rows[: int(query.get("limit", ["50"])[0])])

    def _info(self, repo_id: str) -> None:
        repo = self._find(repo_id)
        if repo is None:
            return
        files = []
        for name, data in repo.files.items():
            row: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": "b" * 40}
            if name.endswith(".gguf"):
                sha = repo.claimed.get(name, hashlib.sha256(data).hexdigest())
                row["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 134}
            files.append(row)
        self.reply_json(self._row(repo_id, repo) | {"siblings": files, "sha": "c" * 40})

    @staticmethod
    def _row(repo_id: str, repo: Repo) -> dict[str, Any]:
        return {
            "_id": "x",
            "id": repo_id,
            "modelId": repo_id,
            "downloads": repo.downloads,
            "gated": "manual" if repo.gated else False,
            "private": repo.private,
            "tags": ["gguf", f"license:{repo.licence}"],
            "cardData": {"license": repo.licence},
            "gguf": {"total": repo.n_params, "architecture": "llama", "context_length": 1024},
        }


class _StoreHandler(_Handler):
    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        if self.headers.get("Authorization"):
            self.hub.leaked.append(self.headers["Authorization"])
        owner, name, file = path.split("/", 2)
        data = self.hub.repos[f"{owner}/{name}"].files[file]
        fault = self.fail(self.hub.faults)
        if fault.status:
            self.refuse(fault.status, **fault.headers)
            return
        if fault.page is not None:
            self.send_response(200)
            if fault.page:
                self.send_header("Content-Length", str(len(fault.page)))
            self.end_headers()
            self.wfile.write(fault.page)
            self.close_connection = True
            return
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = [start, 0]
        self.hub.bodies.append(body)
        if fault.no_range:
            asked, start = "", 0
        if start >= len(data):
            self.refuse(416, Content_Range=f"bytes */{len(data)}")
            return
        start += fault.shifted
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data) if fault.cut_after is None else min(len(data), start + fault.cut_after)
        with contextlib.suppress(ConnectionError):
            for at in range(start, end, PIECE):
                piece = data[at : min(at + PIECE, end)]
                self.wfile.write(piece)
                self.hub.sent[path] += len(piece)
                body[1] += len(piece)
                self.hub.on_sent(self.hub.sent[path])
                if self.hub.bytes_per_s:
                    time.sleep(len(piece) / self.hub.bytes_per_s)
        if end < len(data):
            self.close_connection = True
