"""Answers, versions, branches."""

from bench.everyday.desk import Desk, action


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
    await desk.press("tab", "d")
    await desk.until(lambda: len(desk.rows) != before or desk.heard("Deleted"))


@action("bring it back again")
async def _(desk: Desk) -> None:
    await desk.type("/un\n\n")
    await desk.until(lambda: desk.heard("back"))
    await desk.back()


@action("see the tree of the chat")
async def _(desk: Desk) -> None:
    await desk.type("/tr\n\n")
    await desk.until(lambda: desk.on_top("TreeScreen"))
    await desk._press("escape")
