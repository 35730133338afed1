"""What a chat sets, and its model."""

import asyncio

from bench.everyday.desk import Desk, action


@action("set a sampling parameter for this chat")
async def _(desk: Desk) -> None:
    await desk.press("f6")
    await desk.until(lambda: desk.on_top("SettingsScreen"))
    await desk.type("te\n0.7\n")
    await desk.until(lambda: desk.flow.settings.sampling.temperature == 0.7)
    await desk.back()


@action("set it back")
async def _(desk: Desk) -> None:
    await desk.press("f6")
    await desk.until(lambda: desk.on_top("SettingsScreen"))
    await desk.press("t", "e", "delete")
    await desk.until(lambda: desk.flow.settings.sampling.temperature is None)
    await desk.back()


@action("see every setting")
async def _(desk: Desk) -> None:
    await desk.press("f6")
    await desk.until(lambda: len(desk.app.screen_stack) == 2)
    await desk._press("escape")


@action("give the chat a system prompt")
async def _(desk: Desk) -> None:
    await desk.type("/sy\t")
    await desk.text("Be brief.")
    await desk.press("enter")
    await desk.until(lambda: desk.flow.system == "Be brief.")


@action("take a persona")
async def _(desk: Desk) -> None:
    await desk.type("/pe\tc\t\n")
    await desk.until(lambda: desk.flow.settings.preset_name == "converse")


@action("say how much to think")
async def _(desk: Desk) -> None:
    await desk.press("f6")
    await desk.until(lambda: desk.on_top("SettingsScreen"))
    await desk.type("th\nlow\n")
    await desk.until(lambda: desk.flow.settings.think == "low")
    await desk.back()


@action("see what fills the context")
async def _(desk: Desk) -> None:
    await desk.type("/ctx\n")
    await desk.until(lambda: desk.shows("room left"))
    await desk._press("escape")


@action("choose another model")
async def _(desk: Desk) -> None:
    await desk.press("ctrl+o")
    await desk.until(lambda: desk.on_top("ModelsScreen"))
    await asyncio.sleep(0.6)
    await desk.press("down", "enter")
    await desk.until(lambda: len(desk.app.screen_stack) == 1)
