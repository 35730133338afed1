"""Which documents are trained on, which are held out, and which were there before.

Promises that this is a function of the texts alone, so that an interrupted packing finds its place
again without keeping more than a count. A document that is there twice is taken once; a source that
repeats is meant to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from chatapp.train.chat_format import spell
from chatapp.train.corpus import Document, read_documents, repeats
from chatapp.train.settings import Source


@dataclass(frozen=True, slots=True)
class Routed:
    """A document, and where it goes."""

    document: Document
    held: bool = False


@dataclass(slots=True)
class Routes:
    """The documents of sources, one after another; counts what it sees."""

    sources: tuple[Source, ...]
    share: float
    """Of the characters, held out; 0 holds out none."""
    documents: int = 0
    duplicates: int = 0
    _seen: set[bytes] = field(default_factory=set)
    _characters: int = 0
    _held: int = 0

    def __iter__(self) -> Iterator[Routed]:
        for source in self.sources:
            left_out: set[int] = set()
            for number, step in enumerate(repeats(source)):
                yield from self._read(read_documents(source), step, left_out, number == 0)

    def _read(
        self, documents: Iterable[Document], step: int, left_out: set[int], first: bool
    ) -> Iterator[Routed]:
        begun = False
        for number, document in enumerate(documents):
            if number % step or number in left_out:
                continue
            text = spell(document.pieces)
            if first and self._is_known(text):
                left_out.add(number)
                if begun and document.ends:
                    yield Routed(Document(()))
                    begun = False
                continue
            held = first and document.ends and not begun and self._may_be_held(len(text))
            if held:
                left_out.add(number)
            begun = not document.ends
            self.documents += 1
            yield Routed(document, held)

    def _is_known(self, text: str) -> bool:
        digest = blake2b(text.encode(), digest_size=8).digest()
        known = digest in self._seen
        self._seen.add(digest)
        self.duplicates += known
        return known

    def _may_be_held(self, length: int) -> bool:
        """Whether a document of so many characters leaves the share as it should be."""
        self._characters += length
        held = self._held + length <= self.share * self._characters
        self._held += length * held
        return held
