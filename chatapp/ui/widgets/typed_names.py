"""Which files somebody named in a prompt by hand, key by key or by choosing them.

What was pasted, brought back or put there by the program names files too, and nobody need have seen
that. So only a name whose `@` was typed and that was typed on behind it is one that is meant.
"""

from collections.abc import Iterable

from chatapp.material.mentions import shorten

_MOST = 200
"""Names that are remembered."""


class TypedNames:
    """The names, as they stand behind the `@`. They are remembered as long as the app runs: what
    was meant once may come back into the prompt."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._at: tuple[int, int] | None = None
        """Where the `@` of the name stands that is being typed."""

    def __contains__(self, name: str) -> bool:
        return any(name in shorten(typed.strip('"')) for typed in self._names)

    def add(self, names: Iterable[str]) -> None:
        """These were chosen."""
        self._at = None
        self._names = [*self._names, *names][-_MOST:]

    def type(self, row: int, before: str) -> None:
        """A character was typed; `before` is the text of the row up to the cursor."""
        at = (row, before.rfind("@"))
        name = before[at[1] + 1 :]
        if not name:
            self._names, self._at = [*self._names, ""][-_MOST:], at
        elif self._at != at or not self._names[-1].startswith(name[:-1]):
            self._at = None  # what stands there came otherwise
        elif name[-1].isspace() and name[0] != '"':
            self._at = None  # the name has ended
        else:
            self._names[-1] = name
            if name[-1] == '"' and len(name) > 1:
                self._at = None
