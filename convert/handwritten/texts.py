"""The text that a hand-written model is judged on: the user's, its own, or our sample.

nanoGPT keeps the ids it was trained on as 16-bit numbers; lectures leave the text beside the
checkpoint. Ids that the model does not have make such a file somebody else's: it is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.checkpoint import Checkpoint
from convert.samples import PROSE, read_text

_IDS = ("val.bin", "train.bin")
_TEXTS = ("input.txt", "train.txt", "val.txt", "data.txt", "text.txt", "corpus.txt")
_BYTES = 1 << 18
_LEAST = 256  # tokens, below which a text tells nothing

Tokenize = Callable[[str], list[int]]


@dataclass(frozen=True)
class Text:
    """Token ids and where they are from."""

    ids: NDArray[np.int64]
    name: str
    own: bool
    """Given by the user, or what the model was trained on by its name and place."""


def find_text(checkpoint: Checkpoint, n_vocab: int, given: Path | None, tokenize: Tokenize) -> Text:
    """The text to judge on."""
    if given is not None:
        return Text(_ids(tokenize(read_text(given)[:_BYTES]), n_vocab), given.name, own=True)
    for path in _beside(checkpoint):
        found = _read(path, tokenize, n_vocab)
        if found is not None and len(found) >= _LEAST:
            return Text(found, path.name, own=True)
    return Text(_ids(tokenize(PROSE), n_vocab), "our sample", own=False)


def _beside(checkpoint: Checkpoint) -> Iterator[Path]:
    folder = checkpoint.folder.resolve()
    said = checkpoint.fact("config", "dataset") or checkpoint.config.get("dataset")
    places = [folder, folder / "data"]
    if isinstance(said, str) and Path(said).name == said != "..":  # it may not leave the folder
        places += [base / "data" / said for base in (folder, *folder.parents[:3])]
    for place in places:
        for name in (*_IDS, *_TEXTS):
            path = place / name
            if path.is_file():
                yield path


def _read(path: Path, tokenize: Tokenize, n_vocab: int) -> NDArray[np.int64] | None:
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES)
    except OSError:
        return None
    if path.suffix != ".bin":
        return _ids(tokenize(data.decode("utf-8", "ignore")), n_vocab)
    ids = np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.int64)
    return ids if len(ids) and ids.max() < n_vocab and len(np.unique(ids)) > 2 else None


def _ids(ids: list[int], n_vocab: int) -> NDArray[np.int64]:
    found = np.array(ids, np.int64)
    return found[found < n_vocab]
