"""BPE on characters with ▁ for spaces, as `tokenizer.json` writes SentencePiece models down.

llama.cpp's model "llama" merges by the score of the result, where `tokenizer.json` merges by rank:
alike when ranks were made of scores, as for Llama 2, Mistral and Gemma. Otherwise its model
"gpt2" with the pre-tokenizer "sarvam-moe" merges by rank, but puts no space before a text. Both are
tried on text. Where bytes have no token, some are added: llama.cpp would end its process at an
unknown character.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.vocab.assembly import add_notes, assemble
from convert.vocab.bytelevel import read_merges
from convert.vocab.json_parts import FILE, find_post_template, flatten, read_ids, refuse
from convert.vocab.layout import read_added
from convert.vocab.references import tokenizers_file
from convert.vocab.rewriting import drop_space, is_space
from convert.vocab.trial import choose
from convert.vocab.unknown import BYTES, append_bytes
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

SPACE = "\u2581"
_FIRST = (
    "The original puts a space before a text, but not after a special token; llama.cpp puts one "
    "there too."
)
SPACED = (
    "The original puts no space before a text that begins with one; llama.cpp does: such text was "
    "compared without it."
)


def recognise(data: dict[str, Any]) -> bool:
    """Whether `data` is BPE that writes spaces as ▁."""
    steps = flatten(data.get("pre_tokenizer"), "pretokenizers")
    replaced = any(
        step.get("type") == "Replace" and step.get("content") == SPACE
        for step in flatten(data.get("normalizer"), "normalizers")
    )
    return replaced or any(step.get("type") == "Metaspace" for step in steps)


def from_json(path: Path, data: dict[str, Any], wanted: Wanted) -> Vocab:
    """The vocabulary in `data`, read from `path`. Raises `VocabError`."""
    model = data["model"]
    normal, split = _find_prefixes(data)
    scheme = normal if split == "never" else split
    ids, merges = read_ids(model.get("vocab")), tuple(read_merges(model.get("merges"), FILE))
    added = read_added(data.get("added_tokens") or [], FILE)
    complete = bool(model.get("byte_fallback")) and all(text in ids for text in BYTES)
    kinds = {ids[text]: TokenKind.BYTE for text in BYTES} if complete else {}
    vocab = assemble(
        path, wanted, "llama", ids, added, kinds=kinds, post=find_post_template(data), promote=True
    )
    vocab = _mark_unknown(vocab, model.get("unk_token"))
    vocab = replace(
        vocab,
        options={"add_space_prefix": scheme != "never"},
        reference=tokenizers_file(path),
        markers=vocab.markers if scheme == "never" or normal == "always" else (),
        lossless=complete,
    )
    if scheme == "first":
        vocab = add_notes(vocab, _FIRST)
    if scheme != "never" and normal != "always":
        vocab = add_notes(replace(vocab, rewrite=drop_space, differs=is_space), SPACED)
    return choose(_candidates(vocab, merges, complete, scheme), "merges")


def _candidates(
    vocab: Vocab, merges: tuple[str, ...], complete: bool, scheme: str
) -> Iterator[Vocab]:
    scored = replace(vocab, scores=rank_scores(vocab, merges))
    yield scored if complete else append_bytes(scored)
    if scheme == "never":
        by_rank = replace(vocab, model="gpt2", pre="sarvam-moe", merges=merges, options={})
        yield add_notes(by_rank, "Merged by rank: llama.cpp's pre-tokenizer sarvam-moe does so.")


def rank_scores(vocab: Vocab, merges: tuple[str, ...]) -> tuple[float, ...]:
    """A score for each token: the earlier a merge makes it, the higher."""
    first: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        first.setdefault(merge.replace(" ", ""), rank)
    lowest = float(len(merges))
    return tuple(
        -float(first.get(text, lowest)) if kind == TokenKind.NORMAL else 0.0
        for text, kind in zip(vocab.tokens, vocab.kinds, strict=True)
    )


def _find_prefixes(data: dict[str, Any]) -> tuple[str, str]:
    """When the normalizer and the pre-tokenizer put a space before a text: always, first, never.

    Raises `VocabError` for steps that do anything more.
    """
    normal = split = "never"
    for step in flatten(data.get("normalizer"), "normalizers"):
        kind, pattern = step.get("type"), step.get("pattern")
        if kind == "Prepend" and step.get("prepend") == SPACE:
            normal = "always"
        elif not (kind == "Replace" and pattern == {"String": " "} and step["content"] == SPACE):
            raise refuse("a normalizer", step)
    for step in flatten(data.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "Metaspace" and step.get("replacement", SPACE) == SPACE:
            said = step.get("prepend_scheme")
            split = str(said or ("always" if step.get("add_prefix_space", True) else "never"))
        elif not (step.get("type") == "Split" and step.get("pattern") == {"String": " "}):
            raise refuse("a pre-tokenizer", step)
    return normal, split


def _mark_unknown(vocab: Vocab, text: Any) -> Vocab:
    """`vocab` with its unknown token as such; llama.cpp's default would be id 0."""
    if not isinstance(text, str) or text not in vocab.tokens:
        return vocab
    unknown = vocab.tokens.index(text)
    kinds: Mapping[int, TokenKind] = dict(enumerate(vocab.kinds)) | {unknown: TokenKind.UNKNOWN}
    return replace(
        vocab, kinds=tuple(kinds.values()), special_ids=vocab.special_ids | {"unk": unknown}
    )
