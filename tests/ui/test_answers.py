"""Sending, streaming, stopping, going on: the rows are what counts."""

import os
import signal
from dataclasses import replace

import pytest
from textual.events import AppBlur, AppFocus
from textual.widgets import Static

from chatapp.config import Config
from chatapp.ui.app import ChatApp
from chatapp.ui.forms.room import RoomForm


async def test_a_message_and_its_answer_are_stored(run):
    async with run() as ui:
        await ui.say("hello there")
        rows = ui.path()
        assert [row.role for row in rows] == ["user", "assistant"]
        assert [row.content for row in rows] == ["hello there", "hello there"]
        assert rows[1].status == "complete"
        assert ui.store.get_conversation(rows[0].conversation_id).title == "hello there"
        assert ui.pane.transcript.item(rows[1].id).content == "hello there"
        assert ui.pane.prompt.prompt == ""
        assert ui.status.line.prompt_tokens == len("hello there")


async def test_no_row_exists_before_the_first_message(run):
    async with run() as ui:
        assert ui.store.list_conversations() == []
        await ui.write("   ")
        assert ui.store.list_conversations() == []


async def test_a_conversation_goes_on(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        assert ui.said() == ["one", "one", "two", "two"]


async def test_escape_stops_and_keeps_the_text(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        await ui.press("escape")
        await ui.idle()
        answer = ui.path()[-1]
        assert answer.status == "stopped"
        assert answer.content.startswith("word1 ")
        assert "word5000" not in answer.content
        assert ui.pane.transcript.item(answer.id).content == answer.content


async def test_escape_stops_during_prefill(run):
    async with run() as ui:
        await ui.write("/prefill 30000\nhello")
        await ui.wait(lambda: "reading" in ui.status.activity)
        await ui.press("escape")
        await ui.idle()
        assert ui.path()[-1].status == "stopped"
        assert ui.status.activity == ""


async def test_a_stopped_answer_goes_on_from_its_last_token(run):
    async with run() as ui:
        await ui.write("/words 60\n/delay 20")
        await ui.streaming()
        await ui.press("escape")
        await ui.idle()
        stopped = ui.path()[-1]
        await ui.press("ctrl+g")
        await ui.wait(lambda: ui.path()[-1].status == "complete")
        await ui.idle()
        answer = ui.path()[-1]
        assert answer.id == stopped.id
        assert answer.content == " ".join(f"word{i}" for i in range(1, 61))
        assert ui.pane.transcript.item(answer.id).content == answer.content


async def test_continue_refuses_a_complete_answer(run):
    async with run() as ui:
        await ui.say("done")
        await ui.press("ctrl+g")
        await ui.wait(lambda: any("nothing to continue" in text for text in ui.notices()))
        assert ui.said() == ["done", "done"]


async def test_what_is_sent_during_an_answer_waits_for_its_end(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        await ui.write("one more")
        await ui.write("and another")
        await ui.wait(lambda: "2 messages wait" in ui.status.activity)
        assert ui.pane.prompt.prompt == ""
        assert len(ui.path()) == 2
        await ui.press("escape")
        await ui.wait(lambda: len(ui.flow.rows) == 6 and not ui.flow.answering.busy)
        assert ui.path()[1].status == "stopped"
        assert ui.said()[2:] == ["one more", "one more", "and another", "and another"]
        assert ui.flow.queue == []


async def test_what_waits_can_be_taken_back(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        await ui.write("first")
        await ui.write("second")
        await ui.press("up")
        await ui.wait(lambda: ui.pane.prompt.prompt == "second")
        assert [queued.text for queued in ui.flow.queue] == ["first"]
        ui.pane.prompt.set_prompt("")
        await ui.press("up")
        await ui.wait(lambda: ui.pane.prompt.prompt == "first")
        await ui.press("escape")
        await ui.idle()
        assert len(ui.path()) == 2


async def test_what_waits_is_sent_where_it_was_written(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        first = ui.app.chat.open_id
        await ui.write("for the first")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.write("for the second")
        await ui.wait(lambda: len(ui.flow.queue) == 2)
        assert ui.path_of(first)[-1].status == "streaming"
        ui.flow.answering.stop()
        await ui.wait(lambda: len(ui.flow.rows) == 2 and not ui.flow.answering.busy)
        assert ui.said() == ["for the second", "for the second"]
        assert [row.content for row in ui.path_of(first)][2:] == ["for the first"] * 2


async def test_what_waits_comes_back_when_the_answer_before_fails(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        await ui.write("and now")
        os.kill(ui.client.pid, signal.SIGKILL)
        await ui.wait(lambda: ui.pane.prompt.prompt == "and now")
        assert ui.flow.queue == []
        assert ui.path()[-1].status == "interrupted"


async def test_typing_while_the_model_loads_queues_the_message(run):
    async with run(ready=False) as ui:
        ui.flow.answering.set_model_ready(False)
        await ui.write("early bird")
        await ui.wait(lambda: bool(ui.store.list_conversations()))
        stored = ui.store.list_conversations()[0]
        assert stored.title == "early bird"
        await ui.wait(lambda: len(ui.store.get_path(stored.id)) == 2 and not ui.flow.answering.busy)
        assert ui.said() == ["early bird", "early bird"]


async def test_a_queued_message_says_so_and_can_be_withdrawn(run):
    async with run() as ui:
        ui.flow.answering.set_model_ready(False)
        await ui.write("later")
        await ui.wait(lambda: "will be sent when the model is ready" in ui.status.activity)
        assert ui.said() == ["later"]
        await ui.press("escape")
        await ui.idle()
        assert ui.said() == ["later"]
        ui.flow.answering.set_model_ready(True)
        await ui.press("ctrl+r")
        await ui.wait(lambda: ui.said() == ["later", "later"])


async def test_a_failed_request_is_marked_and_explained(run):
    async with run() as ui:
        await ui.write("/fail")
        await ui.wait(lambda: any("asked to fail" in text for text in ui.notices()))
        answer = ui.path()[-1]
        assert answer.status == "failed"
        assert "asked to fail" in ui.pane.transcript.item(answer.id).note


async def test_an_overflowing_prompt_is_refused_with_numbers(run):
    async with run() as ui:
        await ui.write("x" * 33_000)
        await ui.wait(lambda: isinstance(ui.app.screen, RoomForm))
        assert "33 000 of 32 768 tokens" in str(ui.app.screen.query(Static).first().content)
        await ui.press("escape")
        await ui.idle()
        assert [row.content for row in ui.path()] == ["x" * 33_000]
        await ui.press("ctrl+n")
        await ui.say("short")
        assert ui.said() == ["short", "short"]


@pytest.mark.parametrize("text", ["北京 🎉 naïve", "\x1b[31mred\x1b[0m"])
async def test_what_was_said_is_stored_as_it_was(run, text):
    async with run() as ui:
        await ui.say(text)
        assert ui.path()[1].content == ui.path()[0].content
        assert "北京" in ui.path()[0].content or "red" in ui.path()[0].content


@pytest.mark.parametrize(("bell", "watched", "rings"), [(1, 0, 1), (1, 1, 0), (0, 0, 0)])
async def test_the_terminal_rings_when_an_answer_ends_unwatched(
    run, monkeypatch, bell, watched, rings
):
    rung = []
    monkeypatch.setattr(ChatApp, "bell", lambda _self: rung.append(1))
    config = replace(Config(), ui=replace(Config().ui, bell=bool(bell)))
    async with run(config=config) as ui:
        await ui.write("/words 40\n/delay 30")
        await ui.streaming()
        ui.app.post_message(AppFocus() if watched else AppBlur())  # a key has the focus, too
        await ui.wait(lambda: ui.app.app_focus == bool(watched))
        await ui.idle()
        assert ui.path()[-1].status == "complete"
        assert len(rung) == rings
