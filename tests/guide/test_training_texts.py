"""What the built-in model learns to read from, as the recipe writes it."""

import tomllib
from pathlib import Path

import pytest

from bench.guide_questions import is_in_doubt
from chatapp.builtin.recipe.guide.scenes import Scenes, Talk
from chatapp.engine.content import as_text
from chatapp.engine.protocol import ChatMessage
from chatapp.guide.naming import names_in
from chatapp.guide.retrieval.learned import read_weights
from chatapp.guide.wording import DOUBTFUL, NAME
from chatapp.parts import File, Text
from tests.guide.program import real_guide

TABLES = Path(__file__).parent.parent.parent / "chatapp" / "builtin" / "recipe" / "guide"
COUNT = 300


@pytest.fixture(scope="module")
def talks() -> list[Talk]:
    scenes = Scenes(1, [read_weights()], renamed=1)
    return [scenes.draw() for _ in range(COUNT)]


def test_the_same_seed_gives_the_same(talks: list[Talk]) -> None:
    again = Scenes(1, [read_weights()], renamed=1)
    assert [again.draw().messages for _ in range(20)] == [talk.messages for talk in talks[:20]]
    other = Scenes(2, [read_weights()], renamed=1)
    assert [other.draw().messages for _ in range(20)] != [talk.messages for talk in talks[:20]]


def test_facts_stand_as_the_engine_puts_them() -> None:
    talk = Talk("real")
    talk.add("how do i quit", ["Ctrl+Q quits.", "Esc stops."], "Ctrl+Q quits.", "en")
    part = File(NAME, "Ctrl+Q quits.\nEsc stops.")
    message = as_text(ChatMessage("user", (part, Text("how do i quit"))))
    assert talk.messages[0]["content"] == message.content


def test_what_was_known_of_an_earlier_question_is_not_read_again() -> None:
    talk = Talk("follow")
    talk.add("how do i quit", ["• Ctrl+Q quits."], "• Ctrl+Q quits.", "en")
    talk.add("and stop", ["• Esc stops."], "• Esc stops.", "en")
    first, second = talk.as_dicts()
    assert (first["messages"], first["ask"]) == (talk.messages[:2], ["how do i quit"])
    assert second["messages"] == [
        {"role": "user", "content": "how do i quit"},
        {"role": "assistant", "content": "• Ctrl+Q quits.", "weight": 0},
        *talk.messages[2:],
    ]


def test_an_answer_names_nothing_that_was_not_put_before(talks: list[Talk]) -> None:
    for talk in talks:
        said = [one for one in talk.messages if one["role"] != "system"]
        for number, one in enumerate(said):
            if one["role"] == "assistant":
                read = " ".join(earlier["content"] for earlier in said[:number])
                assert names_in(one["content"]) <= names_in(read), one["content"]


def test_most_answers_are_copied_from_the_facts(talks: list[Talk]) -> None:
    copied = [talk for talk in talks if talk.kind in ("real", "renamed", "invented", "words")]
    for talk in copied:
        *_, question, answer = talk.messages
        lines = question["content"].splitlines()
        assert any(line and answer["content"].endswith(line) for line in lines), answer["content"]


def test_an_answer_says_first_what_is_not_sure(talks: list[Talk]) -> None:
    doubtful = 0
    for talk in talks:
        said = [one for one in talk.messages if one["role"] != "system"]
        for asked, answer in zip(said[::2], said[1::2], strict=True):
            known = asked["content"].partition("\n```\n\n")[0]
            is_doubtful = known.endswith(tuple(DOUBTFUL.values()))
            assert is_in_doubt(answer["content"]) == is_doubtful, answer["content"]
            doubtful += is_doubtful
    assert doubtful > 0.02 * len(talks)


def test_half_of_what_is_told_is_true_of_no_program(talks: list[Talk]) -> None:
    told = [talk.kind for talk in talks if talk.kind not in ("beyond", "small")]
    assert sum(kind != "real" for kind in told) > len(told) / 2
    assert {"beyond", "small", "unfit", "follow", "both"} <= {talk.kind for talk in talks}


def test_a_fifth_is_chinese(talks: list[Talk]) -> None:
    chinese = sum(
        any("\u3400" <= letter <= "\u9fff" for letter in talk.asked[-1]) for talk in talks
    )
    assert 0.1 < chinese / len(talks) < 0.3


@pytest.mark.parametrize("table", ["wishes", "patterns"])
def test_every_wish_is_for_a_fact(table: str) -> None:
    known = {one for fact in real_guide().facts for one in fact.ids}
    wished = tomllib.loads((TABLES / f"{table}.toml").read_text(encoding="utf-8"))
    assert set(wished) <= known


def test_what_is_asked_next_is_a_fact() -> None:
    known = {one for fact in real_guide().facts for one in fact.ids} | {"beyond"}
    follows = tomllib.loads((TABLES / "follows.toml").read_text(encoding="utf-8"))["follow"]
    assert {one[name] for one in follows for name in ("after", "then")} <= known
