"""How facts stand before a question: the form that models are trained on."""

from dataclasses import replace

from chatapp.guide.quoting import MARKS
from chatapp.guide.retrieval import Found
from chatapp.guide.retrieval.finding import MOST
from chatapp.guide.wording import (
    DOUBTFUL,
    NAME,
    NOTHING,
    UNSURE,
    is_knowledge,
    know,
    lay_out,
    put_before,
    question_in,
)
from chatapp.parts import File, Text
from tests.guide.program import questions, real_guide

MOST_LETTERS = 1300
"""Of a part: some 300 tokens of a small vocabulary."""


def test_facts_stand_on_lines_of_their_own() -> None:
    part = know(real_guide(), "how do i quit")
    assert part.name == NAME
    assert part.text.splitlines()[0].startswith("• Ctrl+Q or /quit leaves chatapp")
    assert know(real_guide(), "怎么退出").text.startswith("• Ctrl+Q 或 /quit 退出")


def test_it_says_when_nothing_is_known() -> None:
    assert know(real_guide(), "who won the world cup") == File(NAME, NOTHING["en"])
    assert know(real_guide(), "谁发明了电灯") == File(NAME, NOTHING["zh"])
    assert know(real_guide(), "") == File(NAME, NOTHING["en"])


def test_it_is_short_whatever_is_asked() -> None:
    for row in questions():
        *before, question = row["ask"]
        assert 0 < len(know(real_guide(), question, before).text) <= MOST_LETTERS


def test_a_message_has_it_once_and_first() -> None:
    old, new, note = File(NAME, "old"), File(NAME, "new"), File("notes.md", "x")
    parts = put_before((old, note, Text("why?")), new)
    assert parts == (new, note, Text("why?"))
    assert [is_knowledge(part) for part in parts] == [True, False, False]
    assert question_in(parts) == "why?"


def found(*scores: float) -> list[Found]:
    return [Found(fact, score) for fact, score in zip(real_guide().facts, scores, strict=False)]


def test_every_fact_has_a_mark_of_its_own() -> None:
    lines = lay_out(found(0.9, 0.05, 0.05), "en")
    assert [line[:2] for line in lines] == ["• ", "◦ ", "▪ "]
    assert lines[0][2:] == real_guide().facts[0].text["en"]
    assert len(set(MARKS)) == len(MARKS) >= MOST


def test_it_says_when_something_else_may_be_meant() -> None:
    doubtful = [replace(one, is_doubtful=True) for one in found(0.4, 0.3)]
    assert lay_out(doubtful, "en")[-1] == DOUBTFUL["en"]
    assert lay_out(doubtful[:1], "zh")[-1] == DOUBTFUL["zh"]
    assert lay_out([], "en") == [NOTHING["en"]]


def test_it_says_how_sure_it_is_that_the_first_is_meant() -> None:
    assert lay_out(found(0.9, 0.1), "en")[-1] not in UNSURE["en"]
    assert lay_out(found(0.5, 0.3), "en")[-1] == UNSURE["en"][0]
    assert lay_out(found(0.3, 0.3, 0.3), "zh")[-1] == UNSURE["zh"][1]
    assert lay_out(found(0.2), "en") == [f"• {real_guide().facts[0].text['en']}"]  # there is one
    assert lay_out([], "en") == [NOTHING["en"]]
