"""A context that fills up: the meter, the choice before something would not fit, each way out."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import OptionList, Static

from chatapp.config import Config, EngineConfig
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.heads import Head, read_head
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import MessageRow, NewGeneration, Outcome
from chatapp.ui.forms.context import ContextForm
from chatapp.ui.forms.room import RoomForm
from chatapp.ui.forms.summary import SummaryForm
from chatapp.ui.items import item_of
from chatapp.ui.widgets.message import MessageView
from tests.ui.conftest import Driver, Run

SMALL = Config(engine=EngineConfig(n_ctx=900))
"""The scripted engine counts a character as a token."""
LONG = "x" * 260


async def fill(driver: Driver) -> list[str]:
    """Three turns that leave too little room for a fourth; what they say."""
    for text in ("first " + "a" * 100, "second " + "b" * 100, "third " + "c" * 120):
        await driver.say(text)
    return driver.said()


async def overfill(driver: Driver, text: str = LONG) -> None:
    await driver.write(text)
    await driver.wait(lambda: isinstance(driver.app.screen, RoomForm))
    await driver.wait(lambda: isinstance(driver.app.focused, OptionList))


async def choose(driver: Driver, way: str) -> None:
    options = driver.app.screen.query_one(OptionList)
    options.highlighted = options.get_option_index(way)
    await driver.press("enter")


async def answered(driver: Driver) -> None:
    await driver.wait(lambda: not isinstance(driver.app.screen, RoomForm | SummaryForm))
    await driver.wait(lambda: driver.flow.rows[-1].role == "assistant")
    await driver.idle()


def texts(driver: Driver) -> str:
    screen = driver.app.screen
    prompts = [str(option.prompt) for found in screen.query(OptionList) for option in found.options]
    return "\n".join([*(str(found.content) for found in screen.query(Static)), *prompts])


async def test_esc_keeps_the_message_that_does_not_fit(run: Run) -> None:
    async with run(config=SMALL) as driver:
        before = await fill(driver)
        await overfill(driver)
        assert "of 900 tokens" in texts(driver)
        await driver.press("escape")
        await driver.idle()
        assert driver.said() == [*before, LONG]
        assert any("is kept" in notice for notice in driver.notices())


async def test_the_oldest_are_left_out_and_come_back(run: Run) -> None:
    async with run(config=SMALL) as driver:
        before = await fill(driver)
        await overfill(driver)
        await choose(driver, "leave out")
        await answered(driver)
        rows = driver.path()
        assert read_head(rows[0]) == Head("omission", 6)
        assert [row.content for row in rows[1:]] == [LONG, LONG]
        assert "earlier: 6 messages left out, Alt+← shows them" in item_of(rows[0]).note
        await driver.press("alt+left")
        await driver.wait(lambda: driver.flow.rows[0].role == "user")
        assert driver.said() == [*before, LONG]


async def test_the_model_summarises_what_is_older(run: Run) -> None:
    async with run(config=SMALL) as driver:
        before = await fill(driver)
        await overfill(driver)
        assert "Summarise the" in texts(driver)
        await choose(driver, "summarise")
        await answered(driver)
        rows = driver.path()
        head = read_head(rows[0])
        assert head is not None
        assert head.kind == "summary"
        assert [row.content for row in rows[1:-2]] == before[head.n_messages :]
        assert rows[-2].content == LONG
        assert driver.flow.rows[0].id == rows[0].id
        assert driver.pane.transcript.item(rows[0].id).note.startswith("earlier: ")


async def test_a_new_chat_begins_with_the_message(run: Run) -> None:
    async with run(config=SMALL) as driver:
        before = await fill(driver)
        old = driver.app.chat.open_id
        assert old is not None
        await overfill(driver)
        await choose(driver, "new chat")
        await driver.wait(lambda: driver.app.chat.open_id not in (old, None))
        await answered(driver)
        assert driver.said() == [LONG, LONG]
        assert [row.content for row in driver.path_of(old)] == before


async def test_it_is_answered_in_what_room_there_is_and_says_that_it_ends_there(run: Run) -> None:
    async with run(config=SMALL) as driver:
        await fill(driver)
        await overfill(driver, "x" * 150)
        await choose(driver, "anyway")
        await answered(driver)
        row = driver.path()[-1]
        assert row.generation
        assert row.generation.finish_reason == "length"
        assert "/compact" in item_of(row).note
        assert "Ctrl+G" not in item_of(row).note
        before = driver.said()
        await driver.press("ctrl+g")
        await driver.wait(lambda: any("cannot go on here" in n for n in driver.notices()))
        assert driver.said() == before


async def test_a_prompt_that_the_engine_refuses_has_the_same_ways_out(run: Run) -> None:
    async with run(config=SMALL) as driver:
        await driver.say("hello")
        await overfill(driver, "/prefill 5000")
        assert "The prompt is 5000 tokens" in texts(driver)
        await driver.press("escape")
        await driver.idle()
        assert "/prefill 5000" in driver.said()


async def test_what_waits_behind_it_is_given_back(run: Run) -> None:
    async with run(config=SMALL) as driver:
        await fill(driver)
        await driver.write("/delay 40\n" + "y" * 60)
        await driver.streaming()
        await driver.write(LONG)
        await driver.write("and this")
        await driver.wait(lambda: isinstance(driver.app.screen, RoomForm))
        await driver.press("escape")
        await driver.idle()
        await driver.wait(lambda: driver.pane.prompt.prompt == "and this")
        assert driver.said()[-1] == LONG


async def test_the_meter_counts_what_is_being_written_too(run: Run) -> None:
    async with run(config=SMALL) as driver:
        await driver.say("hello")
        driver.pane.prompt.set_prompt("/context")
        await driver.press("enter")
        await driver.wait(lambda: isinstance(driver.app.screen, ContextForm))
        await driver.wait(lambda: "room left" in texts(driver))
        assert "The next prompt takes 10 of 900 tokens." in texts(driver)
        await driver.press("escape")
        assert not isinstance(driver.app.screen, ContextForm)


async def test_the_user_is_warned_once(run: Run) -> None:
    async with run(config=SMALL) as driver:
        for text in ("a" * 180, "b" * 190, "c"):
            await driver.say(text)
        assert sum("of the context is full" in notice for notice in driver.notices()) == 1


async def test_compact_and_the_edit_of_its_summary(run: Run) -> None:
    async with run() as driver:
        for text in ("one", "two", "three", "four"):
            await driver.say(text)
        await driver.write("/compact the numbers")
        await driver.wait(lambda: read_head(driver.flow.rows[0]) is not None)
        await driver.idle()
        assert "Above all, keep this: the numbers" in driver.said()[0]
        assert driver.said()[1:] == ["two", "two", "three", "three", "four", "four"]
        head = driver.flow.rows[0].id
        await driver.wait(lambda: driver.pane.transcript.holds(head))
        driver.pane.transcript.marked = head
        await driver.press("ctrl+e")
        await driver.wait(lambda: driver.pane.editing == head)
        driver.pane.prompt.set_prompt("We counted to four.")
        await driver.press("enter")
        await driver.wait(lambda: driver.flow.rows[0].content == "We counted to four.")
        await driver.idle()
        assert driver.said()[1:] == ["two", "two", "three", "three", "four", "four"]
        assert driver.path()[0].sibling_count == 3


async def test_a_summary_that_is_stopped_changes_nothing(run: Run) -> None:
    async with run() as driver:
        for text in ("/delay 0\n" + "a" * 6000, "two", "three", "four"):
            await driver.say(text)
        before = driver.path()
        await driver.write("/compact")
        await driver.wait(lambda: isinstance(driver.app.screen, SummaryForm))
        await driver.press("escape")
        await driver.idle()
        assert driver.path() == before
        await driver.say("five")


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_a_longer_context_is_loaded_and_the_message_answered(
    run: Run, tiny_model: Path, size: tuple[int, int]
) -> None:
    config = Config(engine=EngineConfig(n_ctx=512))
    client = EngineClient()
    async with run(config=config, client=client, model=tiny_model, size=size) as driver:
        await overfill(driver, "word " * 500)
        options = driver.app.screen.query_one(OptionList)
        await driver.wait(lambda: not options.get_option("longer").disabled)
        assert "of memory" in texts(driver)
        await choose(driver, "longer")
        await answered(driver)
        assert client.model
        assert client.model.n_ctx > 512
        assert driver.flow.settings.n_ctx == client.model.n_ctx
        assert driver.path()[-1].status == "complete"


async def test_what_is_sent_while_turns_are_counted_is_sent_afterwards(run: Run) -> None:
    async with run() as driver:
        await driver.say("only")
        driver.app.chat.room.compact("")
        await driver.flow.send("and then")
        await driver.wait(lambda: driver.said()[2:] == ["and then", "and then"])
        await driver.idle()
        assert any("nothing to summarise" in notice for notice in driver.notices())


async def test_the_chat_that_is_summarised_may_be_left_at_once(run: Run) -> None:
    async with run() as driver:
        await driver.say("only")
        driver.app.chat.room.compact("")
        await driver.flow.new()
        await driver.idle()
        await driver.wait(
            lambda: any("nothing to summarise" in notice for notice in driver.notices())
        )


async def test_a_pinned_message_stays_when_the_oldest_are_left_out(run: Run) -> None:
    async with run(config=SMALL) as driver:
        before = await fill(driver)
        driver.pane.transcript.marked = driver.flow.rows[0].id
        await driver.write("/pin message")
        await driver.wait(lambda: driver.flow.rows[0].pinned)
        assert any("stays word for word" in notice for notice in driver.notices())
        await overfill(driver)
        await choose(driver, "leave out")
        await answered(driver)
        assert driver.said()[1:3] == before[:2]
        assert read_head(driver.path()[0]) == Head("omission", 4)
        assert driver.path()[1].pinned


@pytest.mark.skipif(sys.platform == "win32", reason="halts the engine")
async def test_esc_while_the_chat_is_counted_stops_the_summary_and_says_that(run: Run) -> None:
    async with run(config=SMALL) as driver:
        await fill(driver)
        said = driver.said()
        assert driver.client.pid is not None
        os.kill(driver.client.pid, signal.SIGSTOP)  # it counts for as long as one likes
        try:
            await driver.write("/compact")
            await driver.wait(lambda: driver.flow.answering.busy)
            await driver.press("escape")
            await driver.wait(lambda: not driver.flow.answering.busy)
        finally:
            os.kill(driver.client.pid, signal.SIGCONT)
        await driver.wait(lambda: any("summary was stopped" in text for text in driver.notices()))
        assert not any("message is kept" in text for text in driver.notices())
        assert driver.said() == said
        await driver.say("and it goes on")


KEYS = {"continue": "f9", "regenerate": "f10", "previous_version": "f11"}


async def test_the_keys_that_are_named_are_the_users_own(run: Run) -> None:
    async with run(config=replace(Config(), keys=KEYS)) as driver:
        chat = driver.store.create_conversation("unanswered")
        driver.store.add_message(chat, Message.of("user", "and?"), None)
        driver.app.chat.chats.open(chat)
        await driver.wait(lambda: driver.app.chat.open_id == chat)
        await driver.wait(lambda: driver.pane.transcript.items[-1].note.startswith("Not answered"))
        assert "F10 asks for an answer" in driver.pane.transcript.items[-1].note


def stopped(prompt: int, completion: int, model: str = "/m/a.gguf") -> MessageRow:
    run = NewGeneration(model, "a", "f", "t", "{}")
    outcome = Outcome(prompt_tokens=prompt, completion_tokens=completion, finish_reason="cancelled")
    with Store.in_memory() as store:
        chat = store.create_conversation("one")
        asked = store.add_message(chat, Message.of("user", "and?"), None).id
        answer = store.begin_answer(chat, asked, run).id
        store.finish_answer(answer, parts_of("half"), [1], "stopped", outcome=outcome)
        return store.get_message(answer)


def test_a_stopped_answer_is_not_offered_to_go_on_where_it_cannot() -> None:
    for row, n_ctx, goes_on in (
        (stopped(90, 8), 100, False),
        (stopped(40, 20), 100, True),
        (stopped(90, 8), 4096, True),
        (stopped(90, 8), 0, True),
        (stopped(90, 8, "remote:x"), 100, True),
    ):
        item = item_of(row, n_ctx=n_ctx)
        assert item.goes_on is goes_on
        assert ("the context is full" in item.note) is not goes_on
        foot = "".join(run.text for run in MessageView(item)._foot_runs())
        assert ("Ctrl+G continues" in foot) is goes_on
        assert "stopped" in foot
