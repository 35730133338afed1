"""What an answer says is told a few times a second, and nothing of it is left out."""

import asyncio

from textual.message import Message as Fact

from chatapp.answer import AnswerState
from chatapp.parts import Text
from chatapp.ui.chat.gathering import Gathering
from chatapp.ui.messages import AnswerText


def said(message_id: int, text: str, n_tokens: int = 1) -> AnswerText:
    return AnswerText(7, message_id, AnswerState((Text(text),)), n_tokens)


def told(posted: list[Fact]) -> list[tuple[int, str, int, int]]:
    facts = [fact for fact in posted if isinstance(fact, AnswerText)]
    return [(fact.message_id, fact.state.text, fact.n_tokens, fact.n_pieces) for fact in facts]


async def test_the_first_word_is_told_at_once_and_those_behind_it_together():
    posted: list[Fact] = []
    gathering = Gathering(posted.append)
    gathering.add(said(1, "a"))
    assert told(posted) == [(1, "a", 1, 1)]
    gathering.add(said(1, "ab"))
    gathering.add(said(1, "abc", 2))
    assert len(posted) == 1
    while len(posted) < 2:
        await asyncio.sleep(0.01)
    assert told(posted)[1:] == [(1, "abc", 3, 2)]
    gathering.close()
    assert len(posted) == 2


async def test_each_answer_is_told_and_the_end_waits_for_nothing():
    posted: list[Fact] = []
    gathering = Gathering(posted.append)
    gathering.add(said(1, "a"))
    gathering.add(said(2, "x"))
    gathering.add(said(1, "ab"))
    gathering.close()
    assert told(posted) == [(1, "a", 1, 1), (2, "x", 1, 1), (1, "ab", 1, 1)]
    await asyncio.sleep(0.15)
    assert len(posted) == 3, "nothing is told behind the end"


async def test_after_a_silence_a_word_is_told_at_once_again():
    posted: list[Fact] = []
    gathering = Gathering(posted.append)
    gathering.add(said(1, "a"))
    while gathering._timer is not None:
        await asyncio.sleep(0.01)
    gathering.add(said(1, "ab"))
    assert [text for _, text, _, _ in told(posted)] == ["a", "ab"]
    gathering.close()
