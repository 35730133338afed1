"""The palette: everything that can be done, found by its name."""

from textual.command import CommandPalette

from chatapp.ui.palette import ChatCommands
from chatapp.ui.widgets.pick_list import PickList


async def test_the_palette_runs_a_command(run):
    async with run() as ui:
        await ui.say("hello")
        await ui.press("ctrl+p")
        await ui.wait(lambda: isinstance(ui.app.screen, CommandPalette))
        await ui.pilot.press(*"new chat")
        await ui.pilot.press("enter")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert len(ui.app.screen_stack) == 1


def offered(ui) -> list[str]:
    return [entry.title for entry in ChatCommands(ui.app.screen).entries()]


async def test_the_palette_offers_each_thing_once_and_only_what_can_be_done(run):
    async with run() as ui:
        empty = offered(ui)
        assert empty[:2] == ["Help  (F1)", "Models  (Ctrl+O)"]
        assert not any(title.startswith(("Regenerate", "/tag", "Answer now")) for title in empty)
        assert not {"Closes", "Up", "Keep mark", "Copy", "/keep", "/compare"} & set(empty)
        assert "/preset [NAME [VARIABLE=VALUE ...] | off]" in empty
        await ui.say("hello")
        with_chat = offered(ui)
        assert {"Regenerate  (Ctrl+R)", "/tag [TAG ...]", "Pin"} <= set(with_chat)
        assert not {"Closes", "Up", "Keep mark"} & set(with_chat)
        assert not any(title.startswith(("/title", "/model", "/new", "/set ")) for title in empty)
        assert len(with_chat) == len(set(with_chat))
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        busy = offered(ui)
        assert "Answer now  (Alt+A)" in busy
        assert not any(title.startswith("Regenerate") for title in busy)


async def test_a_command_that_wants_more_is_begun_in_the_prompt(run):
    async with run() as ui:
        await ui.press("ctrl+p")
        await ui.wait(lambda: isinstance(ui.app.screen, CommandPalette))
        await ui.pilot.press(*"preset var")
        await ui.pilot.press("enter")
        await ui.wait(lambda: ui.pane.prompt.text == "/preset ")
        await ui.wait(lambda: ui.app.screen.query_one(PickList).display)
