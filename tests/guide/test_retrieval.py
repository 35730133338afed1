"""The facts that a question is about are found, and none for what is not about chatapp."""

from typing import Any

import pytest

from chatapp.guide.retrieval.spelling import edit_distance
from chatapp.guide.retrieval.words import has_han, read_words
from tests.guide.program import beyond, questions, real_guide

RIGHT = 0.97
"""Share of the questions of this folder whose facts are among the first four."""
STRAY, STRAY_SURELY = 0.25, 0.15
"""Share of what is beyond chatapp, most of it in chatapp's own words, that facts are found for; and
without a doubt that chatapp is meant."""


def ids_for(question: str, *before: str) -> list[str]:
    return [one for found in real_guide().find(question, before) for one in found.fact.ids]


def is_found(row: dict[str, Any]) -> bool:
    *before, question = row["ask"]
    ids = ids_for(question, *before)
    return any(one in ids for one in row.get("any", row.get("facts", []))) and all(
        one in ids for one in row.get("facts", [])
    )


@pytest.mark.parametrize("chinese", [False, True])
def test_the_facts_of_a_question_are_found(chinese: bool) -> None:
    rows = [row for row in questions() if has_han(" ".join(row["ask"])) is chinese]
    missed = [row["ask"] for row in rows if not is_found(row)]
    assert len(rows) > 90
    assert len(missed) <= (1 - RIGHT) * len(rows), missed


def test_nothing_is_found_for_what_is_beyond_chatapp() -> None:
    asked = beyond()
    found = {question: real_guide().find(question) for question in asked}
    stray = [question for question, facts in found.items() if facts]
    assert len(stray) <= STRAY * len(asked), stray
    surely = [question for question in stray if not found[question][0].is_doubtful]
    assert len(surely) <= STRAY_SURELY * len(asked), surely


def test_what_may_be_about_something_else_is_in_doubt() -> None:
    asked = ("how do I undo in Word", "what should i name my cat", "how can I save money")
    found = [real_guide().find(question) for question in asked]
    assert all(facts[0].is_doubtful for facts in found if facts)
    assert any(found)
    assert not any(one.is_doubtful for one in real_guide().find("how do I undo"))


def test_nothing_goes_on_from_what_was_not_about_chatapp() -> None:
    for said in ("hello", "how do i quit"):
        assert ids_for("who wrote that book about whales", said) == []
    assert "key:delete" not in ids_for("tell me more", "i want to die")
    still = real_guide().find("is there another way to do that in Word", ["how do I undo in Word"])
    assert all(one.is_doubtful for one in still)
    assert "key:theme" in ids_for("and how do i make it dark", "how do i quit")
    joked = ids_for("how do I undo in Word", "tell me a joke")
    assert joked == ids_for("how do I undo in Word") != []


@pytest.mark.parametrize(
    "asked", ["", "   ", "?!", "thank you so much!", "谢谢", "\0", "a" * 99_999]
)
def test_nothing_is_found_for_nothing(asked: str) -> None:
    assert ids_for(asked) == []


@pytest.mark.parametrize("asked", ["Lovely!", "tell me a joke", "how are you?", "收到", "讲个笑话"])
def test_small_talk_is_known_word_for_word(asked: str) -> None:
    assert ids_for(asked) == []


def test_small_talk_after_a_question_is_small_talk() -> None:
    assert ids_for("thanks!", "how do i quit") == []
    assert (
        ids_for("hello!") == ids_for("Hi, good morning") == ids_for("你好") == ["concept:greeting"]
    )
    assert "concept:greeting" not in ids_for("hello, how do i quit")
    assert ids_for("i want to die") == ids_for("我想死") == ["concept:crisis"]
    for asked in (
        "how do i kill a download that will not die",
        "my battery is going to die, are my chats safe",
        "did you see Suicide Squad",
        "我想死机之后恢复对话",
    ):
        assert ids_for(asked) != ["concept:crisis"]


def test_a_word_with_a_slip_in_it_is_understood() -> None:
    assert ids_for("regenrate the anser")[0] == "key:regenerate"
    assert ids_for("how to reanme a chta")[0] == "key:rename"


def test_two_wishes_get_the_facts_of_both() -> None:
    ids = ids_for("how do I stop the answer, and how do I rename the chat?")
    assert {"key:stop", "key:rename"} <= set(ids)
    assert {"key:stop", "key:new"} <= set(ids_for("先停止回答再新建对话"))


def test_a_question_that_goes_on_keeps_the_topic() -> None:
    assert "command:/undo" in ids_for("and how do I undo that?", "how do I delete a chat")
    assert "setting:sampling.temperature" in ids_for("what is the default?", "what is temperature")
    assert "key:theme" in ids_for("why?", "can i change the theme")


def test_names_are_found_by_themselves() -> None:
    assert "key:regenerate" in ids_for("what does ctrl+r do")
    assert "key:regenerate" in ids_for("ctrl r?")
    assert "command:/compact" in ids_for("/compact")
    assert "flag:ask --json" in ids_for("what is --json for")
    assert "setting:engine.n_ctx" in ids_for("n_ctx")


def test_keys_belong_to_every_program() -> None:
    assert ids_for("ctrl+c in excel") == ids_for("what does Ctrl+S do in photoshop") == []
    assert "key:regenerate" in ids_for("what does Ctrl+R do")


def test_words_that_mean_the_same_are_one_word() -> None:
    assert [word.text for word in read_words("Exit, LEAVE; quitting!")] == ["quit"] * 3
    assert [word.text for word in read_words("退出")] == [word.text for word in read_words("关掉")]


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("stop", "stop", 0), ("stpo", "stop", 1), ("stp", "stop", 1), ("delet", "deletes", 2)],
)
def test_slips_are_counted(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance
