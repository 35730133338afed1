"""Proves a vocabulary by text: the written file must split every sample as the original does.

It promises zero differences or a `ProofError` that shows them. `tokenizers`, the reference, may be
missing; then only the round trip through llama.cpp is checked, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convert.errors import ProofError
from convert.libllama import ModelFile
from convert.samples import TOKENIZER_TEXTS
from convert.vocab.vocabulary import TokenKind, Vocab

_SHOWN = 3  # differences in the error
_MARKERS = 12  # special tokens put between words: more add nothing


def prove(model: ModelFile, vocab: Vocab) -> dict[str, Any]:
    """What was compared. `model` is the written file."""
    _check_special_ids(model, vocab)
    reference, name = _load_reference(vocab)
    lossless = not any("bytes have no token" in note for note in vocab.notes)
    differences = []
    texts = list(_texts(vocab))
    for text in texts:
        ids = model.tokenize(text, add_special=False, parse_special=True)
        if reference is not None:
            expected = reference.encode(text, add_special_tokens=False).ids
            if ids != expected:
                differences.append(_describe(text, expected, ids))
        if lossless and model.detokenize(ids) != text.encode():
            differences.append(f"{text[:40]!r} does not come back as it was")
    if differences:
        raise ProofError(
            f"The tokenizer in the file differs from {vocab.source.name} on {len(differences)} of "
            f"{len(texts)} texts: {'; '.join(differences[:_SHOWN])}.",
            "Nothing was kept. The tokenizer has something llama.cpp does differently.",
        )
    return {"texts": len(texts), "differences": 0, "compared_with": name}


def _load_reference(vocab: Vocab) -> tuple[Any, str]:
    try:
        import tokenizers
    except ImportError:
        return None, "round trip only (tokenizers is not installed)"
    try:
        return tokenizers.Tokenizer.from_file(str(vocab.source)), (
            f"tokenizers {tokenizers.__version__}"
        )
    except Exception as error:  # noqa: BLE001  (the Rust library raises bare Exception)
        raise ProofError(
            f"{vocab.source.name} cannot be loaded by tokenizers: {str(error)[:200]}.",
            "Save the tokenizer again.",
        ) from None


def _texts(vocab: Vocab) -> Iterator[str]:
    yield from TOKENIZER_TEXTS
    kinds = zip(vocab.tokens, vocab.kinds, strict=True)
    added = {TokenKind.CONTROL, TokenKind.USER_DEFINED}
    for marker in [text for text, kind in kinds if kind in added][:_MARKERS]:
        yield f"{marker}hello {marker} world{marker}\n{marker}{marker} !"


def _check_special_ids(model: ModelFile, vocab: Vocab) -> None:
    found = model.special_ids
    for role, index in vocab.special_ids.items():
        if role in found and found[role] != index:
            raise ProofError(f"llama.cpp takes {found[role]} for {role}, not {index}.")
    plain = model.tokenize("a", add_special=False, parse_special=False)
    ends = model.tokenize("a", add_special=True, parse_special=False)
    before = [vocab.special_ids["bos"]] if vocab.add_bos else []
    after = [vocab.special_ids["eos"]] if vocab.add_eos else []
    if ends != before + plain + after:
        raise ProofError(f"llama.cpp puts {ends} where {before + plain + after} is meant.")


def _describe(text: str, expected: list[int], found: list[int]) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
        min(len(expected), len(found)),
    )
    return f"{text[:40]!r} at token {at}: {expected[at : at + 4]} became {found[at : at + 4]}"
