"""A chat that is kept nowhere: begun and left inside the app, with nothing of it on the disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.store.rows import is_temporary
from chatapp.ui.widgets.status_line import compose_line
from chatapp.ui.widgets.welcome import WelcomeText, welcome_text
from tests.ui.test_room import LONG, SMALL, answered, choose, fill, overfill

SECRET = "rosebudwort"
ROOT = Path(__file__).parents[2]


def on_disk(folder: Path) -> bytes:
    """Every byte of every file: history, write-ahead log, logs, drafts, settings."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def begin(ui) -> int:
    """Begin a temporary chat; its id."""
    await ui.write("/temporary")
    await ui.wait(lambda: is_temporary(ui.app.chat.open_id) and ui.status.line.temporary)
    return ui.app.chat.open_id


def drawn(ui) -> str:
    return compose_line(ui.status.line, 80).plain


async def test_nothing_of_it_reaches_the_disk_whatever_is_done_in_it(run, tmp_path):
    async with run() as ui:
        await ui.say("an ordinary one")
        await begin(ui)
        await ui.say(f"the word is {SECRET}")
        await ui.press("ctrl+r")
        await ui.wait(lambda: len(ui.store.siblings(ui.path()[-1].id)) == 2)
        await ui.idle()
        await ui.write(f"/title {SECRET}")
        await ui.wait(lambda: ui.flow.conversation.title == SECRET)
        await ui.write(f"/system {SECRET}")
        await ui.wait(lambda: ui.flow.system == SECRET)
        last = ui.path()[-1].id
        await ui.write("/delete message")
        await ui.wait(lambda: ui.path()[-1].id != last)
        await ui.write("/undo")
        await ui.wait(lambda: ui.path()[-1].id == last)
        await ui.write("/words 4000\n/delay 20")
        await ui.streaming()
        await ui.write(f"waits: {SECRET}")
        await ui.wait(lambda: len(ui.flow.queue) == 1)
        ui.pane.prompt.set_prompt(f"begun: {SECRET}")
        await ui.wait(lambda: "begun" in ui.app.chat.drafts.known(None).text + ui.pane.unsent.text)
        await ui.app.chat.drafts.save()
        ui.app.faults.report(ValueError(SECRET))
        ui.app.faults.seen.clear()
        assert ui.app._large_copy() is None
        assert SECRET.encode() not in on_disk(tmp_path)
        await ui.press("ctrl+n")
        await ui.wait(lambda: any("is gone" in text for text in ui.notices()))
        await ui.idle()
        assert not ui.flow.queue
        ui.app.save_draft()
        assert SECRET.encode() not in on_disk(tmp_path)
        assert SECRET not in ui.pane.prompt.prompt
    assert SECRET.encode() not in on_disk(tmp_path)
    with Store.open(tmp_path / "history.db") as store:
        assert [row.title for row in store.list_conversations()] == ["an ordinary one"]


async def test_quitting_in_it_leaves_nothing_not_even_what_was_being_written(run, tmp_path):
    async with run() as ui:
        await begin(ui)
        await ui.say(f"the word is {SECRET}")
        await ui.write("/words 4000\n/delay 20")
        await ui.streaming()
        ui.pane.prompt.set_prompt(f"begun: {SECRET}")
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    assert SECRET.encode() not in on_disk(tmp_path)
    async with run() as ui:
        assert ui.pane.prompt.text == ""


async def test_what_is_typed_behind_the_command_in_one_burst_is_temporary_too(run, tmp_path):
    async with run() as ui:
        ui.pane.prompt.focus()
        for key in [*"/temporary", "enter", *SECRET]:
            ui.app.simulate_key(key)
        await ui.wait(lambda: ui.pane.prompt.text == SECRET and ui.status.line.temporary)
        await ui.app.chat.drafts.save()
        assert SECRET.encode() not in on_disk(tmp_path)
        await ui.press("enter")
        await ui.wait(lambda: ui.said() == [SECRET, SECRET])
        await ui.idle()
        assert SECRET.encode() not in on_disk(tmp_path)


async def test_it_is_drawn_and_the_command_again_goes_back(run):
    async with run() as ui:
        await ui.say("an ordinary one")
        ordinary = ui.app.chat.open_id
        assert "temporary" not in drawn(ui)
        first = await begin(ui)
        assert "temporary" in drawn(ui)
        assert "temporary" in str(ui.pane.prompt.border_title)
        text = ui.pane.query_one(WelcomeText)
        assert "Leaving it forgets it" in welcome_text(text.facts).plain
        await ui.write("/temporary")
        await ui.wait(lambda: ui.app.chat.open_id == ordinary)
        assert "temporary" not in drawn(ui)
        assert not ui.pane.prompt.border_title
        assert ui.notices() == []  # nothing was said in it, so nothing was lost
        second = await begin(ui)
        assert second != first
        await ui.say("hello")
        await ui.write("/temporary")
        await ui.wait(lambda: any("is gone" in text for text in ui.notices()))
        with pytest.raises(StoreError):
            ui.path_of(second)
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert "Leaving it forgets it" not in welcome_text(text.facts).plain


async def test_an_answer_that_is_being_written_in_it_ends_with_it(run):
    async with run() as ui:
        await begin(ui)
        await ui.write("/words 4000\n/delay 20")
        await ui.streaming()
        await ui.write("/new")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.idle()
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]


async def test_it_is_in_no_list_and_no_search(run):
    async with run(size=(120, 30)) as ui:
        await ui.say("an ordinary one")
        await begin(ui)
        await ui.say(f"the word is {SECRET}")
        for command in ("/pin", "/archive", "/tag x", "/delete"):
            await ui.write(command)
        await ui.wait(lambda: len([t for t in ui.notices() if "no list" in t]) >= 1)
        await ui.wait(lambda: any("/temporary goes back" in text for text in ui.notices()))
        await ui.write(f"/title {SECRET}")
        await ui.wait(lambda: ui.flow.conversation.title == SECRET)
        assert [row.title for row in ui.app.chat.sidebar.chats.rows] == ["an ordinary one"]
        assert ui.store.search(SECRET) == []
        assert ui.app.chat.parts.writing._find_earlier(SECRET, 10) == []


async def test_settings_of_a_new_chat_go_with_it(run):
    async with run() as ui:
        await ui.write("/set temperature 0.25")
        await ui.wait(lambda: ui.flow.settings.sampling.temperature == 0.25)
        await ui.write("/system be brief")
        await ui.wait(lambda: ui.flow.system == "be brief")
        await begin(ui)
        assert (ui.flow.settings.sampling.temperature, ui.flow.system) == (0.25, "be brief")


async def test_keeping_it_moves_it_into_the_history(run, tmp_path):
    async with run() as ui:
        await begin(ui)
        await ui.write("/keep")
        await ui.wait(lambda: any("nothing to keep" in text for text in ui.notices()))
        await ui.say("the word is rosebudwort")
        await ui.press("ctrl+r")
        await ui.wait(lambda: len(ui.store.siblings(ui.path()[-1].id)) == 2)
        await ui.idle()
        before = [row.uid for row in ui.path()]
        await ui.write("/keep")
        await ui.wait(lambda: any("Kept, as “the word is" in text for text in ui.notices()))
        assert not ui.status.line.temporary
        assert not any("is gone" in text for text in ui.notices())
        assert [row.uid for row in ui.path()] == before
        await ui.say("and on")
        assert len(ui.path()) == 4
        await ui.write("/keep")
        await ui.wait(lambda: any("kept already" in text for text in ui.notices()))
    assert SECRET.encode() in on_disk(tmp_path)
    with Store.open(tmp_path / "history.db") as store:
        [row] = store.list_conversations()
        assert row.title == "the word is rosebudwort"


async def test_a_new_chat_for_want_of_room_is_temporary_too(run, tmp_path):
    async with run(config=SMALL) as ui:
        old = await begin(ui)
        await fill(ui)
        await overfill(ui)
        await choose(ui, "new chat")
        await ui.wait(lambda: ui.app.chat.open_id not in (old, None))
        await answered(ui)
        assert ui.said() == [LONG, LONG]
        assert is_temporary(ui.app.chat.open_id)
        assert ui.status.line.temporary
        await ui.write("/new")
        await ui.wait(lambda: any("is gone" in text for text in ui.notices()))
    assert LONG.encode() not in on_disk(tmp_path)


async def test_export_works_in_it(run, tmp_path):
    async with run() as ui:
        await begin(ui)
        await ui.say(f"the word is {SECRET}")
        for name in ("chat.md", "chat.html", "chat.json"):
            await ui.write(f"/export {tmp_path / name}")
            await ui.wait(lambda name=name: any(name in text for text in ui.notices()))
            assert SECRET in (tmp_path / name).read_text()


async def test_where_every_chat_is_temporary_the_commands_say_so(run):
    async with run(store=Store.in_memory(), temporary=True) as ui:
        await ui.say("hello")
        for command in ("/temporary", "/keep"):
            await ui.write(command)
            await ui.wait(lambda: any("started with --temporary" in t for t in ui.notices()))
            ui.pane.prompt.clear_prompt()
            ui.app.clear_notifications()
        assert ui.said() == ["hello", "hello"]


def test_line_by_line_it_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    lines = [
        "an ordinary one",
        "/temporary",
        f"the word is {SECRET}",
        "/temporary",
        "/temporary",
        f"kept: {SECRET[:4]}",
        "/keep",
    ]
    done = subprocess.run(
        [sys.executable, "-c", _TYPIST, *lines],
        env={
            **os.environ,
            "CHATAPP_HOME": str(home),
            "CHATAPP_BACKEND": "echo",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert said.count("A temporary chat: nothing of it is kept.") == 2
    assert "Note: The temporary chat is gone." in said
    assert f"Note: Kept, as “kept: {SECRET[:4]}”." in said
    assert SECRET in said
    assert SECRET.encode() not in on_disk(home)
    with Store.open(home / "history.db") as store:
        assert {row.title for row in store.list_conversations()} == {
            "an ordinary one",
            f"kept: {SECRET[:4]}",
        }


_TYPIST = """
import subprocess, sys, time
chat = subprocess.Popen(
    [sys.executable, "-m", "chatapp", "--plain"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
)
def until(*ends):
    for line in chat.stdout:
        sys.stdout.write(line)
        if any(end in line for end in ends):
            return
until("Model: ")
for line in sys.argv[1:]:
    chat.stdin.write(line + "\\n")
    chat.stdin.flush()
    if line.startswith("/temporary"):
        until("A temporary chat", "Chat: ")
    elif line == "/keep":
        until("Kept, as")
    else:
        until("Assistant:")
        until(line)
        time.sleep(0.2)
chat.stdin.close()
sys.stdout.write(chat.stdout.read())
sys.exit(chat.wait())
"""
"""Writes each line when what the one before does has been told."""
