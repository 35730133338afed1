"""Answers while they are written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.owner import Owner, identify, is_gone, parse_owner
from chatapp.store.rows import NewGeneration, Outcome

NEW = NewGeneration(
    model_path="/m/tiny.gguf",
    model_name="tiny",
    fingerprint="f" * 64,
    template_hash="t" * 64,
    params_json='{"top_p": 0.9}',
    seed=5,
)


@pytest.fixture
def answer(store: Store, say: Callable[..., int]) -> int:
    prompt = say("why?")
    return store.begin_answer(store.get_message(prompt).conversation_id, prompt, NEW).id


def test_an_answer_from_begin_to_end(store: Store, answer: int) -> None:
    row = store.get_message(answer)
    assert (row.role, row.status, row.content, row.tokens) == ("assistant", "streaming", "", ())
    assert store.get_conversation(row.conversation_id).active_leaf_id == answer
    store.journal_answer(answer, parts_of("becau", "hmm"), [7, 2**31 - 1])
    row = store.get_message(answer)
    assert (row.status, row.content, row.tokens) == ("streaming", "becau", (7, 2**31 - 1))
    assert row.reasoning == "hmm"
    outcome = Outcome("stop", "", 42, 10, 4, 3, 0.5, 0.25, 900.0, 30.0)
    store.finish_answer(answer, parts_of("because", "hm"), [7, 8, 9], "complete", outcome=outcome)
    row = store.get_message(answer)
    assert (row.status, row.content, row.tokens) == ("complete", "because", (7, 8, 9))
    assert row.reasoning == "hm"
    made = row.generation
    assert made is not None
    assert (made.model_path, made.model_name, made.params_json) == (
        "/m/tiny.gguf",
        "tiny",
        '{"top_p": 0.9}',
    )
    assert (made.fingerprint, made.template_hash) == ("f" * 64, "t" * 64)
    assert (made.finish_reason, made.seed, made.message_id) == ("stop", 42, answer)
    assert (made.prompt_tokens, made.reused_tokens, made.completion_tokens) == (10, 4, 3)
    assert (made.load_s, made.ttft_s, made.prefill_tps, made.decode_tps) == (0.5, 0.25, 900, 30)


def test_the_seed_given_first_stays_unless_another_was_used(store: Store, answer: int) -> None:
    store.finish_answer(answer, parts_of(""), [], "failed", outcome=Outcome(error="out of memory"))
    made = store.get_message(answer).generation
    assert made is not None
    assert (made.seed, made.error) == (5, "out of memory")


def test_an_answer_is_found_once_it_is_finished_and_only_in_its_last_form(
    store: Store, answer: int
) -> None:
    store.journal_answer(answer, parts_of("elephants"), [1])
    assert store.search("elephants") == []
    store.finish_answer(answer, parts_of("elephants march"), [1, 2], "stopped")
    assert [hit.message_id for hit in store.search("elephants")] == [answer]
    store.resume_answer(answer)
    assert store.get_message(answer).tokens == (1, 2)
    assert store.get_message(answer).content == "elephants march"
    assert store.search("elephants") == []
    store.journal_answer(answer, parts_of("elephants march on"), [1, 2, 3])
    store.finish_answer(answer, parts_of("mammoths march on"), [4], "complete")
    assert store.search("elephants") == []
    assert [hit.message_id for hit in store.search("mammoths march")] == [answer]
    assert store.find_damage() == []


def test_what_is_finished_cannot_be_journalled(store: Store, answer: int) -> None:
    store.finish_answer(answer, parts_of("whole"), [1], "complete")
    with pytest.raises(StoreError, match="not being written"):
        store.journal_answer(answer, parts_of("who"), [])
    with pytest.raises(StoreError, match="not being written"):
        store.finish_answer(answer, parts_of("who"), [], "stopped")
    assert store.get_message(answer).content == "whole"
    assert store.get_message(answer).status == "complete"


def test_only_answers_can_be_resumed(store: Store, answer: int) -> None:
    prompt = store.get_message(answer).parent_id
    assert prompt is not None
    with pytest.raises(StoreError, match="is not an answer"):
        store.resume_answer(prompt)
    with pytest.raises(StoreError, match="being written at the moment"):
        store.resume_answer(answer)
    with pytest.raises(StoreError, match="32 bits"):
        store.journal_answer(answer, parts_of("x"), [2**31])


def test_regenerating_keeps_the_first_answer(store: Store, answer: int) -> None:
    row = store.get_message(answer)
    store.finish_answer(answer, parts_of("one"), [1], "complete")
    assert row.parent_id is not None
    again = store.begin_answer(row.conversation_id, row.parent_id).id
    store.finish_answer(again, parts_of("two"), [2], "complete")
    assert store.siblings(answer) == [answer, again]
    assert [store.get_message(id_).content for id_ in (answer, again)] == ["one", "two"]
    assert store.get_path(row.conversation_id)[-1].sibling_index == 1


def test_our_own_streaming_answers_are_not_recovered(store: Store, answer: int, path: Path) -> None:
    with Store.open(path) as other:
        assert other.recover() == []
    assert store.recover() == []
    assert store.get_message(answer).status == "streaming"


def become(store: Store, answer: int, owner: str, silent_s: float) -> None:
    with store.session.writing() as db:
        db.execute(
            "UPDATE messages SET owner = ?, heartbeat = heartbeat - ? WHERE id = ?",
            (owner, silent_s, answer),
        )


@pytest.mark.parametrize(
    ("owner", "silent_s", "expected"),
    [
        (Owner(2**22 + 1, "1", identify().host), 0, "interrupted"),
        (identify()._replace(born="1"), 0, "interrupted"),
        (identify()._replace(born=""), 1, "streaming"),
        (identify()._replace(born=""), 60, "interrupted"),
        (identify()._replace(host="elsewhere"), 1, "streaming"),
        (identify()._replace(host="elsewhere"), 60, "interrupted"),
        (Owner(10**17, "1", identify().host), 0, "interrupted"),
        ("", 0, "interrupted"),
        ("rubbish from a damaged file", 0, "interrupted"),
    ],
)
def test_who_is_taken_for_dead(
    store: Store, answer: int, owner: object, silent_s: float, expected: str
) -> None:
    store.journal_answer(answer, parts_of("half an elephant"), [1, 2])
    become(store, answer, str(owner), silent_s)
    assert store.recover() == ([answer] if expected == "interrupted" else [])
    row = store.get_message(answer)
    assert (row.status, row.content, row.tokens) == (expected, "half an elephant", (1, 2))
    assert bool(store.search("elephant")) == (expected == "interrupted")


def test_an_abandoned_answer_can_be_continued(store: Store, answer: int) -> None:
    store.journal_answer(answer, parts_of("half"), [1])
    become(store, answer, "", 0)
    store.recover()
    store.resume_answer(answer)
    store.finish_answer(answer, parts_of("half and half"), [1, 2], "complete")
    assert [hit.snippet for hit in store.search("half and")] != []
    assert store.get_message(answer).tokens == (1, 2)


def test_a_writer_that_was_given_up_goes_on(store: Store, answer: int) -> None:
    store.journal_answer(answer, parts_of("elephants"), [1])
    with store.session.writing() as db:
        db.execute("UPDATE messages SET status = 'interrupted' WHERE id = ?", (answer,))
        db.execute(
            "INSERT INTO message_fts (rowid, text) VALUES (?, 'elephants')",
            (answer,),
        )
    store.journal_answer(answer, parts_of("mammoths"), [1, 2])
    assert store.get_message(answer).status == "streaming"
    store.finish_answer(answer, parts_of("mammoths"), [1, 2], "complete")
    assert store.search("elephants") == []
    assert [hit.message_id for hit in store.search("mammoths")] == [answer]


def test_owners_are_read_as_they_are_written() -> None:
    me = identify()
    assert parse_owner(str(me)) == me
    assert not is_gone(me, 1000)
    nowhere = me._replace(born="")
    assert parse_owner(str(nowhere)) == nowhere
    assert parse_owner("12") is None


def test_every_run_of_an_answer_has_a_row_and_says_where_it_began(
    store: Store, answer: int
) -> None:
    store.finish_answer(answer, parts_of("half", "hm"), [1], "stopped")
    other = NewGeneration(model_name="other", fingerprint="bb")
    resumed = store.resume_answer(answer, other)
    assert [run.offset for run in resumed.generations] == [0, 6]
    assert [run.model_name for run in resumed.generations] == [NEW.model_name, "other"]
    assert (resumed.status, resumed.content, resumed.tokens) == ("streaming", "half", (1,))
    outcome = Outcome(finish_reason="stop", completion_tokens=9)
    store.finish_answer(answer, parts_of("half and half", "hm"), [1], "complete", outcome=outcome)
    first, second = store.get_message(answer).generations
    assert (first.finish_reason, second.finish_reason) == ("", "stop")
    assert store.get_message(answer).generation == second


def begin_three(store: Store, prompt: int) -> list[int]:
    conversation = store.get_message(prompt).conversation_id
    return [row.id for row in store.begin_answers(conversation, prompt, NEW, 3)]


def test_of_several_answers_the_first_is_shown_and_each_ends_alone(
    store: Store, say: Callable[..., int]
) -> None:
    prompt = say("and?")
    one, two, three = begin_three(store, prompt)
    store.journal_answer(three, parts_of("dr"), [3])
    store.finish_answer(two, parts_of("zwei"), [2], "stopped", outcome=Outcome(seed=8))
    rows = [store.get_message(answer) for answer in (one, two, three)]
    assert [row.status for row in rows] == ["streaming", "stopped", "streaming"]
    assert [row.content for row in rows] == ["", "zwei", "dr"]
    assert [(row.sibling_index, row.sibling_count) for row in rows] == [(0, 3), (1, 3), (2, 3)]
    assert [row.generation.seed for row in rows if row.generation] == [NEW.seed, 8, NEW.seed]
    assert [row.id for row in store.get_path(rows[0].conversation_id)][-1] == one
    assert [hit.message_id for hit in store.search("zwei")] == [two]


def test_an_answer_that_says_nothing_goes_unless_somebody_needs_it(
    store: Store, say: Callable[..., int]
) -> None:
    prompt = say("and?")
    one, two, three = begin_three(store, prompt)
    conversation = store.get_message(prompt).conversation_id
    store.add_message(conversation, Message.of("user", "below"), two)
    store.select_leaf(conversation, one)
    assert [store.drop_answer(answer) for answer in (one, two, three)] == [False, False, True]
    assert store.siblings(one) == [one, two]
    with pytest.raises(StoreError, match="is not being written here"):
        store.drop_answer(three)
    store.finish_answer(one, parts_of("done"), [], "complete")
    with pytest.raises(StoreError, match="is not being written here"):
        store.drop_answer(one)
    with store.session.reading() as db:
        (left,) = db.execute("SELECT count(*) FROM generations").fetchone()
    assert left == 2


def test_every_row_has_a_name_of_its_own(store: Store, answer: int) -> None:
    row = store.get_message(answer)
    conversation = store.get_conversation(row.conversation_id)
    named = {conversation.uid, *(message.uid for message in store.get_path(conversation.id))}
    assert len(named) == 3
    assert {len(uid) for uid in named} == {32}
