"""What is drawn beside the prompt: earlier prompts, files, dropped paths, Ctrl+X, folded pastes."""

from pathlib import Path

import pytest
from textual import events

from chatapp.ui.palette import ChatCommands
from chatapp.ui.widgets.pick_list import PickList
from tests.ui.test_keys import burst


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    (folder / "src").mkdir(parents=True)
    for name in ("README.md", "src/main.py", "src/my page.md"):
        (folder / name).write_text("text")
    monkeypatch.chdir(folder)
    return folder


async def test_an_earlier_prompt_is_found_by_its_letters(run):
    async with run() as ui:
        prompt = ui.pane.prompt
        asked = []

        def find(query: str, limit: int) -> list[str]:
            asked.append((query, limit > 0))
            return [text for text in ("beta two", "alpha\none", "alphabet") if query in text]

        prompt.find_earlier = find
        burst(ui, *"dra", "alt+r", *"alpx", "backspace", "down", "enter", "!")
        await ui.wait(lambda: prompt.text == "alphabet!")
        assert asked[0] == ("", True)
        assert not ui.app.query_one(PickList).display
        await ui.press("ctrl+underscore", "ctrl+underscore")
        assert prompt.text == "dra", "undo brings the draft back"
        burst(ui, "alt+r", *"zzz", "enter", "x")
        await ui.wait(lambda: prompt.text == "drax")
        await ui.press("alt+r", "ctrl+r")
        assert ui.app.query_one(PickList).display, "what is drawn takes the keys"
        await ui.press("escape")
        assert not ui.app.query_one(PickList).display


async def test_without_a_search_of_its_own_this_chats_prompts_are_looked_through(run):
    async with run() as ui:
        await ui.say("one thing")
        await ui.say("another")
        burst(ui, "alt+r", *"thing", "enter")
        await ui.wait(lambda: ui.pane.prompt.text == "one thing")


async def test_a_file_is_picked_behind_an_at_sign(run, folder):
    async with run() as ui:
        prompt = ui.pane.prompt
        burst(ui, *"see", "space", "@", *"maipy", "enter", *"ok")
        await ui.wait(lambda: prompt.text == "see @src/main.py ok")
        burst(ui, "@", *"page", "enter")
        await ui.wait(lambda: prompt.text == "see @src/main.py ok@page" or len(ui.flow.rows) > 0)
        assert ui.flow.rows == [] or ui.said()[0].endswith("ok@page"), "not within a word"


async def test_a_path_with_a_blank_is_quoted_and_esc_leaves_the_text(run, folder):
    async with run() as ui:
        burst(ui, "@", *"pag", "enter")
        await ui.wait(lambda: ui.pane.prompt.text == '@"src/my page.md" ')
        ui.pane.prompt.set_prompt("")
        await ui.press("@", *"rea")
        await ui.wait(lambda: ui.app.query_one(PickList).display)
        await ui.press("escape", "x")
        assert ui.pane.prompt.text == "@reax"
        assert not ui.app.query_one(PickList).display


async def test_a_name_that_is_no_file_is_sent_as_it_is(run, folder):
    async with run() as ui:
        burst(ui, "@", *"zzqq", "enter")
        await ui.wait(lambda: len(ui.flow.rows) == 2)
        await ui.idle()
        assert ui.said()[0] == "@zzqq"


async def test_a_dropped_file_is_offered(run, folder):
    async with run() as ui:
        path = folder / "src" / "my page.md"
        ui.app.post_message(events.Paste(f"'{path}'"))
        await ui.wait(lambda: ui.app.query_one(PickList).display)
        assert ui.pane.prompt.text == f"'{path}'"
        await ui.press("enter")
        assert ui.pane.prompt.text == f'@"{path}" '
        await ui.press("ctrl+underscore", "escape")
        assert ui.pane.prompt.text == f"'{path}'"
        ui.pane.prompt.set_prompt("")
        ui.app.post_message(events.Paste(str(folder / "README.md")))
        await ui.wait(lambda: ui.app.query_one(PickList).display)
        await ui.press("down", "enter", "!")
        assert ui.pane.prompt.text == f"{folder / 'README.md'}!"


async def test_ctrl_x_waits_where_one_sees_it(run):
    async with run() as ui:
        prompt = ui.pane.prompt
        await ui.press(*"ab", "ctrl+x")
        assert "Ctrl+E opens the editor, Esc cancels" in str(prompt.border_subtitle)
        await ui.press("escape")
        assert str(prompt.border_subtitle) == ""
        await ui.press("ctrl+x", "c")
        assert (prompt.text, str(prompt.border_subtitle)) == ("abc", "")
        await ui.press("ctrl+x", "ctrl+r")
        assert ui.notices() == [], "what is drawn takes the key, and is over"


async def test_a_folded_paste_is_opened_at_a_key_and_never_cut(run):
    async with run() as ui:
        prompt = ui.pane.prompt
        text = "\n".join(f"line {number}" for number in range(40))
        await ui.press(*"a")
        ui.app.post_message(events.Paste(text))
        await ui.wait(lambda: prompt.text == "a[pasted 40 lines]")
        await ui.wait(lambda: "Alt+O opens the pasted text" in str(prompt.border_subtitle))
        await ui.press("left", "left", "X")
        assert prompt.text == "a[pasted 40 lines]X", "what is written inside goes behind"
        await ui.press("backspace", "backspace")
        assert prompt.text == "a", "a label goes as a whole"
        await ui.press("ctrl+underscore")
        assert prompt.prompt == f"a{text}X"
        await ui.press("alt+o")
        assert prompt.text == f"a{text}X"
        assert str(prompt.border_subtitle) == ""
        await ui.press("ctrl+underscore")
        assert prompt.text == "a[pasted 40 lines]X"


async def test_the_palette_runs_the_prompts_own_commands(run):
    async with run() as ui:
        provider = ChatCommands(ui.app.screen)
        hits = [hit async for hit in provider.discover()]
        (hit,) = [hit for hit in hits if str(hit.display).startswith("Earlier prompts")]
        await hit.command()
        await ui.wait(lambda: ui.app.query_one(PickList).display)
