"""A conversation that outgrows its context: what may go, and the summary of what goes.

What goes stays in the store: a shorter branch is made beside the old one, whose first message (its
head) says what stood before it. A cut is made before a message of the user, so a call of a tool and
its result stay together. Nothing here knows the screen.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.content import countable
from chatapp.engine.protocol import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    Measure,
    ModelDescription,
    PrefillProgress,
)
from chatapp.errors import ContextOverflowError, EngineError
from chatapp.fullness import Tally
from chatapp.heads import count_missing, is_head, make_head
from chatapp.parts import text_of
from chatapp.sampling import SamplingParams
from chatapp.store.rows import MessageRow
from chatapp.turn import chat_messages

if TYPE_CHECKING:
    from chatapp.store import Store

KEPT_TURNS = 3
"""Turns of the user that are kept word for word, where they fit."""
_SUMMARY_SHARE, _LEAST_SUMMARY, _MOST_SUMMARY = 8, 64, 768
_HEAD_TOKENS = 32
"""Of the words around a summary."""
_SHORTEST_PIECE = 200
"""Characters: what is this short is not divided further."""

_SMALL = 1_000_000_000
"""Parameters: a smaller model is told the conversation as a text. SmolLM2 with 135 million goes on
with it instead of summarising it when it is asked at its end, and wants few words."""
_TOO_SMALL = 50_000_000
"""Parameters: the built-in model with 9 million answers that it is too small for that."""
_ASK_TELLING = "Summarize the conversation."
_ASK_SMALL = "Summarize this conversation."
_ASK = (
    "Summarise our conversation up to here, so that it can go on without it. Keep every name, "
    "number, date, decision, wish, instruction and open question. Use short sentences, at most {} "
    "words, in the language of the conversation. Write the summary and nothing else."
)


# What may go


def summary_tokens(n_ctx: int) -> int:
    """The most tokens of a summary."""
    return max(_LEAST_SUMMARY, min(n_ctx // _SUMMARY_SHARE, _MOST_SUMMARY))


def keep_for_summary(rows: Sequence[MessageRow], tally: Tally, reserve: int) -> int | None:
    """Place of the first message that stays when the others are summarised: the last three turns,
    or fewer where they do not fit. None: nothing can go, or what stays is too long."""
    pinned = _pinned_before(rows, len(rows))
    turns = [first for first in _turns(rows)[-KEPT_TURNS:] if _loses(rows, pinned, first)]
    if not tally.n_ctx:  # a server does not say
        return turns[0] if turns else None
    room = tally.n_ctx - reserve - tally.rest - summary_tokens(tally.n_ctx) - _HEAD_TOKENS
    return next((first for first in turns if _sum_kept(tally, pinned, first) <= room), None)


def keep_for_omission(rows: Sequence[MessageRow], tally: Tally, reserve: int) -> int | None:
    """Place of the first message that stays when the oldest are left out: as many turns as half
    the context holds, at least one. None: nothing can go, or what stays is too long."""
    pinned = _pinned_before(rows, len(rows))
    turns = [first for first in _turns(rows) if _loses(rows, pinned, first)]
    if not tally.n_ctx:
        return turns[len(turns) // 2] if turns else None
    for first in turns:
        if tally.rest + _sum_kept(tally, pinned, first) <= tally.n_ctx // 2:
            return first
    if turns and tally.rest + _sum_kept(tally, pinned, turns[-1]) <= tally.n_ctx - reserve:
        return turns[-1]
    return None


@dataclass(frozen=True, slots=True)
class Split:
    """What goes and what stays of a branch that begins anew at one of its messages."""

    gone: list[MessageRow]
    """With the head of an earlier time."""
    pinned: list[MessageRow]
    """Stay before the first message that stays."""
    n_missing: int
    """Messages that go, with those that a head of an earlier time stands for."""


def split(rows: Sequence[MessageRow], first: int) -> Split:
    """Divide a branch at the place of a message that stays with all below it."""
    stays = _pinned_before(rows, first)
    gone = [row for place, row in enumerate(rows[:first]) if place not in stays]
    pinned = [rows[place] for place in stays]
    return Split(gone, pinned, count_missing(rows, first) - len(pinned))


def _pinned_before(rows: Sequence[MessageRow], first: int) -> list[int]:
    """Places before `first` that stay all the same: those of the turns in which a message is
    pinned. Whole turns, because many formats want a question before an answer."""
    starts = [place for place in range(_begin(rows), first) if rows[place].role == "user"]
    starts = sorted({min(_begin(rows), first), *starts})
    turns = [range(start, end) for start, end in zip(starts, [*starts[1:], first], strict=True)]
    return [place for turn in turns if any(rows[one].pinned for one in turn) for place in turn]


def _loses(rows: Sequence[MessageRow], pinned: list[int], first: int) -> bool:
    return bisect_left(pinned, first) < first - _begin(rows)


def _sum_kept(tally: Tally, pinned: list[int], first: int) -> int:
    stays = pinned[: bisect_left(pinned, first)]
    return sum(tally.rows[first:]) + sum(tally.rows[place] for place in stays)


def _begin(rows: Sequence[MessageRow]) -> int:
    """The place of the first message that was said, below a head."""
    return 1 if rows and is_head(rows[0]) else 0


def _turns(rows: Sequence[MessageRow]) -> list[int]:
    """Where turns of the user begin that something stands before, beside a head."""
    start = _begin(rows)
    return [place for place, row in enumerate(rows) if row.role == "user" and place > start]


def edit_head(store: "Store", head: MessageRow, text: str) -> MessageRow:
    """Say something else at the head of a branch, above the same messages; the new head."""
    path = store.get_path(head.conversation_id)
    if path[0].id != head.id:
        path = store.get_path(head.conversation_id, store.leaf_below(head.id))
    keep_from = path[1].id if len(path) > 1 else None
    message = Message.of("system", text)
    store.branches.fork(head.conversation_id, path[-1].id, keep_from, message)
    return store.get_path(head.conversation_id)[0]


# The summary

_Piece = Sequence[MessageRow] | str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a summary is."""

    part: int
    """From 1."""
    parts: int
    """As far as is known: what is too long for one request is divided when that shows."""
    reading: PrefillProgress | None
    """None: it is being written."""
    text: str


def can_summarise(model: ModelDescription) -> str:
    """Why a model cannot summarise; empty: it can."""
    if not model.chat_template and not model.host:
        return "This model only goes on with a text."
    return "This model is too small to summarise." if 0 < model.n_params < _TOO_SMALL else ""


class Summary:
    """Has the model summarise a part of a conversation. Stores nothing; may be cancelled."""

    def __init__(
        self,
        client: EngineClient,
        model: ModelDescription,
        system: str,
        *,
        matters: str = "",
        report: Callable[[Progress], object] = lambda _progress: None,
    ) -> None:
        """`matters` is what the user wants kept above all."""
        self._client = client
        self._model = model
        self._system = system
        self._report = report
        self._limit = summary_tokens(model.n_ctx) if model.n_ctx else _MOST_SUMMARY
        self._is_small = 0 < model.n_params < _SMALL
        self._ask = _ASK_SMALL if self._is_small else _ASK.format(self._limit // 2)
        if matters:
            self._ask += f" Above all, keep this: {matters}"
        self._n_done = 0

    async def make(self, rows: Sequence[MessageRow]) -> str:
        """The summary of these messages, the first of which may be the head of an earlier one.

        What is too long for one request is summarised in pieces, each with the summary of those
        before it. Raises what the engine raises, and `EngineError` if the model says nothing.
        """
        pieces: list[_Piece] = [rows]
        summary, n_missing = "", 0
        while pieces:
            piece = pieces.pop(0)
            head = make_head(n_missing, summary).content if summary else ""
            messages = self._compose(piece, head)
            if not await self._fits(messages):
                pieces[:0] = _divide(piece)
                continue
            summary = await self._write(messages, len(pieces))
            n_missing += 1 if isinstance(piece, str) else len(piece)
            self._n_done += 1
        return summary

    def _compose(self, piece: _Piece, head: str) -> list[ChatMessage]:
        if self._is_small and not isinstance(piece, str):
            piece = _tell_all(piece)
        if isinstance(piece, str):
            told = "\n\n".join(text for text in (head, piece) if text)
            return [ChatMessage.of("user", f"{_ASK_TELLING}\n\n{told}\n\n{self._ask}")]
        system = "\n\n".join(text for text in (self._system, head) if text)
        messages = chat_messages(piece, system, self._model.fingerprint)
        return [*messages, ChatMessage.of("user", self._ask)]

    async def _fits(self, messages: list[ChatMessage]) -> bool:
        if not self._model.n_ctx:
            return True
        measured = await self._client.measure(Measure(messages=messages, think="off"))
        return measured.total + self._limit < self._model.n_ctx

    async def _write(self, messages: list[ChatMessage], n_left: int) -> str:
        """One request; its answer is stored nowhere."""
        params = SamplingParams(temperature=0, max_tokens=self._limit)
        request = Generate(messages=messages, params=params, think="off")
        text = ""
        part, parts = self._n_done + 1, self._n_done + 1 + n_left
        async with aclosing(self._client.generate(request)) as events:
            async for event in events:
                match event:
                    case PrefillProgress():
                        self._report(Progress(part, parts, event, text))
                    case Delta(kind="text"):
                        text = text[: event.at] + event.text
                        self._report(Progress(part, parts, None, text))
                    case Finished():
                        text = text_of(event.choices[0].parts)
                        if event.choices[0].finish_reason == "cancelled":
                            raise EngineError("The summary was stopped.")
        if not text.strip():
            raise EngineError(
                "The model wrote no summary.", "Leave out the oldest messages, or start a new chat."
            )
        return text.strip()


def _divide(piece: _Piece) -> list[_Piece]:
    """Two shorter pieces; `ContextOverflowError` for one that is as short as can be."""
    if isinstance(piece, str):
        if len(piece) <= _SHORTEST_PIECE:
            raise ContextOverflowError(
                "The system prompt leaves no room to summarise.",
                "Shorten it with /system, or load a longer context with /context N.",
            )
        middle = len(piece) // 2
        cut = max(piece.rfind(mark, 0, middle) + 1 for mark in "\n ")
        cut = cut if cut > middle // 2 else middle
        return [piece[:cut], piece[cut:]]
    turns = [place for place, row in enumerate(piece) if row.role == "user" and place]
    if not turns:
        return [_tell_all(piece)]
    cut = min(turns, key=lambda place: abs(2 * place - len(piece)))
    return [piece[:cut], piece[cut:]]


def _tell_all(rows: Sequence[MessageRow]) -> str:
    return "\n\n".join(map(_tell, rows))


def _tell(row: MessageRow) -> str:
    """A message as text within a text."""
    names = {"user": "User", "assistant": "Assistant", "tool": "Tool"}
    said = "".join(countable(part) for part in row.parts)
    return f"{names[row.role]}: {said}" if row.role in names else said
