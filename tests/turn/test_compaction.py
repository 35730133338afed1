"""A conversation that outgrows its context: what fills it, what may go, the summary of that."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from chatapp.compaction import (
    Progress,
    Summary,
    can_summarise,
    edit_head,
    keep_for_omission,
    keep_for_summary,
    split,
    summary_tokens,
)
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions, ModelDescription
from chatapp.fullness import Tally, reserve_for, surely_fits, take_tally, trust_usage
from chatapp.heads import Head, count_missing, is_head, make_head, read_head
from chatapp.parts import File, Reasoning, Text, ToolCall, ToolResult
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.store.rows import MessageRow, NewGeneration, Outcome
from chatapp.turn import Turn, chat_messages

SYSTEM = "You are a helpful assistant."
TALK = (
    ("My name is Anna and I have a dog called Rex.", "Nice to meet you, Anna!"),
    ("What is the capital of France?", "The capital of France is Paris."),
    ("I travel there on 14 May with 500 euros.", "Book the train early."),
    ("Give me an idea for a present for Tom.", "A board game."),
    ("I take it.", "Tom will enjoy it."),
)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


@pytest.fixture
async def llama(tiny_model: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(tiny_model), n_ctx=2048))
    yield client
    await client.stop()


def add_talk(store: Store, talk: tuple[tuple[str, str], ...] = TALK) -> tuple[int, int]:
    """(conversation, its last message)."""
    conversation_id, leaf = store.create_conversation("talk", SYSTEM), None
    for asked, said in talk:
        leaf = store.add_message(conversation_id, Message.of("user", asked), leaf).id
        leaf = store.add_message(conversation_id, Message.of("assistant", said), leaf).id
    assert leaf is not None
    return conversation_id, leaf


def model_of(client: EngineClient) -> ModelDescription:
    assert client.model
    return client.model


@pytest.mark.parametrize("n", [1, 24])
@pytest.mark.parametrize("summary", ["", "Anna has a dog.\n\nHer brother is Tom."])
def test_a_head_says_what_it_stands_for(store: Store, n: int, summary: str) -> None:
    conversation_id, leaf = add_talk(store)
    keep = store.get_path(conversation_id)[-2].id
    store.branches.fork(conversation_id, leaf, keep, make_head(n, summary))
    rows = store.get_path(conversation_id)
    assert read_head(rows[0]) == Head("summary" if summary else "omission", n)
    assert summary in rows[0].content
    assert read_head(rows[1]) is None
    assert count_missing(rows, 2) == n + 1
    assert count_missing(rows, 0) == 0


def test_a_head_and_the_system_prompt_are_one_message_to_the_model(store: Store) -> None:
    conversation_id, leaf = add_talk(store)
    store.branches.fork(conversation_id, leaf, None, make_head(10, "Anna has a dog."))
    rows = store.get_path(conversation_id)
    (message,) = chat_messages(rows, SYSTEM, "")
    assert (message.role, message.content) == ("system", f"{SYSTEM}\n\n{rows[0].content}")
    (alone,) = chat_messages(rows, "", "")
    assert (alone.role, alone.content) == ("system", rows[0].content)


async def test_the_tally_adds_up_and_names_what_takes_the_context(
    store: Store, llama: EngineClient
) -> None:
    conversation_id, _ = add_talk(store)
    root = store.get_path(conversation_id)[0].id
    first = store.branches.edit(root, (File("a.txt", "word " * 90), Text("What is this?"))).id
    store.add_message(conversation_id, Message.of("assistant", "A file.", "a long thought"), first)
    rows = store.get_path(conversation_id)
    tally = await take_tally(llama, model_of(llama), rows, SYSTEM, written="and now?")
    shares = dict(tally.shares)
    assert sum(shares.values()) == tally.total == sum(tally.rows) + tally.rest
    assert shares["files"] > shares["what you said"] > 0
    assert min(shares["system"], shares["answers"], shares["being written"]) > 0
    assert "earlier turns" not in shares
    assert tally.room == 2048 - tally.total

    store.branches.fork(conversation_id, rows[-1].id, None, make_head(2, "A file of words."))
    rows = store.get_path(conversation_id)
    shares = dict((await take_tally(llama, model_of(llama), rows, SYSTEM)).shares)
    assert shares["earlier turns"] > shares["system"] > 0


def tally_of(rows: list[MessageRow], each: int, n_ctx: int, rest: int = 0) -> Tally:
    return Tally(n_ctx, rest + each * len(rows), (), (each,) * len(rows), rest)


def test_the_last_three_turns_stay_and_fewer_where_they_do_not_fit(store: Store) -> None:
    rows = store.get_path(add_talk(store)[0])
    assert keep_for_summary(rows, tally_of(rows, 10, 1000), 100) == len(rows) - 6
    tight = 40 + 100 + summary_tokens(240) + 32
    assert keep_for_summary(rows, tally_of(rows, 10, tight), 100) == len(rows) - 4
    assert keep_for_summary(rows, tally_of(rows, 500, 1000), 100) is None
    assert keep_for_summary(rows[:2], tally_of(rows[:2], 10, 1000), 100) is None


def test_half_a_context_stays_when_the_oldest_go(store: Store) -> None:
    rows = store.get_path(add_talk(store)[0])
    assert keep_for_omission(rows, tally_of(rows, 100, 1000), 100) == len(rows) - 4
    assert keep_for_omission(rows, tally_of(rows, 400, 1000), 100) == len(rows) - 2
    assert keep_for_omission(rows, tally_of(rows, 600, 1000), 100) is None


def test_a_head_in_other_words_is_a_head(store: Store) -> None:
    """It can be edited as any message; left out alone, it would be the only thing to go."""
    conversation_id, leaf = add_talk(store)
    keep = store.get_path(conversation_id)[-4].id
    store.branches.fork(conversation_id, leaf, keep, make_head(20, "Anna has a dog."))
    edit_head(store, store.get_path(conversation_id)[0], "We spoke of Anna.")
    rows = store.get_path(conversation_id)
    assert [row.role for row in rows[:2]] == ["system", "user"]
    assert is_head(rows[0])
    assert read_head(rows[0]) is None, "it does not say how much stood before it"
    assert not any(map(is_head, rows[1:]))
    assert keep_for_summary(rows, tally_of(rows, 10, 1000), 100) == 3
    assert keep_for_omission(rows, tally_of(rows, 10, 1000), 100) == 3


def test_a_call_of_a_tool_stays_with_its_result(store: Store) -> None:
    conversation_id, leaf = add_talk(store)
    for role, part in (
        ("user", Text("What is the weather?")),
        ("assistant", ToolCall("1", "weather", "{}")),
        ("tool", ToolResult("1", (Text("rain"),))),
        ("assistant", Text("It rains.")),
    ):
        leaf = store.add_message(conversation_id, Message(role, (part,)), leaf).id  # type: ignore[arg-type]
    rows = store.get_path(conversation_id)
    for n_ctx in range(100, 1500, 50):
        for choose in (keep_for_summary, keep_for_omission):
            first = choose(rows, tally_of(rows, 40, n_ctx), n_ctx // 10)
            assert first is None or rows[first].role == "user"


def test_room_is_kept_for_thoughts_where_there_are_any(store: Store) -> None:
    rows = store.get_path(add_talk(store)[0])
    plain, asked = SamplingParams(), SamplingParams(max_tokens=50)
    assert reserve_for(8192, rows, plain) == 819
    assert reserve_for(8192, rows, plain, "on") == 2 * 819
    assert reserve_for(8192, rows, plain, "low") == 819 + 512
    assert reserve_for(8192, rows, plain, "off") == 819
    assert reserve_for(8192, rows, asked, "on") == 50
    thought = Message("assistant", (Reasoning("hm"), Text("yes")))
    store.add_message(rows[0].conversation_id, thought, rows[-1].id)
    assert reserve_for(8192, store.get_path(rows[0].conversation_id), plain) == 2 * 819


def test_what_surely_fits_needs_no_count(store: Store) -> None:
    rows = store.get_path(add_talk(store)[0])
    assert surely_fits(rows, SYSTEM, 7000)
    assert not surely_fits(rows, SYSTEM, 500)
    assert not surely_fits(rows, "x" * 7000, 7000)


def test_what_a_server_counted_stands_for_all_but_what_was_said_since(store: Store) -> None:
    conversation_id, _ = add_talk(store)
    rows = store.get_path(conversation_id)
    run = NewGeneration(model_path="remote:lab", fingerprint="lab")
    counted = Outcome(prompt_tokens=700, completion_tokens=50)
    again = store.begin_answer(conversation_id, rows[-2].id, run)
    store.finish_answer(again.id, rows[-1].parts, (), "complete", outcome=counted)
    answer = store.get_tree(conversation_id).messages[-1]
    store.add_message(conversation_id, Message.of("user", "and now?"), answer.id)
    rows = store.get_path(conversation_id)
    each = 10 * len(rows)
    shares = (("what you said", each), ("chat format", 20))
    guessed = Tally(4096, each + 20, shares, (10,) * len(rows), 20, is_estimate=True)
    tally = trust_usage(guessed, rows, "lab")
    assert tally.total == 700 + 50 + 10 == sum(n for _, n in tally.shares)
    assert tally.total == sum(tally.rows) + tally.rest
    assert trust_usage(guessed, rows, "another server") == guessed


async def test_what_is_too_long_for_one_request_is_summarised_in_pieces(
    store: Store, llama: EngineClient
) -> None:
    talk = tuple((f"question {n} " * 60, f"answer {n} " * 60) for n in range(8))
    rows = store.get_path(add_talk(store, talk)[0])
    before = store.count_messages()
    seen: list[Progress] = []
    summary = Summary(llama, model_of(llama), SYSTEM, report=seen.append)
    assert await summary.make(rows)
    assert seen[-1].part == seen[-1].parts > 1
    assert any(progress.reading for progress in seen)
    assert store.count_messages() == before


async def test_one_message_that_is_too_long_is_divided_too(
    store: Store, llama: EngineClient
) -> None:
    rows = store.get_path(add_talk(store, (("word " * 4000, "A lot."),))[0])
    seen: list[Progress] = []
    assert await Summary(llama, model_of(llama), SYSTEM, report=seen.append).make(rows)
    assert seen[-1].parts > 1


async def test_a_summary_that_is_cancelled_leaves_the_engine_free(
    store: Store, llama: EngineClient
) -> None:
    rows = store.get_path(add_talk(store)[0])
    # from within: a small model is done before anybody else has heard that it began
    summary = Summary(llama, model_of(llama), SYSTEM, report=lambda _: work.cancel())
    work = asyncio.create_task(summary.make(rows))
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (await take_tally(llama, model_of(llama), rows, SYSTEM)).total


async def test_who_cannot_summarise_is_not_asked(llama: EngineClient) -> None:
    model = model_of(llama)
    assert can_summarise(replace(model, n_params=9_000_000))
    assert can_summarise(replace(model, chat_template=False))
    assert not can_summarise(replace(model, n_params=135_000_000))
    assert not can_summarise(replace(model, n_params=0, chat_template=False, host="server"))


async def test_a_real_model_answers_from_the_head(store: Store, smollm2: Path) -> None:
    client = EngineClient()
    model = await client.load(LoadOptions(path=str(smollm2), n_ctx=2048))
    try:
        conversation_id, leaf = add_talk(store)
        rows = store.get_path(conversation_id)
        assert await Summary(client, model, SYSTEM).make(rows)
        head = make_head(8, "The user is called Anna. Her dog is called Rex.")
        leaf = store.branches.fork(conversation_id, leaf, rows[-2].id, head)
        asked = Message.of("user", "What is the name of my dog?")
        message_id = store.add_message(conversation_id, asked, leaf).id
        turn = Turn(store, client, params=SamplingParams(temperature=0, max_tokens=30))
        async for _event in turn.answer(conversation_id, message_id):
            pass
        assert "Rex" in turn.state.text
    finally:
        await client.stop()


def test_turns_with_a_pin_stay(store: Store) -> None:
    conversation_id, _ = add_talk(store)
    rows = store.get_path(conversation_id)
    for pinned in (rows[1].id, rows[4].id):
        assert store.branches.pin(pinned).pinned
    rows = store.get_path(conversation_id)
    first = keep_for_summary(rows, tally_of(rows, 10, 1000), 100)
    assert first == len(rows) - 6
    parted = split(rows, first)
    assert parted.pinned == rows[:2]
    assert (parted.gone, parted.n_missing) == (rows[2:4], 2)

    head, stays = make_head(2, "Of Paris."), [row.id for row in parted.pinned]
    store.branches.fork(conversation_id, rows[-1].id, rows[first].id, head, stays)
    shorter = store.get_path(conversation_id)
    said = [row.content for row in rows]
    assert [row.content for row in shorter[1:]] == [*said[:2], *said[4:]]
    assert [row.pinned for row in shorter] == [False, False, True, True, *[False] * 5]
    again = split(shorter, 7)
    assert [row.content for row in again.pinned] == [*said[:2], *said[4:6]]
    assert again.n_missing == 2 + 2


def test_what_is_pinned_counts_as_what_stays(store: Store) -> None:
    conversation_id, _ = add_talk(store)
    store.branches.pin(store.get_path(conversation_id)[0].id)
    rows = store.get_path(conversation_id)
    assert keep_for_omission(rows, tally_of(rows, 100, 1000), 100) == len(rows) - 2
    assert keep_for_omission(rows, tally_of(rows, 300, 1000), 100) is None, "the pin has no room"


def test_where_every_older_turn_is_pinned_nothing_can_go(store: Store) -> None:
    conversation_id, _ = add_talk(store, TALK[:2])
    store.branches.pin(store.get_path(conversation_id)[1].id)
    rows = store.get_path(conversation_id)
    assert keep_for_summary(rows, tally_of(rows, 10, 1000), 100) is None
    assert keep_for_omission(rows, tally_of(rows, 10, 30), 10) is None
    assert not store.branches.pin(rows[1].id, pinned=False).pinned
    rows = store.get_path(conversation_id)
    assert keep_for_summary(rows, tally_of(rows, 10, 1000), 100) == 2
