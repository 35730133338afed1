"""A conversation as another program's file has it, before it is made into a tree of ours."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chatapp.conversation import Role
from chatapp.parts import Parts
from chatapp.store.rows import FinalStatus


@dataclass(slots=True)
class Said:
    """One message. Its id and its parent's are the other program's; nothing is checked yet."""

    id: str
    parent: str | None
    role: Role
    parts: Parts
    created_at: float = 0.0
    """0: not known."""
    model: str = ""
    status: FinalStatus = "complete"
    error: str = ""
    n_tokens: int = 0
    """Tokens of an answer; 0: not known."""


@dataclass(slots=True)
class Draft:
    """A conversation: its messages in any order, and which of them is shown last."""

    id: str
    """What the other program calls it; empty: it is named by how it begins."""
    said: list[Said]
    current: str | None = None
    """None or unknown: the newest."""
    title: str = ""
    system: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    pinned: bool = False
    archived: bool = False
    tags: tuple[str, ...] = ()


def _no_asset(_: str) -> tuple[str, bytes] | None:
    return None


@dataclass(slots=True)
class Reading:
    """What readers share: what could not be carried over, and the files that lie beside."""

    losses: Counter[str] = field(default_factory=Counter)
    """How often something was left out, by what it is (in the plural)."""
    find_asset: Callable[[str], tuple[str, bytes] | None] = _no_asset
    """Name and bytes of the file beside the export whose name begins so; None: there is none."""
    made_at: float = 0.0
    """When the export was written, for what has no time of its own."""

    def lose(self, what: str, count: int = 1) -> None:
        """Note that something is not in what is imported."""
        if count:
            self.losses[what] += count
