"""What is offered while a slash command is typed, and what the keys of that list do."""

import pytest

from chatapp.ui.screens.help import HelpScreen
from chatapp.ui.screens.settings import SettingsScreen
from chatapp.ui.widgets.pick_list import PickList
from tests.ui.test_keys import burst


def rows(ui) -> list[str]:
    found = ui.app.query_one(PickList)
    return found._rows if found.display else []


def keys(text: str) -> list[str]:
    return ["space" if char == " " else char for char in text]


async def test_a_slash_and_a_letter_open_a_list_that_typing_filters(run):
    async with run() as ui:
        await ui.press("/")
        assert not rows(ui)
        await ui.press("t")
        await ui.wait(lambda: any(row.startswith("/template") for row in rows(ui)))
        await ui.press("h")
        await ui.wait(lambda: [row.split()[0] for row in rows(ui)][:2] == ["/think", "/theme"])
        await ui.press("x")
        await ui.wait(lambda: not rows(ui))
        await ui.press("backspace")
        await ui.wait(lambda: bool(rows(ui)))
        await ui.press("escape")
        assert not rows(ui)
        assert ui.pane.prompt.text == "/th"
        await ui.press("i")
        assert not rows(ui), "what was closed stays closed for this command"
        ui.pane.prompt.set_prompt("")
        await ui.press(*keys("/th"))
        await ui.wait(lambda: bool(rows(ui)))


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ([*keys("/temp"), "tab"], "/template "),
        ([*keys("/th"), "down", "tab"], "/theme "),
        ([*keys("/temp"), "enter"], "/template "),
        ([*keys("/set temper"), "enter", *"0"], "/set temperature 0"),
        ([*keys("/preset trans"), "enter", *keys("to"), "tab"], "/preset translate to="),
        ([*keys("/see "), "tab", "x"], "/see x"),
        ([*keys("/etc"), *keys("/x"), "up"], "/etc/x"),
        (["a", *keys("/sy"), "tab"], "a/sy"),
        ([*keys("/th"), "escape", "up", "x"], "x/th"),
    ],
)
async def test_keys_in_a_burst_end_as_those_typed_slowly(run, typed, left):
    async with run() as ui:
        burst(ui, *typed)
        await ui.wait(lambda: ui.app.keys.idle and ui.pane.prompt.text == left)
        ui.pane.prompt.set_prompt("")
        ui.pane.prompt.focus()
        for key in typed:
            burst(ui, key)
            await ui.pilot.pause(0.1)
        assert ui.pane.prompt.text == left
        assert ui.store.count_messages() == 0


async def test_enter_does_what_is_a_command_as_it_stands(run):
    async with run() as ui:
        burst(ui, *keys("/help"), "enter")
        await ui.wait(lambda: isinstance(ui.app.screen, HelpScreen))
        await ui.press("escape")
        burst(ui, *keys("/set"), "enter")
        await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))
        await ui.press("escape")
        burst(ui, *keys("/set top_k 7"), "enter")
        await ui.wait(lambda: ui.flow.settings.sampling.top_k == 7)
        burst(ui, *keys("/set"), "down", "enter", *keys("off"))
        await ui.wait(lambda: ui.pane.prompt.text.endswith("off"))
        assert ui.app.screen is ui.app.chat, "the mark was moved, so the row is taken"


async def test_your_own_presets_models_and_tags_are_offered(run, paths, tiny_model, monkeypatch):
    monkeypatch.chdir(paths.data)
    paths.presets.mkdir(parents=True)
    (paths.presets / "zz-mine.toml").write_text('system = "Hi."\ndescription = "says hi"\n')
    paths.models.mkdir()
    (paths.models / "zebra.gguf").write_bytes(tiny_model.read_bytes())
    async with run() as ui:
        await ui.say("one")
        ui.store.labels.set_tags(ui.app.chat.open_id, ["zoo"])
        for command, offered in (
            ("/preset zz", "zz-mine"),
            ("/model zeb", "random 2x64 F32"),  # its file is called so
            ("/model random", "random 2x64 F32"),
            ("/tag z", "zoo"),
            ("/theme gruv", "gruvbox"),
        ):
            ui.pane.prompt.set_prompt("")
            burst(ui, *keys(command))
            await ui.wait(lambda offered=offered: any(row.startswith(offered) for row in rows(ui)))
