"""What a model was trained on, as far as a short list of hashes can tell.

The trainer makes a `Seen` of its texts and writes it beside the checkpoint (`FILE`); the converter
carries it into the model file's metadata (`KEY`). Whoever evaluates the model at a text asks how
much of it was there. Texts are compared line by line, long lines sentence by sentence, without
regard to case and spaces; short ones are passed over, because they stand anywhere. Of all hashes
only the smallest are kept, which are a fair sample of any text, so that a corpus of any size needs
at most 175 kB: the hashes of another text that are as small say how much of it was seen.
"""

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEY = "chatapp.convert.trained_on"
"""Where it is in a model file's metadata."""
FILE = "trained_on.json"
"""Where it is beside a checkpoint."""
MOST_HASHES = 16_384
_MOST_BYTES = 1 << 20
_LEAST_BYTES, _LONG = 24, 200
_SENTENCE_END = re.compile(r"(?<=[.!?。！？…])\s*")
_EVERY = 1 << 64


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of a text was among what a model was trained on."""

    n_compared: int
    """Lines that could be compared; few say little, 0 nothing."""
    share: float
    """Of their characters, those that were seen: 0 to 1."""


class Seen:
    """Hashes of texts. `add` texts, then `dump`; or `parse`, then `overlap`."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._limit = _EVERY
        """Hashes from here on are not kept."""

    def add(self, text: str) -> None:
        """Remember the lines of a text that was trained on, as hashes."""
        for number, _ in _hash_lines(text):
            if number < self._limit:
                self._hashes.add(number)
                if len(self._hashes) > 2 * MOST_HASHES:
                    self._shrink()

    def overlap(self, text: str) -> Overlap:
        """How much of `text` was remembered, from the lines that would have been kept."""
        lines = {number: size for number, size in _hash_lines(text) if number < self._limit}
        known = sum(size for number, size in lines.items() if number in self._hashes)
        return Overlap(len(lines), known / max(1, sum(lines.values())))

    def dump(self) -> str:
        """As text, for a file or for metadata."""
        if len(self._hashes) > MOST_HASHES:
            self._shrink()
        data = b"".join(number.to_bytes(8, "little") for number in sorted(self._hashes))
        lines = base64.b64encode(data).decode()
        return json.dumps({"version": 1, "limit": f"{self._limit:x}", "lines": lines})

    @classmethod
    def parse(cls, text: str) -> "Seen | None":
        """What `dump` wrote; None for anything else, for it may be a stranger's."""
        seen = cls()
        try:
            value = json.loads(text)
            if len(text) > _MOST_BYTES or value["version"] != 1:
                return None
            seen._limit = int(value["limit"], 16)
            data = base64.b64decode(value["lines"], validate=True)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        seen._hashes = {
            int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) - 7, 8)
        }
        return seen

    def _shrink(self) -> None:
        kept = sorted(self._hashes)[: MOST_HASHES + 1]
        self._limit = kept.pop()
        self._hashes = set(kept)


def read_seen_file(checkpoint: Path) -> str:
    """What `FILE` beside (or in) a checkpoint holds; empty where there is none of ours."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    try:
        with (folder / FILE).open("rb") as file:
            text = file.read(_MOST_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if Seen.parse(text) else ""


def _hash_lines(text: str) -> Iterator[tuple[int, int]]:
    """(hash, characters) of everything in `text` that is long enough to be told again."""
    for line in text.splitlines():
        for part in _SENTENCE_END.split(line) if len(line) > _LONG else (line,):
            plain = " ".join(unicodedata.normalize("NFKC", part).casefold().split())
            data = plain.encode("utf-8", "replace")
            if len(data) >= _LEAST_BYTES:
                digest = hashlib.blake2b(data, digest_size=8).digest()
                yield int.from_bytes(digest, "little"), len(plain)
