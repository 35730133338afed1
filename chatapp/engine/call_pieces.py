"""Calls of tools that come in pieces, each server in its own way, as parts.

OpenAI's own way: the first piece of a call has its index, id and name, the others its index and
more of the arguments. Met as well: whole calls, no index, one index for all, no id, the name or the
id in every piece, the name in pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatapp.engine.chunks import CallPiece
from chatapp.engine.server_events import decode_json
from chatapp.parts import ToolCall


@dataclass(slots=True)
class _Call:
    index: int | None
    id: str
    name: str
    arguments: str

    @property
    def part(self) -> ToolCall:
        return ToolCall(self.id, self.name, self.arguments)


class CallsInPieces:
    """The calls of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def take(
        self, pieces: Sequence[CallPiece], *, is_whole: bool = False
    ) -> Iterator[tuple[int, ToolCall]]:
        """The calls that these pieces of one chunk begin or go on with: place and value.

        `is_whole`: they are all of a message, which may repeat what came before.
        """
        touched: set[int] = set()
        for number, piece in enumerate(pieces):
            if is_whole and number < len(self._calls):
                self._calls[number].arguments = ""
                place = number
            else:
                place = self._find(piece, touched)
            if place == len(self._calls):
                self._calls.append(_Call(piece.index, "", "", ""))
            touched.add(place)
            call = self._calls[place]
            call.id = call.id or piece.id
            call.name = _grow_name(call.name, piece.name)
            call.arguments += piece.arguments
            yield place, call.part

    def _find(self, piece: CallPiece, touched: set[int]) -> int:
        """The call that a piece belongs to; the place behind the last one for a new call."""
        new = len(self._calls)
        places = range(new - 1, -1, -1)
        if piece.id:
            known = (place for place in places if self._calls[place].id == piece.id)
            same = next(known, None)
            if same is not None:
                return same if self._goes_on(same, piece, touched) else new
        if piece.index is not None:
            places = range(new - 1, -1, -1)
            same = next((place for place in places if self._calls[place].index == piece.index), new)
        else:
            same = new - 1 if new else new
        return same if same < new and self._goes_on(same, piece, touched) else new

    def _goes_on(self, place: int, piece: CallPiece, touched: set[int]) -> bool:
        call = self._calls[place]
        if piece.id and call.id and piece.id != call.id:
            return False
        if not piece.name or not call.name:
            return True
        # its name once more: another call, if the one before has all it needs
        again = place in touched and piece.index is None
        return not (again or (piece.arguments and _is_whole(call.arguments)))


def _grow_name(name: str, piece: str) -> str:
    """Most servers send it once, some in pieces, some again and again."""
    if piece.startswith(name):
        return piece
    return name if name.startswith(piece) else name + piece


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(decode_json(arguments), dict)
    except ValueError:
        return False
