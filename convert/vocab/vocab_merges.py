"""GPT-2's own files: `vocab.json` and `merges.txt`, with what transformers puts beside them.

llama.cpp's model "gpt2" and pre-tokenizer "gpt-2"; RoBERTa has the same, with <s> and </s>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.vocab.assembly import add_notes, assemble
from convert.vocab.bytelevel import missing_bytes, read_merges
from convert.vocab.files import load_json, load_json_if_there, load_text
from convert.vocab.json_parts import read_ids
from convert.vocab.layout import read_added_files
from convert.vocab.references import tokenizers_built
from convert.vocab.vocabulary import Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("vocab.json", "merges.txt")
DESCRIPTION = "GPT-2's vocab.json and merges.txt"


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in `path` and in merges.txt beside it. Raises `VocabError`."""
    ids = read_ids(load_json(path), path.name)
    merges_path = path.with_name("merges.txt")
    if not merges_path.is_file():
        raise VocabError(f"merges.txt is missing beside {path.name}.", "Copy both files.")
    lines = load_text(merges_path).splitlines()
    merges = [line for line in lines if line and not line.startswith("#version")]
    config = load_json_if_there(path.parent / "tokenizer_config.json")
    if config.get("add_prefix_space"):
        raise VocabError("tokenizer_config.json has add_prefix_space, which llama.cpp's BPE lacks.")
    vocab = build(path, wanted, ids, list(read_merges(merges, "merges.txt")))
    return replace(vocab, pre=wanted.pre or vocab.pre)


def build(path: Path, wanted: Wanted, ids: Mapping[str, int], merges: Sequence[str]) -> Vocab:
    """GPT-2's tokenizer over `ids` and `merges`, with the added tokens beside `path`."""
    added = read_added_files(path.parent)
    vocab = assemble(path, wanted, "gpt2", ids, added, named=_usual(ids), promote=True)
    special = [text for text in vocab.markers if text in ids or text in added]
    missing = missing_bytes(vocab.tokens)
    vocab = replace(
        vocab,
        pre="gpt-2",
        merges=tuple(merges),
        reference=tokenizers_built(lambda: _build(ids, merges, special), path.name),
        lossless=not missing,
    )
    return add_notes(vocab, *missing)


def _usual(ids: Mapping[str, int]) -> dict[str, str]:
    """Special tokens by role, where the files name none: GPT-2's, or RoBERTa's."""
    if "<|endoftext|>" in ids:
        return {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
    if {"<s>", "</s>"} <= ids.keys():
        return {"bos": "<s>", "eos": "</s>"}
    return {}


def _build(ids: Mapping[str, int], merges: Sequence[str], special: Sequence[str]) -> Any:
    import tokenizers
    from tokenizers import models, pre_tokenizers

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    built = tokenizers.Tokenizer(models.BPE(dict(ids), pairs))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.add_special_tokens(list(special))
    return built
