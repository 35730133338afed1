"""How facts are put before a model: a part of the message, before the question.

Promises that the form does not change by itself, because models are trained on it: a file called
`NAME` with a fact on each line behind a mark, the likeliest first, and below them a line where it
is not sure which one is meant, and a last one where it is not sure that any is; or one line that
says that there is none. It has some 300 tokens of a vocabulary of 4,096 at most.
"""

from collections.abc import Sequence

from chatapp.guide.facts import Language
from chatapp.guide.quoting import MARKS
from chatapp.guide.retrieval import Found, Guide
from chatapp.guide.retrieval.finding import language_of
from chatapp.parts import File, Part, Parts, Text, text_of

NAME = "What chatapp knows"
"""The name of the part, on screen, in the store and before the model."""
NOTHING: dict[Language, str] = {
    "en": "Nothing that fits this question.",
    "zh": "没有与此问题相关的内容。",
}
UNSURE: dict[Language, tuple[str, str]] = {
    "en": ("(Not sure which of these is meant.)", "(Not sure at all which of these is meant.)"),
    "zh": ("（不确定指的是哪一个。）", "（完全不确定指的是哪一个。）"),
}
"""Stands below facts of which the first is not much likelier than the others: two or three of them
are the answer then."""
DOUBTFUL: dict[Language, str] = {
    "en": "(Not sure that chatapp is meant.)",
    "zh": "（不确定问的是不是 chatapp。）",
}
"""Stands below facts where the question may be about something else: the answer says so first."""
WANTED = File(NAME, "")
"""Stands before a question until what is known of it has been found."""
_SURE, _HALF_SURE = 0.7, 0.5
"""How likely the first fact is, where it is clear that it is meant, and where it is one of two."""
_MOST_LETTERS: dict[Language, int] = {"en": 900, "zh": 420}


def know(guide: Guide, question: str, before: Sequence[str] = ()) -> File:
    """What is put before a question; `before` are those that were asked before it, oldest
    first."""
    language = language_of(question)
    if not question.strip():
        return File(NAME, NOTHING[language])
    found = guide.find(question, before)
    return File(NAME, "\n".join(lay_out(found, language)))


def lay_out(found: Sequence[Found], language: Language) -> list[str]:
    """The lines that stand before a question for which these facts were found."""
    lines = mark(_fit(found, language))
    if len(lines) > 1 and found[0].score < _SURE:
        lines.append(UNSURE[language][found[0].score < _HALF_SURE])
    if any(one.is_doubtful for one in found):
        lines.append(DOUBTFUL[language])
    return lines or [NOTHING[language]]


def mark(lines: Sequence[str]) -> list[str]:
    """Facts with the marks of their places before them."""
    return [f"{sign} {line}" for sign, line in zip(MARKS, lines, strict=False)]


def _fit(found: Sequence[Found], language: Language) -> list[str]:
    """The best of the facts that have room, the first one in any case."""
    lines: list[str] = []
    left = _MOST_LETTERS[language]
    for each in found:
        line = each.fact.text[language]
        if lines and len(line) > left:
            continue
        lines.append(line)
        left -= len(line)
    return lines


def is_knowledge(part: Part) -> bool:
    """Whether a part is what was put before a question."""
    return isinstance(part, File) and part.name == NAME


def known_in(parts: Parts) -> str:
    """What was put before the question of a message; empty where nothing was."""
    return next((part.text for part in parts if isinstance(part, File) and part.name == NAME), "")


def wants_knowledge(parts: Parts) -> bool:
    """Whether somebody asked for it, and it is still to be found."""
    return any(is_knowledge(part) and not part.text for part in parts if isinstance(part, File))


def put_before(parts: Parts, knowledge: File) -> Parts:
    """The parts of a message with what is known as the first of them, in place of any earlier."""
    return (knowledge, *(part for part in parts if not is_knowledge(part)))


def question_in(parts: Parts) -> str:
    """What was asked: the text of a message, without files."""
    return text_of(part for part in parts if isinstance(part, Text))
