"""Byte-level BPE from `tokenizer.json`: llama.cpp's model "gpt2" with a pre-tokenizer by name.

It promises the name whose program is the tokenizer's own; where llama.cpp has no such program, one
that splits every sample alike, and says so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.vocab import pretokenizers
from convert.vocab.assembly import add_notes, assemble
from convert.vocab.bytelevel import missing_bytes, read_merges
from convert.vocab.json_parts import FILE, find_post_template, flatten, read_ids, refuse
from convert.vocab.layout import read_added
from convert.vocab.references import tokenizers_file
from convert.vocab.trial import choose
from convert.vocab.vocabulary import Vocab
from convert.vocab.wanted import Wanted

# BPE options llama.cpp's byte-level BPE does not have, with the values that mean "not used".
_UNUSED_OPTIONS: dict[str, tuple[Any, ...]] = {
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
}
_COMPOSED = (
    "The original composes characters first (NFC); llama.cpp does not: text with separate "
    "combining marks gives other tokens."
)


def from_json(path: Path, data: dict[str, Any], wanted: Wanted) -> Vocab:
    """The vocabulary in `data`, read from `path`. Raises `VocabError`."""
    model = data["model"]
    for option, unused in _UNUSED_OPTIONS.items():
        if model.get(option) not in unused:
            raise refuse(f"the option {option}", model[option])
    composed = _composes(data.get("normalizer"))
    steps, byte_level, prefix = pretokenizers.read_steps(data.get("pre_tokenizer"))
    if not byte_level:
        raise refuse("a pre-tokenizer", data.get("pre_tokenizer"))
    if prefix:
        raise refuse("the option", "add_prefix_space=true")
    vocab = assemble(
        path,
        wanted,
        "gpt2",
        read_ids(model.get("vocab")),
        read_added(data.get("added_tokens") or [], FILE),
        post=find_post_template(data),
    )
    missing = missing_bytes(vocab.tokens)
    vocab = replace(
        vocab,
        merges=tuple(read_merges(model.get("merges"), FILE)),
        reference=tokenizers_file(path),
        lossless=not missing,
        form="NFC" if composed else "",
    )
    vocab = add_notes(vocab, *missing, *([_COMPOSED] if composed else []))
    if not (path.parent / "tokenizer_config.json").is_file():
        note = "No tokenizer_config.json: special tokens were found by their usual names."
        vocab = add_notes(vocab, note)
    return choose_pre(vocab, steps, bool(model.get("ignore_merges")), wanted.pre)


def choose_pre(
    vocab: Vocab, steps: pretokenizers.Steps, ignore_merges: bool, pre: str | None
) -> Vocab:
    """`vocab` with llama.cpp's pre-tokenizer: as asked, by structure, or by text."""
    name = pre or pretokenizers.match(steps, ignore_merges=ignore_merges)
    if name is not None:
        return replace(vocab, pre=name)
    tried = (replace(vocab, pre=name) for name in pretokenizers.candidates(steps))
    chosen = choose(tried, "a pre-tokenizer")
    note = f"Pre-tokenizer {chosen.pre}, chosen by text: it splits every sample alike."
    return add_notes(chosen, note)


def _composes(normalizer: Any) -> bool:
    kinds = [step.get("type") for step in flatten(normalizer, "normalizers")]
    if kinds not in ([], ["NFC"]):
        raise refuse("a normalizer", normalizer)
    return kinds == ["NFC"]
