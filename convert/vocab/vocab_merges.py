"""Byte-level BPE in `vocab.json` and `merges.txt`, with what transformers puts beside them.

Neither file says how text is split: the tokenizer's class does, or the user with `--pre`. The
proof's reference is that class as transformers builds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.questions import Choice, Question
from convert.vocab import pretokenizers
from convert.vocab.assembly import add_notes, assemble
from convert.vocab.byte_bpe import choose_pre, rewrite_text
from convert.vocab.bytelevel import doubt_bytes, read_merges
from convert.vocab.classes import BYTE_LEVEL, SAVE, Bytes, find_class
from convert.vocab.files import load_json, load_json_if_there, load_text
from convert.vocab.json_parts import read_ids
from convert.vocab.layout import read_added_files
from convert.vocab.references import tokenizers_built, transformers_class
from convert.vocab.special import token_text
from convert.vocab.vocabulary import Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("vocab.json", "merges.txt")
DESCRIPTION = "vocab.json and merges.txt: BPE on bytes, split as the tokenizer's class does"


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in `path` and in merges.txt beside it. Raises `VocabError`."""
    path, merges_path = path.with_name("vocab.json"), path.with_name("merges.txt")
    for missing, other in ((path, merges_path), (merges_path, path)):
        if not missing.is_file():
            raise VocabError(f"{missing.name} is missing beside {other.name}.", "Copy both files.")
    ids = read_ids(load_json(path), path.name)
    if any(text.endswith("</w>") for text in ids):
        raise VocabError(
            f"{path.name} marks the ends of words (</w>), which llama.cpp's BPE lacks."
        )
    lines = [line.rstrip("\r") for line in load_text(merges_path).split("\n")]
    lines = lines[1:] if lines[0].startswith("#version") else lines
    merges = list(read_merges([line for line in lines if line], "merges.txt"))
    name = find_class(path.parent, wanted.config, BYTE_LEVEL)
    known = BYTE_LEVEL.get(name or "")
    if known is None:
        known = _as_asked(path, name, wanted.pre)
        name = None
    return _build(path, wanted, ids, merges, known, name)


def _as_asked(path: Path, name: str | None, pre: str | None) -> Bytes:
    steps = pretokenizers.find_steps(pre)
    if steps is not None:
        return Bytes(steps)
    said = f"its class {name} is none that we know" if name else "nothing names its class"
    why = f"{path.name} and merges.txt do not say how text is split, and {said}."
    raise VocabError(why, f"Say it with --pre gpt-2 or another. Or: {SAVE}", ask_pre(why))


def ask_pre(why: str) -> Question:
    """The question for a pre-tokenizer by llama.cpp's name."""
    choices = (
        Choice("gpt-2", "GPT-2's, and that of tokenizers' ByteLevelBPETokenizer"),
        Choice("llama-bpe", "Llama 3's, and cl100k"),
        Choice("qwen2", "Qwen 2's and 3's"),
        Choice("gpt-4o", "o200k"),
        Choice("starcoder", "GPT-2's with every digit alone, as SmolLM's"),
    )
    return Question("pre", why, choices, str, others=True, flag="--pre")


def _build(
    path: Path,
    wanted: Wanted,
    ids: Mapping[str, int],
    merges: Sequence[str],
    known: Bytes,
    name: str | None,
) -> Vocab:
    added = read_added_files(path.parent)
    config = load_json_if_there(path.with_name("tokenizer_config.json"))
    post = _around(known, config, ids)
    vocab = assemble(path, wanted, "gpt2", ids, added, named=_usual(ids), post=post, promote=True)
    prefix = bool(config.get("add_prefix_space", known.prefix))
    special = [text for text in vocab.markers if text in ids or text in added]

    def build() -> Any:
        return _compose(ids, merges, special, known, prefix=prefix)

    reference = tokenizers_built(build, path.name)
    if name is not None:
        reference = transformers_class(name, path.parent, special, reference)
    vocab = doubt_bytes(replace(vocab, merges=tuple(merges), reference=reference))
    normalizer = {"type": "NFC"} if known.composes else None
    vocab = rewrite_text(vocab, normalizer, prefix=prefix)
    source = f"as {name}" if name else "as you say"
    vocab = add_notes(vocab, f"Text is split {source}; {path.name} itself does not say how.")
    steps = tuple(map(pretokenizers.simplify, known.steps))
    return choose_pre(vocab, steps, ignore_merges=False, pre=wanted.pre)


def _around(
    known: Bytes, config: Mapping[str, Any], ids: Mapping[str, int]
) -> Sequence[int | None]:
    if known.around is None:
        return ()
    names = [
        token_text(config.get(f"{role}_token")) or usual
        for role, usual in zip(("cls", "sep"), known.around, strict=True)
    ]
    return (ids[names[0]], None, ids[names[1]]) if all(text in ids for text in names) else ()


def _usual(ids: Mapping[str, int]) -> dict[str, str]:
    """Special tokens by role, where the files name none: GPT-2's, or RoBERTa's."""
    if "<|endoftext|>" in ids:
        return {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
    if {"<s>", "</s>"} <= ids.keys():
        return {"bos": "<s>", "eos": "</s>"}
    return {}


def _compose(
    ids: Mapping[str, int],
    merges: Sequence[str],
    special: Sequence[str],
    known: Bytes,
    *,
    prefix: bool,
) -> Any:
    """The tokenizer put together of Hugging Face's parts, where transformers is not installed."""
    import tokenizers
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    built = tokenizers.Tokenizer(models.BPE(dict(ids), pairs))
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] * known.steps.count(
        "digits each"
    )
    splits = [step.removeprefix("split ") for step in known.steps if step.startswith("split ")]
    steps += [pre_tokenizers.Split(Regex(expression), "isolated") for expression in splits]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False))
    built.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if known.composes:
        built.normalizer = normalizers.NFC()
    built.add_special_tokens(list(special))
    return built
