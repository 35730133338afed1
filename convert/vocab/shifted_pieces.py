"""XLM-RoBERTa's `sentencepiece.bpe.model`: the file's pieces, numbered as the class numbers them.

fairseq, in which it was trained, puts its own <s>, <pad>, </s> and <unk> before the pieces in
place of SentencePiece's three. What comes out is what transformers writes as `tokenizer.json`.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.vocab import unigram
from convert.vocab.assembly import add_notes
from convert.vocab.protobuf import Model
from convert.vocab.references import sentencepiece_shifted, transformers_class
from convert.vocab.vocabulary import Vocab
from convert.vocab.wanted import Wanted

FILE = "sentencepiece.bpe.model"
_FIRST = ("<s>", "<pad>", "</s>", "<unk>")
_MASK = "<mask>"
_NEXT_LINE = "U+0085 (next line) is a space to the original, and unknown to llama.cpp."
_OWN = ("<unk>", "<s>", "</s>")
"""The file's own first pieces, of which only the unknown means the same."""
_SHIFT = len(_FIRST) - len(_OWN)


def build(path: Path, found: Model, name: str, wanted: Wanted) -> Vocab:
    """The vocabulary of the class `name` with the model `found` in `path`. Raises `VocabError`."""
    if tuple(piece.text for piece in found.pieces[: len(_OWN)]) != _OWN:
        raise VocabError(f"{path.name} does not begin with {', '.join(_OWN)}, as XLM-R's does.")
    pieces = [[text, 0.0] for text in _FIRST]
    pieces += [[piece.text, piece.score] for piece in found.pieces[len(_OWN) :]]
    pieces.append([_MASK, 0.0])
    vocab = unigram.from_json(path, _describe(found, pieces), wanted)
    reference = sentencepiece_shifted(path, _SHIFT, _FIRST.index("<unk>"))
    if _can_be_loaded():
        reference = transformers_class(name, path.parent, (), reference)
    return add_notes(replace(vocab, reference=reference, differs=_has_next_line), _NEXT_LINE)


def _has_next_line(text: str) -> bool:
    return "\x85" in text


def _describe(found: Model, pieces: list[list[Any]]) -> dict[str, Any]:
    """What `tokenizer.json` says of it."""
    table = base64.b64encode(found.table).decode()
    first = {"SpecialToken": {"id": "<s>"}}
    last = {"SpecialToken": {"id": "</s>"}}
    added = {text: at for at, text in enumerate(_FIRST)} | {_MASK: len(pieces) - 1}
    return {
        "model": {"type": "Unigram", "vocab": pieces, "unk_id": _FIRST.index("<unk>")},
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": table} if table else None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace"}],
        },
        "added_tokens": [
            {"id": at, "content": text, "special": True, "lstrip": text == _MASK}
            for text, at in added.items()
        ],
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, {"Sequence": {"id": "A"}}, last],
            "special_tokens": {text: {"ids": [added[text]]} for text in ("<s>", "</s>")},
        },
    }


def _can_be_loaded() -> bool:
    """Whether transformers could read the file: it needs two libraries for that."""
    try:
        return all(find_spec(name) for name in ("sentencepiece", "google.protobuf"))
    except ImportError:
        return False
