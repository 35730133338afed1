"""/export: by suffix, never over a file without asking."""

import json

from chatapp.ui.forms.overwrite import OverwriteForm


async def test_a_chat_is_written_by_suffix(run, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    async with run() as ui:
        await ui.write("/export")
        await ui.wait(lambda: any("nothing to export" in text for text in ui.notices()))
        await ui.say("question one?")
        await ui.press("ctrl+r")
        await ui.idle()
        await ui.write("/export")
        await ui.wait(lambda: (here / "question one.md").exists())
        assert "question one?" in (here / "question one.md").read_text()
        await ui.wait(lambda: any("question one.md" in text for text in ui.notices()))
        await ui.write("/export all.json")
        await ui.wait(lambda: (here / "all.json").exists())
        chat = json.loads((here / "all.json").read_text())["conversations"][0]
        assert len(chat["messages"]) == 3, "every branch"
        await ui.write("/export page.html")
        await ui.wait(lambda: (here / "page.html").exists())


async def test_a_file_is_replaced_only_when_one_says_so(run, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    old = here / "x.md"
    async with run() as ui:
        await ui.say("hello")
        old.write_text("mine")
        for keys, left in (
            (("escape",), {"x.md"}),
            (("enter",), {"x.md", "x 2.md"}),
            (("down", "enter"), {"x.md", "x 2.md"}),
        ):
            assert old.read_text() == "mine"
            await ui.write("/export x.md")
            await ui.wait(lambda: isinstance(ui.app.screen, OverwriteForm) and ui.app.focused)
            await ui.press(*keys)
            await ui.wait(lambda: len(ui.app.screen_stack) == 1)
            await ui.wait(lambda left=left: {path.name for path in here.iterdir()} == left)
        await ui.wait(lambda: "hello" in old.read_text())


async def test_what_cannot_be_written_is_said(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with run() as ui:
        await ui.say("hello")
        await ui.write("/export no/such/folder/x.md")
        await ui.wait(lambda: any("cannot be written" in text for text in ui.notices()))
        await ui.write("/export x.pdf")
        await ui.wait(lambda: any("no export format for .pdf" in text for text in ui.notices()))
        assert "/export x.pdf" in ui.pane.prompt.text


async def test_the_current_folder_is_deleted(run, tmp_path, monkeypatch):
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    async with run() as ui:
        await ui.say("hello")
        here.rmdir()
        await ui.write("/export")
        await ui.wait((home / "hello.md").exists)
        monkeypatch.chdir(home)
