"""What the client is told of an answer: the difference between what it has and what is certain.

One alternative has one `Teller`. It knows what the client knows, so that a delta carries only
what is new, and replaces only what turned out otherwise: the end of a continued answer.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from chatapp.engine.protocol import Delta, Kind
from chatapp.parts import Part, Parts, Reasoning, Text, ToolCall, Written, is_more_of, said_in

_KINDS: dict[type, Kind] = {Text: "text", Reasoning: "reasoning", ToolCall: "tool_call"}


class Teller:
    """Makes the deltas of one alternative."""

    def __init__(
        self, request_id: str, index: int = 0, parts: Parts = (), n_tokens: int = 0
    ) -> None:
        """`parts` and `n_tokens`: what the client has already."""
        self._request_id = request_id
        self._index = index
        self._parts = parts
        self._n_tokens = n_tokens

    def tell(self, parts: Parts, tokens: Sequence[int] = ()) -> list[Delta]:
        """Deltas that bring the client from what it was told last to these.

        Nothing is taken back as long as `parts` are the beginning of what it has: text that is
        held back for a while need not vanish from a screen.
        """
        new_tokens = list(tokens[self._n_tokens :])
        deltas = [
            self._say(place, part, at)
            for place, part, at in _difference(self._parts, parts)
            if isinstance(part, Written)
        ]
        if deltas:
            self._parts = parts
        elif new_tokens:
            deltas = [self._say_nothing()]
        if new_tokens:
            deltas[0] = replace(deltas[0], tokens=new_tokens, tokens_at=self._n_tokens)
            self._n_tokens += len(new_tokens)
        return deltas

    def _say(self, place: int, part: Written, at: int) -> Delta:
        call = part if isinstance(part, ToolCall) else None
        return Delta(
            request_id=self._request_id,
            index=self._index,
            part=place,
            kind=_KINDS[type(part)],
            at=at,
            text=said_in(part)[at:],
            call_id=call.id if call else "",
            name=call.name if call else "",
        )

    def _say_nothing(self) -> Delta:
        """A delta that says no word, where the client's text ends."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, Written):
            return self._say(len(self._parts) - 1, last, len(said_in(last)))
        return self._say(len(self._parts), Text(""), 0)


def _difference(known: Parts, parts: Parts) -> list[tuple[int, Part, int]]:
    """Where `parts` say something else or more than `known`: place, part, first new character."""
    for place, part in enumerate(parts):
        have = known[place] if place < len(known) else None
        if have == part:
            continue
        at = _common(have, part)
        last = place == len(parts) - 1
        if last and at and at == len(said_in(part)):
            return []  # the client has this and more
        return [(place, part, at), *((p, parts[p], 0) for p in range(place + 1, len(parts)))]
    return []


def _common(have: Part | None, part: Part) -> int:
    """Characters that both begin with; 0 for parts of different kinds."""
    if have is None or not is_more_of(have, part):
        return 0
    old, new = said_in(have), said_in(part)
    if new.startswith(old):
        return len(old)
    if old.startswith(new):
        return len(new)
    return next(at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
