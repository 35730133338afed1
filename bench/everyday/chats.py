"""Chats as wholes."""

import asyncio

from bench.everyday.desk import Desk, action


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
    await desk.press("ctrl+b", "ctrl+k")
    await desk.until(lambda: desk.chat_row.pinned)
    await desk.back()


@action("tag the chat")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b", "ctrl+l")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk.text("work")
    await desk.press("enter")
    await desk.until(lambda: desk.chat_row.tags)
    await desk.back()


@action("archive the chat")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b", "ctrl+d")
    await desk.until(lambda: desk.store.list_conversations()[0].title != "Better")
    await desk.back()


@action("take it out of the archive")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b", "ctrl+s")
    await desk.until(lambda: len(desk.app.chat.sidebar.chats.rows) == 1)
    await desk.press("ctrl+d")
    await desk.until(lambda: desk.store.list_conversations()[0].title == "Better")
    await desk.back()


@action("export the chat")
async def _(desk: Desk) -> None:
    await desk.type("/ex\n\n")
    await desk.until(lambda: list(desk.home.glob("*.md")) != [desk.home / "notes.md"])


@action("delete the chat")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b", "delete")
    await desk.until(lambda: len(desk.store.list_deleted()) == 1)


@action("bring the chat back")
async def _(desk: Desk) -> None:
    await desk.press("U")
    await desk.until(lambda: not desk.store.list_deleted())
    await desk.back()


@action("delete several chats")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+b", "shift+down", "delete")
    await desk.until(lambda: len(desk.store.list_deleted()) == 2)


@action("bring them all back")
async def _(desk: Desk) -> None:
    await desk.press("U")
    await desk.until(lambda: not desk.store.list_deleted())
    await desk.back()
