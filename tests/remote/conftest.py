"""A real OpenAI-compatible server (llama-cpp-python's own), and one that answers as a test says."""

import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chatapp.engine.client import EngineClient
from chatapp.paths import BUILTIN_MODEL, find_paths
from chatapp.remotes import make_remote, read_remotes, save_remotes
from tests.remote.answers import Asking
from tests.remote.peer import Server, excused

Name = Callable[..., None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """What fails because the peer crashed is skipped, with the peer's last words."""
    with excused():
        return (yield)


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
def lab(script: Script, name: Name) -> Asking:
    """The scripted server as our model."""
    name("lab", script.url)
    asking = Asking()
    asking.load()
    return asking


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[EngineClient]:
    """A real engine process."""
    made = EngineClient(log_path=tmp_path / "engine.log")
    yield made
    await made.stop()
