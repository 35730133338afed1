"""Words that are looked for in messages: where they stand, and which of them is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.ui.markdown.blocks import Block
from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.flow import Mark
from chatapp.ui.markdown.places import Span, find_text

Said = StreamingMarkdown | Block | None
"""What draws the text of a message."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is looked for in a chat. Without `wanted` nothing stands out."""

    wanted: tuple[str, ...] = ()
    """Each is found as it stands, in any case."""
    message_id: int | None = None
    """Where the hit is that is looked at."""
    number: int = 0
    """Which hit of that message it is, from 0."""

    def number_in(self, message_id: int) -> int | None:
        """The hit that is looked at, if it is one of this message."""
        return self.number if message_id == self.message_id else None


def find_hits(said: Said, wanted: Sequence[str]) -> list[Span]:
    """Where the words stand in what is drawn, from the top. Of two that overlap the first stays."""
    if said is None:
        return []
    blocks = said.blocks if isinstance(said, StreamingMarkdown) else [said]
    found = sorted({span for words in wanted for span in find_text(blocks, words)})
    kept: list[Span] = []
    for span in found:
        last = kept[-1] if kept else None
        if last is None or last[:2] != span[:2] or span.start >= last.end:
            kept.append(span)
    return kept


def mark_hits(said: Said, hits: Sequence[Span], current: int | None) -> None:
    """Make the hits stand out, one of them most."""
    looks = [
        (span, "hit-current" if number == current else "hit") for number, span in enumerate(hits)
    ]
    if isinstance(said, StreamingMarkdown):
        said.mark_spans(looks)
    elif said is not None:
        said.set_marks(0, [Mark(span.start, span.end, look) for span, look in looks])


def rows_of(said: Said, span: Span, width: int) -> tuple[int, int]:
    """First and last row of a hit in what draws it."""
    if isinstance(said, StreamingMarkdown):
        return said.rows_of(span, width)
    if said is None:
        return 0, 0
    return said.row_in(0, span.start, width), said.row_in(0, max(span.end - 1, 0), width)


def may_hold(text: str, wanted: Sequence[str]) -> bool:
    """Whether reading a text is worth while: all words of one that is wanted stand in it."""
    folded = text.lower()
    return any(all(word in folded for word in words.lower().split()) for words in wanted)
