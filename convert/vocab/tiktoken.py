"""tiktoken's vocabularies: ranks of byte strings, in a pickle or as lines of base64.

A pickled `Encoding` is read without running it. llama.cpp wants merges: a token is made of the two
parts it falls into when only lower ranks may merge.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.checkpoints.inert import Stub
from convert.checkpoints.pickles import Machine
from convert.errors import VocabError
from convert.vocab import pretokenizers
from convert.vocab.assembly import add_notes, assemble
from convert.vocab.byte_bpe import choose_pre
from convert.vocab.bytelevel import doubt_bytes, spell_bytes
from convert.vocab.files import load_bytes, load_text
from convert.vocab.layout import Added, read_added_files
from convert.vocab.references import byte_ranks, merge_bytes
from convert.vocab.vocab_merges import ask_pre
from convert.vocab.vocabulary import Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("tokenizer.pkl", "tokenizer.tiktoken", "qwen.tiktoken")
DESCRIPTION = "tiktoken: a pickled Encoding, or ranks in base64"

_MAX_TOKENS = 1_000_000
_MAX_WORK = 1 << 28  # squared bytes: finding the merges of 200,000 real tokens takes 10 million
_LLAMA3_RANKS = 128_000
_QWEN = (pretokenizers.QWEN2, "Qwen's, by its name")
# By the number of ranks: the expression is in their publishers' code.
_PUBLISHED = {
    _LLAMA3_RANKS: (pretokenizers.LLAMA3, "Llama 3's, by its size"),
    50_256: (pretokenizers.GPT2, "GPT-2's, by its size"),
    100_256: (pretokenizers.LLAMA3, "OpenAI's cl100k, by its size"),
    199_998: (pretokenizers.GPT4O, "OpenAI's o200k, by its size"),
}


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in `path`. Raises `VocabError`."""
    if path.suffix == ".pkl":
        ranks, pattern, special = _read_pickle(path)
        return build(path, ranks, pattern, special, wanted)
    ranks, special = _read_lines(path)
    pattern, whose = _find_pattern(path, len(ranks), wanted.pre)
    note = f"{path.name} does not say how text is split; it is {whose}."
    return add_notes(build(path, ranks, pattern, special, wanted), note)


def _find_pattern(path: Path, n_ranks: int, pre: str | None) -> tuple[str, str]:
    """(the splitting expression, whose it is): asked for, or of a file that everybody has."""
    asked = pretokenizers.find_expression(pre)
    if asked is not None:
        return asked, f"split as in {pre}, as you say"
    found = _QWEN if path.name == "qwen.tiktoken" else _PUBLISHED.get(n_ranks)
    if found is not None:
        return found
    why = (
        f"{path.name} does not say how text is split, and its {n_ranks} ranks are no published "
        "tokenizer's."
    )
    raise VocabError(why, "Say it with --pre llama-bpe or another.", ask_pre(why))


def recognise_lines(head: bytes) -> bool:
    """Whether a file beginning with `head` is lines of base64 and a rank."""
    return head.split(b" ")[0].rstrip(b"=").isalnum() and head[:1] != b"\x0a"


def build(
    path: Path,
    ranks: Mapping[bytes, int],
    pattern: str,
    special: Mapping[str, int],
    wanted: Wanted,
) -> Vocab:
    """The vocabulary of `ranks`, split by `pattern`."""
    ids = {spell_bytes(piece): rank for piece, rank in ranks.items()}
    added = read_added_files(path.parent)
    added |= {text: Added(index, special=True) for text, index in special.items()}
    special = {text: token.id for text, token in added.items()}
    vocab = assemble(path, wanted, "gpt2", ids, added)
    merges = []
    for piece, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(piece) > 1:
            parts = merge_bytes(piece, ranks, below=rank)
            if len(parts) == 2:
                merges.append(" ".join(map(spell_bytes, parts)))
    vocab = replace(vocab, merges=tuple(merges), reference=byte_ranks(ranks, pattern, special))
    vocab = doubt_bytes(vocab)
    steps = (f"split {pretokenizers.simplify(pattern)}",)
    found = pretokenizers.match(steps, ignore_merges=False)
    found = found or pretokenizers.match(steps, ignore_merges=True)
    if wanted.pre is None and found is not None:
        return replace(vocab, pre=found)
    return choose_pre(vocab, steps, ignore_merges=False, pre=wanted.pre)


def _read_pickle(path: Path) -> tuple[dict[bytes, int], str, dict[str, int]]:
    root = Machine({}, _no_storage, path.name).load(load_bytes(path))
    state: Any = root.state if isinstance(root, Stub) else root
    if isinstance(state, dict) and isinstance(state.get("_mergeable_ranks"), dict):
        keys = ("_mergeable_ranks", "_pat_str", "_special_tokens")
    else:
        keys = ("mergeable_ranks", "pat_str", "special_tokens")
        state = _arguments(root, state)
    if not isinstance(state, dict) or not all(key in state for key in keys):
        raise VocabError(f"{path.name} is no pickled tiktoken Encoding.", "Save it again.")
    ranks, pattern, special = (state[key] for key in keys)
    _check(path, ranks, special)
    if not isinstance(pattern, str):
        raise VocabError(f"{path.name} has no pattern to split text by.")
    # possessive in tiktoken's engine, but one more repetition in that of tokenizers
    return ranks, re.sub(r"(\{\d+(?:,\d*)?\})\+", r"\1", pattern), special


def _arguments(root: Any, state: Any) -> Any:
    """What an Encoding was made with: a mapping in its state or among its arguments."""
    if isinstance(root, Stub):
        found = [value for value in (*root.args, root.entries) if isinstance(value, dict) and value]
        return found[0] if found and not isinstance(state, dict) else state
    return state


def _read_lines(path: Path) -> tuple[dict[bytes, int], dict[str, int]]:
    ranks: dict[bytes, int] = {}
    for line in load_text(path).splitlines():
        word, _, rank = line.partition(" ")
        if not line.strip():
            continue
        try:
            ranks[base64.b64decode(word, validate=True)] = int(rank)
        except (binascii.Error, ValueError):
            raise VocabError(f"{path.name} has a line that is no token: {line[:60]!r}.") from None
    special: dict[str, int] = {}
    if len(ranks) == _LLAMA3_RANKS:  # Llama 3's, whose special tokens are in its code
        names = ["<|begin_of_text|>", "<|end_of_text|>"]
        names += [f"<|reserved_special_token_{i}|>" for i in range(4)]
        names += ["<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>"]
        names += ["<|eot_id|>"] + [f"<|reserved_special_token_{i}|>" for i in range(5, 251)]
        special = {name: len(ranks) + i for i, name in enumerate(names)}
    _check(path, ranks, special)
    return ranks, special


def _check(path: Path, ranks: Any, special: Any) -> None:
    sound = (
        isinstance(ranks, dict)
        and 0 < len(ranks) < _MAX_TOKENS
        and all(
            isinstance(k, bytes) and 0 < len(k) < 1024 and type(v) is int for k, v in ranks.items()
        )
        and sum(len(k) ** 2 for k in ranks) < _MAX_WORK
        and isinstance(special, dict)
        and all(isinstance(k, str) and type(v) is int for k, v in special.items())
    )
    if not sound:
        raise VocabError(f"{path.name} has no table of byte strings and ranks.", "Save it again.")


def _no_storage(_: Any) -> Any:
    raise TypeError("a tokenizer with tensors in it")
