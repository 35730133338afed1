"""Whatever breaks: the app lives, nothing that was said is lost, one sentence explains it."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import NewGeneration
from chatapp.ui.forms.room import RoomForm
from chatapp.ui.messages import TextReturned


async def test_the_engine_dies_in_an_answer(run):
    async with run() as ui:
        await ui.write("/die\n/words 40")
        await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)
        await ui.idle()
        answer = ui.path()[1]
        assert answer.status == "interrupted"
        assert answer.content
        assert ui.pane.transcript.item(answer.id).status == "interrupted"
        await ui.wait(lambda: any("exit code 9" in text for text in ui.notices()))
        await ui.say("still there?")
        assert ui.said()[-1] == "still there?"


async def test_the_engine_is_killed_while_idle(run):
    async with run() as ui:
        await ui.say("one")
        before = ui.client.pid
        os.kill(before, signal.SIGKILL)
        await ui.wait(lambda: ui.client.pid is None)
        await ui.say("two")
        assert ui.client.pid not in (None, before)
        assert ui.said() == ["one", "one", "two", "two"]


async def test_the_engine_is_killed_in_prefill(run):
    async with run() as ui:
        await ui.write("/prefill 30000\nhello")
        await ui.wait(lambda: "reading" in ui.status.activity)
        os.kill(ui.client.pid, signal.SIGKILL)
        await ui.idle()
        assert ui.path()[1].status == "interrupted"
        assert ui.status.activity == ""


async def test_a_pasted_novel(run):
    text = "word " * 400_000
    async with run() as ui:
        from textual.events import Paste

        ui.app.post_message(Paste(text))
        await ui.wait(lambda: len(ui.pane.prompt.prompt) == len(text))
        await ui.press("enter")
        await ui.wait(lambda: isinstance(ui.app.screen, RoomForm))
        assert ui.path()[0].content == text.strip(), "it is kept, whatever is chosen now"
        await ui.press("escape")
        await ui.idle()
        assert len(ui.store.list_conversations()[0].title) <= 60
        await ui.press("ctrl+n")
        await ui.say("short")
        assert ui.said() == ["short", "short"]


async def test_a_storm_of_resizes(run):
    async with run(size=(100, 30)) as ui:
        await ui.write("/words 60\n/delay 5")
        for step in range(40):
            await ui.pilot.resize_terminal(3 + step * 7 % 150, 1 + step * 5 % 50)
        await ui.pilot.resize_terminal(80, 24)
        await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)
        await ui.idle()
        assert ui.path()[1].content.endswith("word60")
        await ui.say("fine")
        assert ui.said()[-1] == "fine"


async def test_a_message_that_cannot_be_stored_comes_back(run, monkeypatch):
    async with run() as ui:
        await ui.say("before")

        def fail(*args, **kwargs):
            raise StoreError("The disk is full.", "Make room.")

        monkeypatch.setattr(ui.store, "add_message", fail)
        await ui.write("precious words")
        await ui.wait(lambda: ui.pane.prompt.prompt == "precious words")
        await ui.wait(lambda: any("Make room" in text for text in ui.notices()))
        monkeypatch.undo()
        await ui.press("enter")
        await ui.wait(lambda: ui.said()[-2:] == ["precious words", "precious words"])


async def test_an_edit_that_cannot_be_stored_changes_nothing(run, monkeypatch):
    async with run() as ui:
        await ui.say("one")

        def fail(*args, **kwargs):
            raise StoreError("The history is locked.", "Close the other program.")

        monkeypatch.setattr(ui.store.branches, "edit", fail)
        await ui.press("ctrl+e")
        await ui.write("changed")
        await ui.wait(lambda: ui.pane.prompt.prompt == "changed")
        assert [row.content for row in ui.flow.rows] == ["one", "one"]
        assert ui.pane.editing is not None, "Enter tries the same edit again"


async def test_an_answer_that_cannot_be_stored_stays_on_the_screen(run, monkeypatch):
    async with run() as ui:

        def fail(*args, **kwargs):
            raise StoreError("The disk is full.", "Make room.")

        monkeypatch.setattr(ui.store, "finish_answer", fail)
        await ui.write("hello out there")
        await ui.wait(lambda: any("Make room" in text for text in ui.notices()))
        answer = ui.flow.rows[-1]
        assert ui.pane.transcript.item(answer.id).content == "hello out there"
        assert not ui.flow.answering.busy


async def test_the_end_that_did_not_fit_is_written_when_there_is_room(run, monkeypatch):
    async with run() as ui:

        def fail(*args, **kwargs):
            raise StoreError("The disk is full.", "Make room.")

        def stored():
            (chat,) = ui.store.list_conversations()
            return ui.store.get_path(chat.id)[1]

        monkeypatch.setattr(ui.store, "journal_answer", fail)
        monkeypatch.setattr(ui.store, "finish_answer", fail)
        await ui.write("/words 200\n/delay 5")
        await ui.streaming(100)
        await ui.press("escape")
        await ui.idle()
        answer = ui.flow.rows[-1]
        assert answer.status == "interrupted"
        assert stored().content == ""
        await ui.press("ctrl+g")  # still no room
        await ui.wait(lambda: any("Make room. (×2)" in text for text in ui.notices()))
        await ui.idle()
        monkeypatch.undo()
        await ui.press("ctrl+g")
        await ui.wait(lambda: stored().status == "complete")
        assert stored().content == " ".join(f"word{i}" for i in range(1, 201))


async def test_the_end_that_did_not_fit_is_written_before_the_next_answer_and_at_the_end(
    run, paths, monkeypatch
):
    failed = set()
    async with run() as ui:
        finish = ui.store.finish_answer

        def fail_once(message_id, *args, **kwargs):
            if message_id not in failed:
                failed.add(message_id)
                raise StoreError("The disk is full.", "Make room.")
            finish(message_id, *args, **kwargs)

        monkeypatch.setattr(ui.store, "finish_answer", fail_once)
        for n_rows, text in ((2, "one after the other"), (4, "last words")):
            await ui.write(text)
            await ui.wait(lambda n=n_rows: len(ui.flow.rows) == n)
            await ui.idle()
        first, last = ui.path()[1::2]
        assert (first.status, last.status) == ("complete", "streaming")
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    with Store.open(paths.history) as store:
        (chat,) = store.list_conversations()
        answers = store.get_path(chat.id)[1::2]
    assert [row.content for row in answers] == ["one after the other", "last words"]
    assert {row.status for row in answers} == {"complete"}


async def test_a_model_that_cannot_be_loaded_is_tried_again(run, tmp_path, tiny_model):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    async with run(ready=False, client=EngineClient(), model=broken) as ui:
        await ui.wait(lambda: any("broken.gguf" in text for text in ui.notices()))
        assert ui.client.model is None
        await ui.write("hello")
        await ui.wait(lambda: "Enter tries the model again" in ui.status.activity)
        assert ui.said() == ["hello"]
        await ui.write("more")
        await ui.wait(lambda: "1 message waits" in ui.status.activity)
        shutil.copy(tiny_model, broken)  # mended, or a server that is there now
        async with asyncio.timeout(60):
            while ui.client.model is None:  # the try of "more" may still be under way, and fail
                await ui.press("enter")
                await asyncio.sleep(0.1)
        # of random weights: it may end with its first word
        await ui.wait(lambda: len(ui.flow.rows) == 4 and not ui.flow.queue)
        assert [ui.flow.rows[place].content for place in (0, 2)] == ["hello", "more"]
        await ui.press("escape")
        await ui.idle()


async def test_another_chats_answer_is_not_stopped_unseen(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        busy = ui.flow.answering.busy_in
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.press("escape")
        assert any("belongs to another chat" in text for text in ui.notices())
        ui.pane.prompt.set_prompt("second")
        await ui.press("ctrl+c")
        assert ui.pane.prompt.text == "", "Ctrl+C clears as it always does"
        assert ui.flow.answering.busy
        ui.app.chat.chats.open(busy)
        await ui.wait(lambda: ui.app.chat.open_id == busy)
        await ui.press("escape")
        await ui.idle()
        assert ui.path()[-1].status == "stopped"


async def test_an_interrupted_answer_is_found_at_the_next_start(run, paths):
    store = Store.open(paths.history)
    conversation = store.create_conversation("crashed")
    from chatapp.conversation import Message

    asked = store.add_message(conversation, Message.of("user", "one two three four"), None).id
    answer = store.begin_answer(conversation, asked, NewGeneration(fingerprint="echo")).id
    store.journal_answer(answer, parts_of("one two"), [ord(c) for c in "one two"])
    leave_as_a_dead_process(store, answer)
    async with run(store=store, conversation_id=conversation) as ui:
        await ui.wait(lambda: len(ui.flow.rows) == 2)
        assert ui.path()[1].status == "interrupted"
        await ui.press("ctrl+g")
        await ui.wait(lambda: ui.path()[1].status == "complete")
        assert ui.path()[1].content == "one two three four"


def leave_as_a_dead_process(store: Store, answer: int) -> None:
    """What `kill -9` leaves: a streaming row whose owner is no more."""
    import subprocess
    import sys

    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    with store.session.writing() as db:
        owner = db.execute("SELECT owner FROM messages WHERE id = ?", (answer,)).fetchone()[0]
        dead = owner.replace(str(os.getpid()), child.stdout.decode().strip())
        assert dead != owner
        db.execute("UPDATE messages SET owner = ? WHERE id = ?", (dead, answer))


async def test_two_instances_share_one_history(run, paths):
    other = Store.open(paths.history)
    async with run() as first:
        await first.say("from the first")
        async with run(store=other) as second:
            await second.say("from the second")
            await first.say("again from the first")
        titles = {row.title for row in first.store.list_conversations()}
        assert titles == {"from the first", "from the second"}


@pytest.mark.parametrize("status", ["busy", "idle"])
async def test_quitting_ends_the_engine_and_keeps_the_text(run, paths, status):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        conversation = ui.app.chat.open_id
        if status == "idle":
            await ui.press("escape")
            await ui.idle()
        pid = ui.client.pid
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
        assert not Path(f"/proc/{pid}").exists()
    with Store.open(paths.history) as store:
        answer = store.get_path(conversation)[1]
        assert answer.status == "stopped"
        assert answer.content.startswith("word1 ")


async def test_sigterm_is_a_quit(run):
    async with run() as ui:
        pid = ui.client.pid
        os.kill(os.getpid(), signal.SIGTERM)
        await ui.wait(lambda: ui.app.return_code is not None)
        assert not Path(f"/proc/{pid}").exists()


async def test_a_waiting_message_does_not_hold_up_the_quit(run):
    async with run() as ui:
        ui.flow.answering.set_model_ready(False)
        await ui.write("later")
        await ui.wait(lambda: ui.flow.answering.waiting)
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
        assert ui.said() == ["later"]


async def test_text_sent_too_early_is_put_before_what_was_typed_since(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        ui.flow._post(TextReturned(ui.app.chat.open_id, "first", None))
        ui.pane.prompt.set_prompt("second")
        await ui.wait(lambda: ui.pane.prompt.prompt == "first\nsecond")


async def test_editing_ends_with_its_branch(run):
    async with run() as ui:
        await ui.say("one")
        await ui.press("ctrl+e")
        assert ui.pane.editing is not None
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.wait(lambda: ui.pane.editing is None and ui.status.activity == "")
        await ui.say("new")
        assert ui.said() == ["new", "new"]


async def test_a_disk_that_is_full_leaves_the_text_in_the_prompt_and_nothing_is_lost_in_silence(
    run, paths
):
    paths.draft.mkdir(parents=True)  # the file beside the history has no place either
    async with run() as ui:
        await ui.say("one")
        with ui.store.session.writing() as db:
            (n_pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {n_pages}")
        long = "precious words " * 2000
        await ui.write(long)
        await ui.wait(lambda: any("disk is full" in text for text in ui.notices()))
        await ui.wait(lambda: ui.pane.prompt.prompt.strip() == long.strip())
        assert ui.said() == ["one", "one"]
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
        assert ui.app.return_code == 1
        assert [text.strip() for text in ui.app.unkept] == [long.strip()]


async def test_what_the_file_beside_the_history_takes_is_kept(run, paths):
    async with run() as ui:
        with ui.store.session.writing() as db:
            (n_pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {n_pages}")
        ui.pane.prompt.set_prompt("precious words " * 2000)
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
        assert (ui.app.return_code, ui.app.unkept) == (0, [])
        assert paths.draft.read_text().startswith("precious words")
