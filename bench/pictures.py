"""Pictures of the program: `make pictures`.

Every scene is the real app with the real built-in model, on a history of its own, drawn without a
terminal and written as SVG to `docs/pictures/`, in both themes. The chat's answers are drawn with a
fixed seed, so that a picture changes when the program does.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from textual.pilot import Pilot

from bench import scenes
from chatapp.config import Config
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.paths import BUILTIN_MODEL, Paths
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.ui.app import ChatApp

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SMALL, LARGE = (80, 24), (160, 48)
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # Textual's would be fetched from a server


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: what is done before it is taken."""

    name: str
    size: tuple[int, int]
    play: Callable[["Stage"], Awaitable[None]]


class Stage:
    """The app, and short words for what a user does."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the app run until it is so."""
        async with asyncio.timeout(120):
            while not condition():  # noqa: ASYNC110 -- what is waited for has no event
                await asyncio.sleep(0.02)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.app.simulate_key(key)
            await self.pilot.pause()
        await asyncio.sleep(0.3)

    async def say(self, text: str) -> None:
        """Send a message and wait for its answer."""
        flow = self.app.chat.flow
        before = len(flow.rows)
        self.app.chat.pane.prompt.set_prompt(text)
        await self.press("enter")
        await self.until(lambda: len(flow.rows) >= before + 2 and not flow.answering.busy)
        await asyncio.sleep(0.3)


async def _first_run(stage: Stage) -> None:
    choices = stage.app.chat.pane.choices
    await stage.until(lambda: choices.display)
    await asyncio.sleep(0.5)


async def _chat(stage: Stage) -> None:
    await stage.say("hello")
    await stage.say("write a poem about the sea")
    await stage.say("what can you do?")
    await stage.press(*"and how do I ")


async def _versions(stage: Stage) -> None:
    await stage.say("write a poem about the sea")
    await stage.press("ctrl+r")
    flow = stage.app.chat.flow
    await stage.until(lambda: flow.rows[-1].sibling_count == 2 and not flow.answering.busy)
    await stage.press("alt+up")


async def _search(stage: Stage) -> None:
    await stage.press("ctrl+f", *"sea")
    await asyncio.sleep(0.6)


async def _help(stage: Stage) -> None:
    await stage.press("f1")


async def _models(stage: Stage) -> None:
    await stage.press("ctrl+o")
    await asyncio.sleep(1.0)


SCENES = (
    Scene("first-run", SMALL, _first_run),
    Scene("chat", SMALL, _chat),
    Scene("wide", LARGE, _chat),
    Scene("versions", SMALL, _versions),
    Scene("search", SMALL, _search),
    Scene("models", SMALL, _models),
    Scene("help", SMALL, _help),
)
_EARLIER = (
    "A name for a cat",
    "Why is the sky blue?",
    "A poem about the sea",
    "What to cook with lentils",
    "Regular expressions, once more",
)


async def take(scene: Scene, theme: str) -> str:
    """The picture of a scene, as SVG."""
    config = Config(sampling=SamplingParams(seed=7))
    config = replace(config, ui=replace(config.ui, theme=theme))
    if scene.name != "first-run":
        config = replace(config, engine=replace(config.engine, model="builtin"))
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = Paths(data=home, config=home, state=home)
        store = stack.enter_context(Store.open(paths.history))
        if scene.name != "first-run":
            _write_history(store)
        client = EngineClient(log_path=paths.engine_log)
        app = ChatApp(config, paths, store, client, model=BUILTIN_MODEL)
        try:
            async with app.run_test(size=scene.size) as pilot:
                stage = Stage(app, pilot)
                await stage.until(lambda: client.model is not None)
                await scene.play(stage)
                drawn = app.export_screenshot(title="chatapp")
        finally:
            await client.stop()
    return _FONT.sub("", drawn).replace(str(home), "~/.local/share/chatapp")


async def take_every(folder: Path, size: tuple[int, int], theme: str) -> None:
    """Every screen and dialog, in one size and theme."""
    config = Config()
    config = replace(config, ui=replace(config.ui, theme=theme))
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = Paths(data=home, config=home, state=home)
        store = stack.enter_context(Store.open(paths.history))
        scenes.write_history(store)
        client = EngineClient(backend="echo", log_path=paths.engine_log)
        app = ChatApp(config, paths, store, client, model=Path("echo.gguf"))

        def keep(scene: str) -> None:
            drawn = _FONT.sub("", app.export_screenshot(title=scene))
            scenes.name_of(folder, size, theme, scene).write_text(drawn, encoding="utf-8")

        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                stage = Stage(app, pilot)
                await stage.until(lambda: client.model is not None)
                await scenes.play_every(stage, keep)
        finally:
            await client.stop()


def _write_history(store: Store) -> None:
    for title in _EARLIER:
        chat = store.create_conversation(title)
        asked = store.add_message(chat, Message.of("user", title), None)
        store.add_message(chat, Message.of("assistant", f"{title}: here it is."), asked.id)


def main(arguments: Sequence[str] | None = None) -> None:
    """Take every picture, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="scenes; all if none is named")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--every", type=Path, help="every screen and dialog, into this folder")
    parser.add_argument("--sizes", default="80x24,160x48", help="for --every")
    parser.add_argument("--themes", default="dark", help="for --every: dark,light,contrast")
    given = parser.parse_args(arguments)
    if given.every is not None:
        given.every.mkdir(parents=True, exist_ok=True)
        for size in given.sizes.split(","):
            for theme in given.themes.split(","):
                asyncio.run(take_every(given.every, scenes.size_of(size), theme))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if given.names and scene.name not in given.names:
            continue
        for theme in ("dark", "light"):
            path = given.folder / f"{scene.name}-{theme}.svg"
            path.write_text(asyncio.run(take(scene, theme)), encoding="utf-8")
            print(path.name)


if __name__ == "__main__":
    main()
