"""What nobody expected: it is said, costs nothing that was written, and leaves nobody deaf."""

import asyncio
import os
import signal
import threading

from textual.widgets import OptionList

from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.ui.screens.models import ModelsScreen


async def test_an_unexpected_error_in_a_worker_costs_nothing(run, paths, monkeypatch):
    async with run(faults=True) as ui:
        await ui.say("before")

        def fail(*args, **kwargs):
            raise MemoryError("no room for that")

        monkeypatch.setattr(ui.store, "add_message", fail)
        await ui.write("precious words")
        await ui.wait(lambda: any("MemoryError: no room for that" in n for n in ui.notices()))
        await ui.wait(lambda: ui.pane.prompt.prompt == "precious words")
        assert any(str(paths.screen_log) in text for text in ui.notices())
        assert "in add_message" in (log := paths.screen_log.read_text()) or "in fail" in log
        monkeypatch.undo()
        await ui.press("enter")
        await ui.wait(lambda: ui.said()[-2:] == ["precious words", "precious words"])


async def test_an_unexpected_error_in_a_handler_leaves_nobody_deaf(run, monkeypatch):
    async with run(faults=True) as ui:
        await ui.say("one")

        def fail(*args, **kwargs):
            raise ValueError("what is that")

        with monkeypatch.context() as broken:
            broken.setattr(ui.flow, "regenerate", fail)  # in the app's own loop
            await ui.press("ctrl+r")
            await ui.wait(lambda: len(ui.app.faults.seen) == 1)
        with monkeypatch.context() as broken:
            broken.setattr(ui.pane.transcript, "append", fail)  # in the pane's
            ui.app.faults._last.clear()
            await ui.write("two")
            await ui.wait(lambda: len(ui.app.faults.seen) == 2)
        await ui.idle()
        await ui.say("three")
        assert ui.said()[-1] == "three"
        assert ui.pane.transcript.items[-1].content == "three"


async def test_an_error_that_comes_back_all_the_time_is_said_once(run, monkeypatch):
    async with run(faults=True) as ui:

        def fail(*args, **kwargs):
            raise ZeroDivisionError("drawn 25 times a second")

        with monkeypatch.context() as broken:
            broken.setattr("chatapp.ui.widgets.message.MessageView.flush", fail)
            await ui.write("/words 40\n/delay 10")
            await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)
        await ui.idle()
        assert len(ui.app.faults.seen) == 1
        await ui.say("fine")
        assert ui.said()[-1] == "fine"


async def test_a_screen_that_cannot_be_drawn_can_be_left(run, monkeypatch):
    async with run(faults=True) as ui:
        ui.pane.prompt.set_prompt("draft")

        def fail(*args, **kwargs):
            raise LookupError("no help")

        monkeypatch.setattr("chatapp.ui.screens.help.HelpScreen.compose", fail)
        await ui.press("f1")
        await ui.wait(lambda: any("no help" in text for text in ui.notices()))
        await ui.press("escape")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)
        await ui.press("x")
        assert ui.pane.prompt.prompt == "draftx"


async def test_errors_that_nobody_waits_for_are_not_printed_over_the_screen(run, capfd):
    async with run(faults=True) as ui:

        async def stray() -> None:
            raise RuntimeError("a task alone")

        def thread() -> None:
            raise RuntimeError("a thread alone")

        task = asyncio.create_task(stray())
        await ui.wait(task.done)
        del task
        threading.Thread(target=thread).start()
        await ui.wait(lambda: len(ui.app.faults.seen) == 2)
    assert "alone" not in capfd.readouterr().err


async def test_no_memory_for_a_process_ends_an_answer_not_the_app(run, monkeypatch):
    async with run(faults=True) as ui:

        async def fail(*args, **kwargs):
            raise OSError(12, "Cannot allocate memory")

        with monkeypatch.context() as broken:
            broken.setattr(asyncio, "create_subprocess_exec", fail)
            os.kill(ui.client.pid, signal.SIGKILL)
            await ui.wait(lambda: ui.client.pid is None)
            await ui.write("first")
            await ui.wait(lambda: any("Cannot allocate memory" in n for n in ui.notices()))
            await ui.wait(lambda: not ui.flow.answering.busy)
        await ui.say("second")
        assert ui.said()[0] == "first"
        assert ui.said()[-1] == "second"


async def test_the_current_folder_is_deleted(run, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    async with run() as ui:
        here.rmdir()
        ui.pane.prompt.set_prompt("draft")
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: options.option_count > 0)
        await ui.press("escape")
        assert ui.pane.prompt.prompt == "draft"
        os.kill(ui.client.pid, signal.SIGKILL)
        await ui.wait(lambda: ui.client.pid is None)
        await ui.say("still there?")
        assert ui.said()[-1] == "still there?"


async def test_what_was_being_written_is_back_at_the_next_start(run, paths):
    async with run() as ui:
        await ui.say("one")
        chat = ui.app.chat.open_id
        ui.pane.prompt.set_prompt("half a\nsentence")
        await ui.press("alt+up", "alt+up", "ctrl+e")
        await ui.press("!", "ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    async with run(conversation_id=chat) as ui:
        await ui.wait(lambda: ui.pane.prompt.prompt == "one!")
        await ui.press("escape")
        await ui.wait(lambda: ui.pane.prompt.prompt == "half a\nsentence")
        ui.pane.prompt.set_prompt("")
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    async with run(conversation_id=chat) as ui:
        await ui.wait(lambda: len(ui.flow.rows) == 2)
        assert ui.pane.prompt.prompt == ""


async def test_every_chat_has_its_own_draft(run):
    async with run() as ui:
        await ui.say("one")
        first = ui.app.chat.open_id
        await ui.press(*"for one")
        await ui.press("ctrl+n", *"for new")
        assert ui.pane.prompt.prompt == "for new"
        ui.app.chat.chats.open(first)
        await ui.press("!")
        await ui.wait(lambda: ui.app.chat.open_id == first)
        assert ui.pane.prompt.prompt == "for one!"
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert ui.pane.prompt.prompt == "for new"


async def test_a_draft_is_kept_while_it_is_written(run, paths):
    """Nothing that ends the app has to tell it first."""
    async with run() as ui:
        await ui.press(*"not sent")
        await ui.wait(
            lambda: (d := ui.store.prompts.get_draft(None)) is not None and d.text == "not sent"
        )
        await ui.press("enter")
        await ui.wait(lambda: ui.store.prompts.get_draft(None) is None)
        await ui.idle()
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        await ui.write("waits")
        await ui.press(*"and more")
        chat = ui.app.chat.open_id
        both = "waits\n\nand more"
        await ui.wait(
            lambda: (d := ui.store.prompts.get_draft(chat)) is not None and d.text == both
        )


async def test_where_the_store_refuses_a_file_keeps_the_draft(run, paths, monkeypatch):
    async with run() as ui:

        def fail(*args, **kwargs):
            raise StoreError("The disk is full.")

        monkeypatch.setattr(ui.store.prompts, "save_draft", fail)
        await ui.press(*"not sent", "ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    assert paths.draft.stat().st_mode & 0o777 == 0o600
    async with run() as ui:
        await ui.wait(lambda: ui.pane.prompt.prompt == "not sent")
        assert any("back in the prompt" in text for text in ui.notices())
        assert not paths.draft.exists()


async def test_a_temporary_chat_leaves_no_draft_and_no_log(run, paths, monkeypatch):
    async with run(store=Store.in_memory(), temporary=True, faults=True) as ui:

        def fail(*args, **kwargs):
            raise ValueError("secret")

        monkeypatch.setattr(ui.store, "add_message", fail)
        await ui.write("secret")
        await ui.wait(lambda: bool(ui.app.faults.seen))
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    assert not paths.draft.exists()
    assert not paths.screen_log.exists()
