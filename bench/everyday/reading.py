"""Reading and taking away what was said."""

from textual.widgets import Input

from bench.everyday.desk import Desk, action

CODE = "```python\nprint(1)\n```\n[a link](https://example.org)"


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
    await desk.press("tab", "y")
    await desk.until(lambda: desk.heard("Copied the code"))
    await desk._press("escape")


@action("save a block of code")
async def _(desk: Desk) -> None:
    await desk.press("tab", "s")
    await desk.until(lambda: desk.app.screen.query(Input))
    await desk.press("enter")
    await desk.until(lambda: list(desk.home.glob("*.py")))
    await desk._press("escape")


@action("run a block of code")
async def _(desk: Desk) -> None:
    await desk.press("tab", "x")
    await desk.until(lambda: desk.on_top("RunScreen"))
    await desk.press("enter")
    await desk.until(lambda: desk.shows("Done after"))
    await desk._press("escape")
    await desk.until(lambda: len(desk.app.screen_stack) == 1)
    await desk._press("escape")


@action("see a message as it was written")
async def _(desk: Desk) -> None:
    await desk.press("tab", "w")
    await desk.until(lambda: desk.app.chat.pane.transcript.item(desk.rows[-1].id))
    await desk._press("w")
    await desk._press("escape")


@action("see the links of an answer")
async def _(desk: Desk) -> None:
    await desk.press("tab", "l")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk._press("escape")
    await desk._press("escape")


@action("show what was thought")
async def _(desk: Desk) -> None:
    await desk.press("alt+t")
