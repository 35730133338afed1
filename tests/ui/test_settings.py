"""The panel of a chat's settings: all of them, changed in place, saved as a preset."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static, TextArea

from chatapp.config import Config
from chatapp.presets.reading import read_preset
from chatapp.ui.forms.presets import PresetForm, VariablesForm
from chatapp.ui.forms.question import Question
from chatapp.ui.screens.models import ModelsScreen
from chatapp.ui.screens.settings import SettingsScreen


async def open_panel(ui) -> SettingsScreen:
    await ui.press("f6")
    await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))
    return ui.app.screen


async def type_in(ui, text: str) -> None:
    await ui.press(*({" ": "space", "=": "equals_sign"}.get(char, char) for char in text))


def row(ui, name: str):
    return next(one for one in ui.app.chat.own.rows() if one.name == name)


def help_of(panel) -> str:
    return str(panel.query_one("#setting-help", Static).content)


async def test_every_setting_is_there_and_a_value_is_set_and_put_back(run):
    async with run() as ui:
        panel = await open_panel(ui)
        options = panel.query_one(OptionList)
        names = [option.id for option in options.options if option.id]
        assert names == [one.name for one in ui.app.chat.own.rows()]
        await type_in(ui, "temperature")
        await ui.wait(lambda: panel.chosen.name == "temperature")
        await ui.press("enter")
        await type_in(ui, "900")  # in place of the value, which was selected
        assert "temperature is 900.0" in help_of(panel)
        await ui.press("enter")
        assert row(ui, "temperature").source != "this chat", "nothing was set"
        await ui.press("ctrl+u")
        await type_in(ui, "0.25")
        await ui.press("enter")
        await ui.wait(lambda: row(ui, "temperature").value == "0.25")
        assert "temperature is 0.25 in this chat" in help_of(panel)
        assert ui.app.chat.own.rows()[0].name == "system"
        await ui.press("delete")
        await ui.wait(lambda: not row(ui, "temperature").changed)
        await ui.press("escape", "escape")
        assert ui.app.screen is ui.app.chat


async def test_what_the_filter_found_is_put_back_with_del(run):
    async with run() as ui:
        await ui.write("/set top_k 7")
        await ui.wait(lambda: row(ui, "top_k").changed)
        panel = await open_panel(ui)
        await type_in(ui, "top_k")
        await ui.wait(lambda: panel.chosen.name == "top_k")
        await ui.press("home", "delete")
        await ui.wait(lambda: panel.query_one("#settings-filter", Input).value == "op_k")
        assert row(ui, "top_k").changed, "in the text it deletes a letter"
        await ui.press("end", "delete")
        await ui.wait(lambda: not row(ui, "top_k").changed)


async def test_set_alone_opens_it_and_escape_leads_one_step_back(run):
    async with run() as ui:
        await ui.write("/set")
        await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))
        panel = ui.app.screen
        await type_in(ui, "think")
        await ui.press("enter")
        assert panel.query_one("#setting-field", Input).has_focus
        await ui.press("escape")
        assert panel.query_one("#settings-list").has_focus
        assert panel.query_one("#settings-filter", Input).value == "think"
        await ui.press("escape")
        assert panel.query_one("#settings-filter", Input).value == ""
        assert isinstance(ui.app.screen, SettingsScreen)
        await ui.press("escape")
        assert ui.app.screen is ui.app.chat
        await ui.press("a")
        assert ui.pane.prompt.text == "a"


async def test_a_system_prompt_has_a_field_of_several_lines(run):
    async with run() as ui:
        await ui.say("hello")
        await open_panel(ui)
        await type_in(ui, "system")
        await ui.press("enter")
        await ui.wait(lambda: bool(ui.app.screen.query("#long-text")))
        await type_in(ui, "Be")
        await ui.press("enter")
        await type_in(ui, "brief")
        await ui.press("escape")
        assert ui.app.screen.query("#long-text"), "the text is not thrown away unasked"
        await ui.press("ctrl+s")
        await ui.wait(lambda: ui.flow.system == "Be\nbrief")
        assert ui.store.get_conversation(ui.app.chat.open_id).system == "Be\nbrief"


async def test_a_wrong_schema_is_explained_and_a_right_one_kept(run):
    async with run() as ui:
        panel = await open_panel(ui)
        for text, kept in (("{no", ""), ('{"type": "object"}', '{"type": "object"}')):
            await type_in(ui, "json_schema")
            await ui.press("enter")
            await ui.wait(lambda: bool(ui.app.screen.query("#long-text")))
            ui.app.screen.query_one(TextArea).text = text
            await ui.press("ctrl+s")
            await ui.wait(lambda: ui.app.screen is panel)
            await ui.wait(lambda kept=kept: (ui.flow.settings.sampling.json_schema or "") == kept)
            await ui.wait(lambda: "JSON" in help_of(panel) or "json_schema" in help_of(panel))
            await ui.press("escape")


async def test_a_preset_is_chosen_and_its_variables_asked_for(run, paths):
    paths.presets.mkdir(parents=True)
    (paths.presets / "aa.toml").write_text(
        'system = "You are {who} of {where}."\n[variables]\nwhere = "Rome"\n'
    )
    async with run() as ui:
        await open_panel(ui)
        await type_in(ui, "preset")
        await ui.press("enter")
        await ui.wait(lambda: isinstance(ui.app.screen, PresetForm))
        await ui.press("down", "enter")
        await ui.wait(lambda: isinstance(ui.app.screen, VariablesForm))
        await ui.press("enter", "enter")
        assert isinstance(ui.app.screen, VariablesForm), "who wants a value"
        await type_in(ui, "Ann")
        await ui.press("enter", "enter")
        await ui.wait(lambda: ui.flow.system == "You are Ann of Rome.")
        await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))
        await ui.press("backspace")
        await ui.wait(lambda: ui.flow.settings.preset is None and ui.flow.system == "")


async def test_what_the_chat_sets_is_saved_as_a_preset_and_nothing_is_overwritten_unasked(
    run, paths
):
    config = replace(Config(), chat=replace(Config().chat, system="Usual {braces}."))
    async with run(config=config) as ui:
        await ui.write("/set temperature 0.3")
        await ui.wait(lambda: row(ui, "temperature").value == "0.3")
        for answers in ([], ["enter"], ["down", "enter"]):
            await ui.write("/set top_k 7") if not answers else None
            await open_panel(ui)
            await ui.press("ctrl+s")
            await type_in(ui, "mine")
            await ui.press("enter")
            if answers:
                await ui.wait(lambda: isinstance(ui.app.screen, Question))
                await ui.press(*answers)
            await ui.wait(lambda: isinstance(ui.app.screen, SettingsScreen))
            await ui.press("escape")
            await ui.wait((paths.presets / "mine.toml").exists)
            if answers == ["enter"]:
                saved = read_preset(paths.presets / "mine.toml").fill({})
                assert (saved.sampling.temperature, saved.system) == (0.3, "Usual {braces}.")
                await ui.write("/set temperature 0.9")
                await ui.wait(lambda: row(ui, "temperature").value == "0.9")
        saved = read_preset(paths.presets / "mine.toml")
        await ui.wait(lambda: read_preset(paths.presets / "mine.toml").sampling.temperature == 0.9)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (300, 80)])
async def test_the_panel_fits_any_terminal(run, size):
    async with run(size=size) as ui:
        panel = await open_panel(ui)
        await type_in(ui, "dry")
        await ui.press("enter")
        for name in ("#settings-list", "#setting-help", "#setting-field"):
            region = panel.query_one(name).region
            assert region.height > 0, name
            assert panel.region.contains_region(region), name


async def test_the_model_of_the_panel_is_the_list_of_models(run):
    async with run() as ui:
        await open_panel(ui)
        await type_in(ui, "model")
        await ui.press("enter")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        await ui.press("escape")
        assert isinstance(ui.app.screen, SettingsScreen)


async def test_the_system_prompt_goes_back_to_the_presets(run, paths):
    paths.presets.mkdir(parents=True)
    (paths.presets / "aa.toml").write_text('system = "You are Ann."\n')
    async with run() as ui:
        for line, system in (
            ("/preset aa", "You are Ann."),
            ("/system You are Bob.", "You are Bob."),
            ("/system reset", "You are Ann."),
        ):
            await ui.write(line)
            await ui.wait(lambda system=system: ui.flow.system == system)


async def test_a_saved_preset_has_the_context_and_a_chat_that_takes_it_loads_it(run, paths):
    async with run() as ui:
        await ui.write("/context 9000")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.n_ctx == 9000)
        await ui.app.chat.own.save(ui.app.chat.own.place_for("long"))
        assert read_preset(paths.presets / "long.toml").n_ctx == 9000
        await ui.press("ctrl+n")
        ui.app.chat.models.reload(0)
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.n_ctx != 9000)
        await ui.write("/preset long")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.n_ctx == 9000)
        await ui.wait(lambda: row(ui, "n_ctx").source == "preset long")
        assert row(ui, "n_ctx").usual == "9000"


async def test_a_chat_is_answered_in_the_context_that_it_has(run):
    async with run() as ui:
        await ui.say("one")
        chat = ui.app.chat.open_id
        await ui.write("/context 9000")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.n_ctx == 9000)
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    async with run(conversation_id=chat) as ui:
        assert ui.client.model.n_ctx != 9000
        await ui.say("two")
        assert ui.client.model.n_ctx == 9000
        pid = ui.client.pid
        await ui.say("three")
        assert ui.client.pid == pid, "it is not loaded again"


async def test_a_model_that_is_chosen_is_the_new_chats_own_too(run):
    async with run() as ui:
        models = ui.app.chat.models
        models.host.plan(Path("other.gguf"), 0, None)
        models.remember(Path("other.gguf"))
        models.switch_to(Path("other.gguf"))
        await ui.wait(lambda: (m := ui.client.model) is not None and m.path.endswith("other.gguf"))
        await ui.wait(lambda: row(ui, "model").source == "this chat")
        await ui.say("one")
        models.switch_to(Path("third.gguf"))  # as another chat does
        await ui.wait(lambda: (m := ui.client.model) is not None and m.path.endswith("third.gguf"))
        assert ui.flow.settings.model.endswith("other.gguf")
