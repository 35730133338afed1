"""The export formats: a new one is a file beside this and a line in `FORMATS`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatapp.errors import UsageError
from chatapp.export.branch import Told, active_branch
from chatapp.export.lossless import write_json
from chatapp.export.markdown import write_markdown
from chatapp.export.webpage import write_html
from chatapp.store.rows import ConversationRow, ConversationTree, MessageRow


class Shelf(Protocol):
    """Where conversations are read from: the store."""

    def get_conversation(self, conversation_id: int, /) -> ConversationRow:
        """One conversation without its messages."""

    def read_path(self, conversation_id: int, /) -> Iterator[MessageRow]:
        """The branch that is shown."""

    def read_tree(self, conversation_id: int, /) -> Iterator[MessageRow]:
        """Every branch, parents before their children."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write conversations to a file."""

    name: str
    suffix: str
    help: str
    write: Callable[[Iterable[Told]], Iterator[str]]
    """The file in pieces; reads a conversation when it comes to it, and keeps none."""
    every_branch: bool = False


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("markdown", ".md", "The shown branch, to read and to paste.", write_markdown),
        Format(
            "json", ".json", "Every branch and figure; can be imported again.", write_json, True
        ),
        Format("html", ".html", "The shown branch as one page without scripts.", write_html),
    )
}


def export(name: str | Format, store: Shelf, ids: Sequence[int]) -> Iterator[str]:
    """The conversations `ids` as one file of a format, or of the one named so, in pieces.

    A few messages are in memory at a time. Raises `UsageError` for a name that is not in
    `FORMATS`.
    """
    chosen = _choose(name) if isinstance(name, str) else name
    read = store.read_tree if chosen.every_branch else store.read_path
    return chosen.write(Told(store.get_conversation(id_), read(id_)) for id_ in ids)


def render(name: str, *trees: ConversationTree) -> str:
    """Conversations that are in memory as one text of format `name`, ending in a newline.

    Raises `UsageError` for a name that is not in `FORMATS`.
    """
    chosen = _choose(name)
    told = (
        Told(tree.conversation, tree.messages if chosen.every_branch else active_branch(tree))
        for tree in trees
    )
    return "".join(chosen.write(told))


def _choose(name: str) -> Format:
    if name not in FORMATS:
        raise UsageError(
            f"There is no export format {name!r}.", f"Use one of: {', '.join(FORMATS)}."
        )
    return FORMATS[name]
