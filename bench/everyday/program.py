"""The program itself."""

from bench.everyday.desk import Desk, action


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
