"""Everyday actions by keyboard alone, at 80x24: does each work, and how many keys does it take?

The real app on the scripted engine. What one writes (a message, a title, the words that are looked
for) is not counted; every other key is, the letters of a slash command too.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from chatapp.config import Config
from chatapp.engine.client import EngineClient
from chatapp.parts import File
from chatapp.paths import Paths
from chatapp.store import Store
from chatapp.store.rows import ConversationRow
from chatapp.ui.app import ChatApp

TIMEOUT_S = 20.0
CODE = "```python\nprint(1)\n```\n[a link](https://example.org)"


class Desk:
    """The app, what is pressed, and how often."""

    def __init__(self, app: ChatApp, pilot: Pilot[None], home: Path) -> None:
        self.app = app
        self.pilot = pilot
        self.home = home
        self.store = app.setup.store
        self.n_keys = 0

    async def press(self, *keys: str) -> None:
        """Press keys; each is counted."""
        for key in keys:
            self.n_keys += 1
            await self._press(key)

    async def text(self, words: str) -> None:
        """Write something of one's own; it is not counted."""
        for character in words:
            await self._press("enter" if character == "\n" else character)

    async def command(self, line: str, rest: str = "") -> None:
        """A slash command; `rest` is one's own text behind it."""
        self.n_keys += len(line) + 1
        self.app.chat.pane.prompt.set_prompt(line + rest)
        await self._press("enter")

    async def paste(self, text: str) -> None:
        """Put a message into the prompt without counting."""
        self.app.chat.pane.prompt.set_prompt(text)

    async def _press(self, key: str) -> None:
        before = self.app.keys.n_dispatched
        self.app.simulate_key(key)
        await self.until(
            lambda: (
                self.app.return_code is not None
                or (self.app.keys.n_dispatched > before and self.app.keys.idle)
            )
        )
        await asyncio.sleep(0.03)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it; `TimeoutError` where it does not come."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 -- what is waited for has no event
                await asyncio.sleep(0.02)

    @property
    def flow(self):  # type: ignore[no-untyped-def]
        """The open conversation."""
        return self.app.chat.flow

    @property
    def rows(self):  # type: ignore[no-untyped-def]
        """Its shown branch."""
        return self.flow.rows

    @property
    def chat_row(self) -> ConversationRow:
        """The open conversation as the store has it."""
        assert self.app.chat.open_id is not None
        return self.store.get_conversation(self.app.chat.open_id)

    def heard(self, words: str) -> bool:
        """Whether a notice says so."""
        return any(words in one.message for one in self.app._notifications)

    def on_top(self, name: str) -> bool:
        """Whether a screen of that class lies on top."""
        return type(self.app.screen).__name__ == name

    async def idle(self) -> None:
        """Nothing is being answered, and the chat is on top."""
        await self.until(
            lambda: not self.flow.answering.busy and not self.app.chat.status.answering
        )


Play = Callable[[Desk], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Action:
    """Something one does."""

    name: str
    play: Play


ACTIONS: list[Action] = []


def action(name: str) -> Callable[[Play], Play]:
    """Add what follows to the table."""

    def add(play: Play) -> Play:
        ACTIONS.append(Action(name, play))
        return play

    return add


# Writing


@action("send a message")
async def _(desk: Desk) -> None:
    await desk.text("first question")
    await desk.press("enter")
    await desk.until(lambda: len(desk.rows) == 2)
    await desk.idle()


@action("start a line in a message")
async def _(desk: Desk) -> None:
    await desk.text("one")
    await desk.press("ctrl+j")
    await desk.until(lambda: desk.app.chat.pane.prompt.text == "one\n")


@action("throw away what was written")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+c")
    await desk.until(lambda: desk.app.chat.pane.prompt.text == "")


@action("bring it back")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+underscore")
    await desk.until(lambda: desk.app.chat.pane.prompt.text == "one\n")
    await desk.paste("")


@action("use the last prompt again")
async def _(desk: Desk) -> None:
    await desk.press("up")
    await desk.until(lambda: desk.app.chat.pane.prompt.text == "first question")
    await desk.paste("")


@action("write in the editor")
async def _(desk: Desk) -> None:
    script = desk.home / "editor.sh"
    script.write_text('#!/bin/sh\nprintf "from the editor" > "$1"\n')
    script.chmod(0o700)
    os.environ["VISUAL"] = str(script)
    await desk.command("/edit")
    await desk.until(
        lambda: (
            desk.app.chat.pane.prompt.text == "from the editor"
            or desk.heard("cannot be suspended")
            or desk.heard("terminal")
        )
    )
    await desk.paste("")


@action("find an earlier prompt of any chat")
async def _(desk: Desk) -> None:
    await desk.press("alt+r")
    await desk.text("first")
    await asyncio.sleep(0.5)
    await desk.press("enter")
    await desk.until(lambda: "first question" in desk.app.chat.pane.prompt.text)
    await desk.paste("")


@action("put a file before the model")
async def _(desk: Desk) -> None:
    await desk.press("@")
    await desk.text("notes")
    await asyncio.sleep(0.6)
    await desk.press("enter")
    await desk.until(lambda: "@notes.md" in desk.app.chat.pane.prompt.text)
    await desk.text("what is in it?")
    await desk.press("enter")
    await desk.until(lambda: len(desk.rows) == 4)
    assert any(isinstance(part, File) for part in desk.rows[2].parts)
    await desk.idle()


@action("use a prompt template")
async def _(desk: Desk) -> None:
    await desk.command("/template translate to=German ", "Good morning")
    await desk.until(lambda: "Good morning" in desk.app.chat.pane.prompt.text)
    await desk.paste("")


@action("queue a message during an answer")
async def _(desk: Desk) -> None:
    await desk.paste("/words 3000\n/delay 20")
    await desk.press("enter")
    await desk.until(lambda: desk.flow.answering.row)
    await desk.text("and then")
    desk.n_keys = 0
    await desk.press("enter")
    await desk.until(lambda: len(desk.flow.queue) == 1)


@action("take the queued message back")
async def _(desk: Desk) -> None:
    await desk.press("up")
    await desk.until(lambda: not desk.flow.queue)
    await desk.paste("")


@action("stop an answer")
async def _(desk: Desk) -> None:
    await desk.press("escape")
    await desk.idle()
    assert desk.rows[-1].status == "stopped"


@action("go on with it")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+g")
    await desk.until(lambda: len(desk.rows[-1].generations) == 2 or desk.flow.answering.busy)
    await desk.until(lambda: desk.flow.answering.row)
    await desk.press("escape")
    desk.n_keys -= 1
    await desk.idle()


# Versions


@action("ask for another answer")
async def _(desk: Desk) -> None:
    await desk.paste("again")
    await desk._press("enter")
    await desk.until(lambda: desk.rows[-1].content == "again" and desk.rows[-1].role == "assistant")
    await desk.idle()
    await desk.press("ctrl+r")
    await desk.until(lambda: desk.rows[-1].sibling_count == 2)
    await desk.idle()


@action("see the version before")
async def _(desk: Desk) -> None:
    await desk.press("alt+left")
    await desk.until(lambda: desk.rows[-1].sibling_index == 0)


@action("see the version after")
async def _(desk: Desk) -> None:
    await desk.press("alt+right")
    await desk.until(lambda: desk.rows[-1].sibling_index == 1)


@action("edit the last message")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+e")
    await desk.text("!")
    await desk.press("enter")
    await desk.until(lambda: desk.rows[-1].content == "again!")
    await desk.idle()


@action("edit the model's words")
async def _(desk: Desk) -> None:
    await desk.press("alt+up", "ctrl+e")
    await desk.text("?")
    await desk.press("enter")
    await desk.until(lambda: desk.rows[-1].content == "again!?")
    await desk.idle()


@action("delete a message")
async def _(desk: Desk) -> None:
    before = len(desk.rows)
    await desk.press("alt+up")
    await desk.command("/delete message")
    await desk.until(lambda: len(desk.rows) != before or desk.heard("Deleted"))


@action("bring it back again")
async def _(desk: Desk) -> None:
    await desk.command("/undo")
    await desk.until(lambda: desk.heard("back"))


@action("see the tree of the chat")
async def _(desk: Desk) -> None:
    await desk.command("/tree")
    await desk.until(lambda: desk.on_top("TreeScreen"))
    await desk._press("escape")


# Reading


@action("scroll up a page")
async def _(desk: Desk) -> None:
    await desk.press("pageup")


@action("scroll up a line")
async def _(desk: Desk) -> None:
    await desk.press("shift+up")


@action("go to the first message")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+home")
    await desk.until(lambda: desk.app.chat.pane.transcript.scroll_y == 0)


@action("go to the end")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+end")


@action("copy the last answer")
async def _(desk: Desk) -> None:
    await desk.press("alt+c")
    await desk.until(lambda: desk.heard("Copied the answer"))


@action("copy an earlier message")
async def _(desk: Desk) -> None:
    await desk.press("alt+up", "alt+up", "alt+c")
    await desk.until(lambda: desk.heard("Copied your message"))
    await desk._press("escape")


@action("copy a block of code")
async def _(desk: Desk) -> None:
    await desk.paste(CODE)
    await desk._press("enter")
    await desk.until(lambda: desk.rows[-1].content == CODE and desk.rows[-1].status == "complete")
    await desk.idle()
    await desk.command("/copy 1")
    await desk.until(lambda: desk.heard("code"))


@action("save a block of code")
async def _(desk: Desk) -> None:
    await desk.command("/save")
    await desk.until(lambda: desk.app.screen.query(Input))
    await desk.press("enter")
    await desk.until(lambda: list(desk.home.glob("*.py")))


@action("run a block of code")
async def _(desk: Desk) -> None:
    await desk.command("/run")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk.press("enter")
    await asyncio.sleep(1.0)
    await desk._press("escape")
    await desk.until(lambda: len(desk.app.screen_stack) == 1)


@action("see a message as it was written")
async def _(desk: Desk) -> None:
    await desk.press("tab", "w", "escape")


@action("see the links of an answer")
async def _(desk: Desk) -> None:
    await desk.press("tab", "l")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk._press("escape")
    await desk._press("escape")


@action("show what was thought")
async def _(desk: Desk) -> None:
    await desk.press("alt+t")


# Chats


@action("start a new chat")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+n")
    await desk.until(lambda: desk.app.chat.open_id is None)


@action("go to the chat before")
async def _(desk: Desk) -> None:
    await desk.paste("second chat")
    await desk._press("enter")
    await desk.until(lambda: len(desk.rows) == 2)
    await desk.idle()
    await desk.press("ctrl+b", "down", "enter")
    await desk.until(lambda: desk.rows[0].content == "first question")


@action("open a chat by its title")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b")
    await desk.text("second")
    await desk.until(lambda: len(desk.app.chat.sidebar.chats.rows) == 1)
    await desk.press("enter")
    await desk.until(lambda: desk.rows[0].content == "second chat")


@action("search all chats and open a hit")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+f")
    await desk.text("question")
    await asyncio.sleep(0.6)
    await desk.press("enter")
    await desk.until(lambda: desk.rows[0].content == "first question")
    await desk._press("escape")


@action("find words in the chat")
async def _(desk: Desk) -> None:
    await desk.press("f7")
    await desk.text("again")
    await desk.press("enter")
    await desk.until(lambda: desk.app.chat.pane.find_bar.display)


@action("go to the next hit")
async def _(desk: Desk) -> None:
    await desk.press("n")
    await desk._press("escape")


@action("rename the chat")
async def _(desk: Desk) -> None:
    await desk.press("f2")
    await desk.text("Better")
    await desk.press("enter")
    await desk.until(lambda: desk.flow.conversation.title == "Better")


@action("pin the chat")
async def _(desk: Desk) -> None:
    await desk.command("/pin")
    await desk.until(lambda: desk.chat_row.pinned)


@action("tag the chat")
async def _(desk: Desk) -> None:
    await desk.command("/tag ", "work")
    await desk.until(lambda: desk.chat_row.tags)


@action("archive the chat")
async def _(desk: Desk) -> None:
    await desk.command("/archive")
    await desk.until(lambda: desk.chat_row.archived)


@action("take it out of the archive")
async def _(desk: Desk) -> None:
    await desk.command("/archive")
    await desk.until(lambda: not desk.chat_row.archived)


@action("export the chat")
async def _(desk: Desk) -> None:
    await desk.command("/export")
    await desk.until(lambda: list(desk.home.glob("*.md")) != [desk.home / "notes.md"])


@action("delete the chat")
async def _(desk: Desk) -> None:
    chat = desk.chat_row.id
    await desk.command("/delete")
    await desk.until(lambda: desk.store.get_conversation(chat).deleted_at)


@action("bring the chat back")
async def _(desk: Desk) -> None:
    await desk.command("/undo")
    await desk.until(lambda: not desk.store.list_deleted())


@action("delete several chats")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b", "shift+down", "delete")
    await desk.until(lambda: len(desk.store.list_deleted()) == 2)


@action("bring them all back")
async def _(desk: Desk) -> None:
    await desk.press("U")
    await desk.until(lambda: not desk.store.list_deleted())
    await desk._press("escape")


# Settings and models


@action("set a sampling parameter for this chat")
async def _(desk: Desk) -> None:
    await desk.command("/set temperature 0.7")
    await desk.until(lambda: desk.flow.settings.sampling.temperature == 0.7)


@action("set it back")
async def _(desk: Desk) -> None:
    await desk.command("/set temperature")
    await desk.until(lambda: desk.flow.settings.sampling.temperature is None)


@action("see every setting")
async def _(desk: Desk) -> None:
    await desk.press("f6")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk._press("escape")


@action("give the chat a system prompt")
async def _(desk: Desk) -> None:
    await desk.command("/system ", "Be brief.")
    await desk.until(lambda: desk.flow.system == "Be brief.")


@action("take a persona")
async def _(desk: Desk) -> None:
    await desk.command("/persona converse")
    await desk.until(lambda: desk.flow.settings.preset_name == "converse")


@action("say how much to think")
async def _(desk: Desk) -> None:
    await desk.command("/set think low")  # `/think` is the scripted engine's own word
    await desk.until(lambda: desk.flow.settings.think == "low")


@action("see what fills the context")
async def _(desk: Desk) -> None:
    await desk.command("/context")
    await desk.until(lambda: len(desk.app.screen_stack) == 2 or desk.heard("tokens"))
    await desk._press("escape")


@action("choose another model")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+o")
    await desk.until(lambda: desk.on_top("ModelsScreen"))
    await asyncio.sleep(0.6)
    await desk.press("down", "enter")
    await desk.until(lambda: len(desk.app.screen_stack) == 1)


# The program


@action("light or dark")
async def _(desk: Desk) -> None:
    before = desk.app.theme
    await desk.press("ctrl+t")
    await desk.until(lambda: desk.app.theme != before)


@action("see every key")
async def _(desk: Desk) -> None:
    await desk.press("f1")
    await desk.until(lambda: desk.on_top("HelpScreen"))
    await desk._press("escape")


@action("find a command by its name")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+p")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk._press("escape")


@action("leave")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+q")
    await desk.until(lambda: desk.app.return_code is not None)


async def run(size: tuple[int, int]) -> list[tuple[str, int, str]]:
    """(action, keys, what went wrong) for each."""
    results = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (home / "notes.md").write_text("The key is under the mat.")
        here = Path.cwd()
        os.chdir(home)
        stack.callback(os.chdir, here)
        paths = Paths(data=home / "data", config=home / "data", state=home / "data")
        store = stack.enter_context(Store.open(paths.history))
        client = EngineClient(backend="echo", log_path=paths.engine_log)
        app = ChatApp(Config(), paths, store, client, model=Path("echo.gguf"))
        try:
            async with app.run_test(size=size) as pilot:
                desk = Desk(app, pilot, home)
                await desk.until(lambda: client.model is not None)
                for one in ACTIONS:
                    desk.n_keys, wrong = 0, ""
                    try:
                        await one.play(desk)
                    except (TimeoutError, AssertionError) as error:
                        wrong = str(error) or type(error).__name__
                        while len(app.screen_stack) > 1:
                            app.pop_screen()
                        app.chat.pane.prompt.set_prompt("")
                    results.append((one.name, desk.n_keys, wrong))
        finally:
            await client.stop()
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; fail if an action does not work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--rows", type=int, default=24)
    given = parser.parse_args(arguments)
    results = asyncio.run(run((given.columns, given.rows)))
    for name, n_keys, wrong in results:
        print(f"{name:44} {n_keys:3}  {wrong}".rstrip())
    failed = sum(bool(wrong) for _, _, wrong in results)
    print(f"{len(results)} actions, {failed} failed")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
