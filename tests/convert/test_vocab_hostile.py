"""Damaged and hostile tokenizer files: a vocabulary that llama.cpp takes, or a ConvertError."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.errors import ConvertError
from convert.libllama import ModelFile
from convert.vocab import read_vocab
from convert.vocab.trial import write_vocab
from tests.convert.vocabularies import source, split, train_bpe

DATA = Path(__file__).resolve().parents[2] / "convert" / "vocab" / "data"
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    "",
    "\0",
    "a b",
    "\ud800",
    [],
    {},
    [[]],
    "▁" * 99,
]


def mutate_json(value: Any, rng: random.Random, depth: int = 0) -> Any:
    """One place somewhere in `value` changed, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() > 0.1 * depth:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: mutate_json(value[key], rng, depth + 1)}
    if isinstance(value, list) and value and rng.random() > 0.1 * depth:
        at = rng.randrange(len(value))
        return [*value[:at], mutate_json(value[at], rng, depth + 1), *value[at + 1 :]]
    return rng.choice(ODD)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        at = rng.randrange(min(len(changed), 2000) if rng.random() < 0.7 else len(changed))
        changed[at : at + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
    return bytes(changed)


def try_all(folder: Path, n_rows: int, write: Callable[[], None], rounds: int) -> dict[str, int]:
    seen = {"read": 0, "refused": 0}
    for _ in range(rounds):
        write()
        try:
            vocab = read_vocab(source(folder), n_rows)
            with ModelFile(write_vocab(folder / "v.gguf", vocab), vocab_only=True) as file:
                assert file.n_tokens == len(vocab.tokens)
            seen["read"] += 1
        except ConvertError as error:
            assert len(error.message) < 2000  # noqa: PT017  (one of two rightful outcomes)
            seen["refused"] += 1
    return seen


def test_mutated_tokenizer_json(tmp_path: Path) -> None:
    rng = random.Random(7)
    n_tokens = train_bpe(tmp_path, [split(r"\s?\p{L}+|\s?\p{N}")], n_tokens=300)
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text())
    data["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    seen = try_all(
        tmp_path, n_tokens, lambda: void(path.write_text(json.dumps(mutate_json(data, rng)))), 300
    )
    assert min(seen.values()) > 20


def test_mutated_sentencepiece_model(tmp_path: Path) -> None:
    rng = random.Random(8)
    path = tmp_path / "tokenizer.model"
    shutil.copy(DATA / "llama2-tokenizer.model", path)
    sound = path.read_bytes()
    seen = try_all(tmp_path, 33000, lambda: void(path.write_bytes(mutate_bytes(sound, rng))), 40)
    assert min(seen.values()) > 3


@pytest.mark.parametrize("name", ["meta.pkl", "tokenizer.pkl"])
def test_mutated_pickles(tmp_path: Path, name: str) -> None:
    rng = random.Random(9)
    stoi = {chr(c): i for i, c in enumerate([*range(32, 127), 0x416, 0x1F642])}
    ranks = {bytes([b]): b for b in range(256)} | {b"th": 256, b"the": 257}
    state = {"mergeable_ranks": ranks, "pat_str": r"\w+|\W", "special_tokens": {"</s>": 258}}
    sound = pickle.dumps({"stoi": stoi} if name == "meta.pkl" else state)
    path = tmp_path / name
    seen = try_all(tmp_path, 300, lambda: void(path.write_bytes(mutate_bytes(sound, rng))), 100)
    assert seen["refused"] > 20


def void(_: Any) -> None:
    """Drop a result, where a function without one is asked for."""
