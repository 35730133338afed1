"""Tokenizers: the registry of vocabulary sources, one a file, and the proof in `proof.py`.

To add one: a module with `FILES`, `DESCRIPTION` and `read(path, wanted)`, and a line in `SOURCES`.
"""

from __future__ import annotations

from convert.vocab.search import SOURCES, read_vocab

__all__ = ["SOURCES", "read_vocab"]
