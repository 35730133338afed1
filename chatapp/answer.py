"""The one value that an answer is while it is written: made from the engine's events, read by all.

The journal, the screen, `chatapp ask` and its JSON read an `AnswerState`; the row in the store is
written from it. `apply` is the only way in which it grows. Nothing here does anything: no store,
no engine, no clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice
from typing import overload

from chatapp.engine.protocol import (
    Choice,
    Delta,
    Finished,
    FinishReason,
    Timings,
    TokenLogprob,
    Usage,
)
from chatapp.errors import ChatAppError, ConnectionLostError, EngineDiedError, EngineError
from chatapp.parts import (
    Parts,
    Reasoning,
    Text,
    ToolCall,
    Written,
    is_more_of,
    reasoning_of,
    said_in,
    say_in,
    text_of,
)
from chatapp.store.rows import Outcome, Status


class Tokens(Sequence[int]):
    """Token ids that never change; with more at the end they share memory with what they were.

    A tuple would be copied for every token: 64,000 of them one by one took 47 s.
    """

    __slots__ = ("_all", "_n")

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._all = list(tokens)
        self._n = len(self._all)

    def put(self, at: int, tokens: Sequence[int]) -> "Tokens":
        """The first `at` of these, and `tokens` behind them."""
        if not at == self._n == len(self._all):
            return Tokens([*self._all[:at], *tokens])
        more = Tokens()
        more._all = self._all  # grows behind what we look at
        more._all.extend(tokens)
        more._n = len(more._all)
        return more

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[int, ...]: ...
    def __getitem__(self, place: int | slice) -> int | tuple[int, ...]:
        return tuple(self)[place]

    def __iter__(self) -> Iterator[int]:
        return islice(self._all, self._n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Tokens({list(self)})"


@dataclass(frozen=True, slots=True)
class AnswerState:
    """An answer as far as it is known."""

    parts: Parts = ()
    tokens: Tokens = field(default_factory=Tokens)
    """Sampled tokens in the model that began the answer; they end where another went on."""
    status: Status = "streaming"
    usage: Usage = field(default_factory=Usage)
    """Of the request; with several answers, of all of them."""
    completion_tokens: int = 0
    """Sampled for this one in its last run, once it has ended."""
    timings: Timings = field(default_factory=Timings)
    finish_reason: FinishReason | None = None
    """None: it has not ended, or was broken off."""
    error: str = ""
    """What broke it off."""
    note: str = ""
    """A sentence for the user on why it ended where it did; most need none."""
    seed: int = -1
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of every sampled token of the last run, when they were asked for."""
    salt: str = ""
    """What ids of calls are made of, for calls that come without one."""
    keeps_tokens: bool = True
    """False: another model began the answer, so that tokens of the present one have no place."""

    @property
    def text(self) -> str:
        """What was said so far."""
        return text_of(self.parts)

    @property
    def reasoning(self) -> str:
        """What was thought aloud so far."""
        return reasoning_of(self.parts)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tools that it calls."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def outcome(self) -> Outcome:
        """What the store records of the run that wrote it."""
        usage, timings = self.usage, self.timings
        return Outcome(
            finish_reason=self.finish_reason or ("error" if self.error else ""),
            error=self.error,
            seed=self.seed,
            prompt_tokens=usage.prompt_tokens,
            reused_tokens=usage.reused_tokens,
            completion_tokens=self.completion_tokens,
            load_s=timings.load_s,
            ttft_s=timings.time_to_first_token_s,
            prefill_tps=timings.prefill_tokens_per_second,
            decode_tps=timings.decode_tokens_per_second,
        )


def apply(state: AnswerState, event: Delta | Finished, index: int = 0) -> AnswerState:
    """The state after an event about alternative `index`; an event about another changes nothing.

    Applying the same event twice is as good as once. Raises `EngineError` if a delta leaves a
    gap: the text would be false from there on.
    """
    if isinstance(event, Delta):
        return _grow(state, event) if event.index == index else state
    choice = next((one for one in event.choices if one.index == index), None)
    return state if choice is None else _end(state, event, choice)


def break_off(state: AnswerState, error: ChatAppError) -> AnswerState:
    """The state after an error ended the answer; what was said stays."""
    lost = isinstance(error, EngineDiedError | ConnectionLostError)
    return replace(state, status="interrupted" if lost else "failed", error=error.message)


def stop_here(state: AnswerState) -> AnswerState:
    """The state after nobody wants more of the answer."""
    return replace(state, status="stopped")


def _grow(state: AnswerState, delta: Delta) -> AnswerState:
    parts = state.parts
    before = parts[delta.part] if delta.part < len(parts) else None
    blank = _blank(delta)
    if isinstance(blank, ToolCall):
        blank = _name_call(blank, delta.part, parts, state.salt)
    have = said_in(before) if before is not None and is_more_of(before, blank) else ""
    if delta.part > len(parts) or delta.at > len(have):
        raise EngineError(
            f"The engine skipped a part of its answer (part {delta.part}, character {delta.at}).",
            "What was said before is kept.",
        )
    text = have[: delta.at] + delta.text
    said = (say_in(blank, text),) if text or isinstance(blank, ToolCall) else ()
    parts = (*parts[: delta.part], *said)
    if not delta.tokens or not state.keeps_tokens:
        return replace(state, parts=parts)
    if delta.tokens_at > len(state.tokens):
        raise EngineError("The engine skipped tokens of its answer.")
    return replace(state, parts=parts, tokens=state.tokens.put(delta.tokens_at, delta.tokens))


def _blank(delta: Delta) -> Written:
    """The part that a delta is about, without a word in it."""
    if delta.kind == "tool_call":
        return ToolCall(delta.call_id, delta.name, "")
    return Text("") if delta.kind == "text" else Reasoning("")


def _name_call(call: ToolCall, place: int, before: Parts, salt: str) -> ToolCall:
    """The call; one without an id of its own gets one that is made of its answer and its place, so
    that it is the same however often it is told. Nine letters and digits, as Mistral's templates
    want an id."""
    taken = {other.id for other in before[:place] if isinstance(other, ToolCall)}
    if call.id and call.id not in taken:
        return call
    made = sha256(f"{salt} {place}".encode()).hexdigest()[:9]
    return ToolCall(made, call.name, call.arguments)


def name_calls(parts: Parts, salt: str) -> Parts:
    """The parts, with an id for every call that came without one of its own."""
    named: Parts = ()
    for place, part in enumerate(parts):
        if isinstance(part, ToolCall):
            part = _name_call(part, place, named, salt)
        named = (*named, part)
    return named


def _end(state: AnswerState, event: Finished, choice: Choice) -> AnswerState:
    return replace(
        state,
        parts=name_calls(choice.parts, state.salt),
        tokens=Tokens(choice.tokens) if state.keeps_tokens else state.tokens,
        status="stopped" if choice.finish_reason == "cancelled" else "complete",
        usage=event.usage,
        completion_tokens=choice.completion_tokens,
        timings=event.timings,
        finish_reason=choice.finish_reason,
        seed=choice.seed,
        note=choice.note,
        logprobs=tuple(choice.logprobs),
    )
