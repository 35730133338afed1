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
from convert.vocab.bytelevel import doubt_bytes, read_merges
from convert.vocab.json_parts import FILE, find_post_template, flatten, read_ids, refuse
from convert.vocab.layout import read_added
from convert.vocab.references import tokenizers_file
from convert.vocab.rewriting import (
    Rewrite,
    between,
    by_tokenizers,
    chain,
    compose,
    prefix_space,
)
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
_PREFIXED = (
    "The original puts a space before every text and behind every special token, llama.cpp does "
    "not: a prompt must begin with one."
)
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
    steps, byte_level, prefix = pretokenizers.read_steps(data.get("pre_tokenizer"))
    if not byte_level:
        raise refuse("a pre-tokenizer", data.get("pre_tokenizer"))
    vocab = assemble(
        path,
        wanted,
        "gpt2",
        read_ids(model.get("vocab")),
        read_added(data.get("added_tokens") or [], FILE),
        post=find_post_template(data),
    )
    vocab = replace(
        vocab,
        merges=tuple(read_merges(model.get("merges"), FILE)),
        reference=tokenizers_file(path),
    )
    vocab = rewrite_text(doubt_bytes(vocab), data.get("normalizer"), prefix=prefix)
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
    if chosen.doubts != vocab.doubts:
        return chosen
    note = f"Pre-tokenizer {chosen.pre}, chosen by text: it splits every sample alike."
    return add_notes(chosen, note)


def rewrite_text(vocab: Vocab, normalizer: Any, *, prefix: bool) -> Vocab:
    """`vocab` with what the original does to a text first, which llama.cpp does not."""
    kinds = [str(step.get("type")) for step in flatten(normalizer, "normalizers")]
    steps: list[Rewrite] = []
    if kinds == ["NFC"]:
        steps.append(compose)
        vocab = add_notes(vocab, _COMPOSED)
    elif kinds:
        steps.append(between(vocab.markers, by_tokenizers(normalizer)))
        doubt = f"The original normalises text first ({', '.join(kinds)[:80]}), llama.cpp does not."
        vocab = replace(vocab, doubts=(*vocab.doubts, doubt))
    if prefix:
        steps.append(between(vocab.markers, prefix_space))
        vocab = replace(vocab, doubts=(*vocab.doubts, _PREFIXED))
    return replace(vocab, rewrite=chain(*steps)) if steps else vocab
