"""Writing a message."""

import asyncio
import os

from bench.everyday.desk import Desk, action
from chatapp.parts import File


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
    await desk.press("ctrl+x", "ctrl+e")
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
    await desk.type("/te\ttr\t\t")
    await desk.text("German")
    await desk.press(" ")
    await desk.text("Good morning")
    await desk.press("enter")
    await desk.until(lambda: "German" in desk.app.chat.pane.prompt.text)
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
