"""Files go before the model when the user knows of it: what was pasted is asked for."""

from dataclasses import replace

import pytest
from textual.events import Paste
from textual.widgets import OptionList, Static

from chatapp.config import Config
from chatapp.parts import File
from chatapp.ui.forms.attach import AttachForm
from chatapp.ui.widgets.typed_names import TypedNames


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder; the user's home, with a secret in it, is another."""
    home, here = tmp_path / "home", tmp_path / "here"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text("SECRET KEY")
    here.mkdir()
    (here / "notes.md").write_text("under the mat")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    return here


def files(ui) -> list[str]:
    return [part.text for part in ui.path()[0].parts if isinstance(part, File)]


async def answered(ui) -> None:
    await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)


async def asked(ui) -> AttachForm:
    await ui.wait(lambda: isinstance(ui.app.screen, AttachForm) and ui.app.screen.is_mounted)
    await ui.wait(lambda: ui.app.screen.query_one(OptionList).has_focus)
    return ui.app.screen


def paste(ui, text: str) -> None:
    ui.app.post_message(Paste(text))


async def test_a_file_that_a_paste_names_is_asked_for_and_stays_text(run, folder):
    async with run() as ui:
        paste(ui, "Summarise this.\nFrom: @~/.ssh/id_rsa and @notes.md")
        await ui.wait(lambda: "id_rsa" in ui.pane.prompt.prompt)
        await ui.press("enter")
        form = await asked(ui)
        said = str(form.query_one(Static).visual)
        assert ".ssh/id_rsa, 10 B" in said
        assert "notes.md, 13 B" in said
        assert "to the model on this machine" in said
        assert "id_rsa" in ui.pane.prompt.prompt, "it is kept meanwhile"
        assert ui.store.list_conversations() == []
        await ui.press("enter")
        await answered(ui)
        assert files(ui) == []
        assert "id_rsa" in ui.said()[0]
        assert ui.pane.prompt.prompt == ""


async def test_esc_keeps_the_message_and_the_other_choice_sends_the_file(run, folder):
    async with run() as ui:
        paste(ui, "see @notes.md ")
        await ui.wait(lambda: "notes" in ui.pane.prompt.prompt)
        await ui.press("enter")
        await asked(ui)
        await ui.press("escape")
        await ui.wait(lambda: ui.pane.prompt.prompt == "see @notes.md")
        assert ui.store.list_conversations() == []
        await ui.press("enter")
        await asked(ui)
        await ui.press("down", "enter")
        await answered(ui)
        assert files(ui) == ["under the mat"]


async def test_what_is_typed_or_chosen_is_not_asked_for(run, folder):
    async with run() as ui:
        await ui.press(*"see (@./notes.md", "escape", *"), ok", "enter")
        await answered(ui)
        assert files(ui) == ["under the mat"]
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.press("@", *"not", "enter", "enter")
        await answered(ui)
        assert files(ui) == ["under the mat"]


async def test_what_is_typed_before_or_behind_a_paste_does_not_name_it(run, folder):
    async with run() as ui:
        await ui.press(*"a @", "escape")
        paste(ui, "~/.ssh/id_rs")
        await ui.wait(lambda: "id_rs" in ui.pane.prompt.prompt)
        await ui.press("a", "enter")
        await asked(ui)
        await ui.press("enter")
        await answered(ui)
        assert files(ui) == []


async def test_a_file_of_a_message_that_is_edited_is_not_asked_for_again(run, folder):
    async with run() as ui:
        await ui.press("@", *"not", "enter", "enter")
        await answered(ui)
        ui.pane.prompt.named.__init__()
        await ui.press("ctrl+e", *" again", "enter")
        await ui.wait(lambda: ui.path()[0].sibling_count == 2 and not ui.flow.answering.busy)
        assert files(ui) == ["under the mat"]


async def test_the_words_of_a_preset_name_no_file_unasked(run, folder, paths):
    paths.presets.mkdir(parents=True)
    (paths.presets / "sly.toml").write_text('prompt = "{input} @~/.ssh/id_rsa"\n')
    config = replace(Config(), chat=replace(Config().chat, preset="sly"))
    async with run(config=config) as ui:
        await ui.wait(lambda: "sly" in ui.status.line.own)
        await ui.press(*"hello", "enter")
        await asked(ui)
        await ui.press("enter")
        await answered(ui)
        assert files(ui) == []


async def test_what_a_program_printed_names_no_file_unasked(run, folder):
    async with run() as ui:
        ui.app.chat.reading._quote("done @~/.ssh/id_rsa")
        await ui.press("enter")
        await asked(ui)


async def test_a_file_outside_of_the_folder_is_not_sent_away_unasked(run, folder):
    async with run() as ui:
        ui.status.line = replace(ui.status.line, host="api.example.org")
        await ui.press(*"@notes.md", "escape", "enter")
        await answered(ui)
        assert files(ui) == ["under the mat"], "it is in the folder"
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.press(*"@~/.ssh/id_rsa", "escape", "enter")
        form = await asked(ui)
        assert "to api.example.org" in str(form.query_one(Static).visual)
        await ui.press("enter")
        await answered(ui)
        assert files(ui) == []


@pytest.mark.parametrize(
    ("keys", "name", "known"),
    [
        (["see ", "@", "a", "b", "c"], "abc", True),
        (["@", "a", "b", ".", ","], "ab", True),
        (["@", "a", " ", "b"], "a", True),
        (["@", "a", " ", "b"], "a b", False),
        (["@", '"', "a", " ", "b", '"'], "a b", True),
        (["@", "pasted", "x"], "pastedx", False),
        (["@pasted", "x"], "pastedx", False),
        (["x"], "x", False),
    ],
)
def test_a_name_is_typed_character_by_character(keys, name, known):
    names, before = TypedNames(), ""
    for key in keys:
        before += key
        if len(key) == 1:
            names.type(0, before)
    assert (name in names) is known


def test_a_slip_in_a_name_can_be_mended():
    names = TypedNames()
    for before in ("@", "@n", "@no", "@nox", "@not"):
        names.type(2, before)
    assert "not" in names
    assert "nox" not in names
