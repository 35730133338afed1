"""2,000 damaged checkpoints: each is read, or refused with a reason; nothing is run or left behind.

The damage is bytes (flipped, cut, spliced), and whole opcodes of the pickle, among them calls that
would leave a file behind if anything were run. The seeds are fixed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pickletools
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from convert.checkpoints import locate, open_checkpoint
from convert.errors import ConvertError
from convert.options import Options
from convert.pipeline import convert, make_plan
from tests.convert.test_hostile import write_zip

torch.set_num_threads(1)

Mutator = Callable[[random.Random], None]
NUMBERS = [
    b"K\x00",
    b"K\xff",
    b"J\xff\xff\xff\x7f",
    b"J\xff\xff\xff\xff",
    b"\x8a\x08" + b"\x7f" * 8,
]
NUMBERS += [
    b"\x8a\xff" + b"\x7f" * 255,
    b"G\x7f\xf8\0\0\0\0\0\0",
    b"N",
    b"X\x01\0\0\0a",
    b"]",
    b"}",
]


def mutate(data: bytes, rng: random.Random, low: int = 0) -> bytes:
    """`data` with some bytes changed, cut, doubled or put elsewhere, at `low` or beyond."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if len(changed) <= low:
            break
        at = rng.randrange(low, len(changed))
        match rng.randrange(6):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + rng.choice((1, 2, 50))]
            case 3:
                changed[at:at] = changed[at : at + rng.choice((1, 4, 50))]
            case 4:
                other = rng.randrange(low, len(changed))
                length = rng.choice((4, 16, 100))
                changed[at : at + length] = changed[other : other + length]
            case _ if rng.random() < 0.3:
                del changed[at:]
            case _:
                changed[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"))
    return bytes(changed)


def mutate_opcodes(data: bytes, rng: random.Random, attack: bytes) -> bytes:
    """`data`, a pickle, with whole opcodes left out, doubled, exchanged, or others put in."""
    places = [at for *_, at in pickletools.genops(data)] + [len(data)]
    steps = [data[a:b] for a, b in itertools.pairwise(places)]
    if rng.random() < 0.4:
        steps.insert(rng.randrange(len(steps) - 1), attack)
    for _ in range(rng.choice((0, 1, 2, 5, 20))):
        at = rng.randrange(len(steps))
        other = rng.randrange(len(steps))
        match rng.randrange(6):
            case 0:
                del steps[at : at + rng.choice((1, 3))]
                steps = steps or [b"."]
            case 1:
                steps.insert(at, steps[other])
            case 2:
                steps[at], steps[other] = steps[other], steps[at]
            case 3:
                steps[at] = rng.choice(NUMBERS)
            case 4:
                steps[at:at] = steps[other : other + 30]
            case _:
                steps.insert(
                    at, rng.choice((b"(", b"R", b"b", b"s", b"u", b"Q", b"\x81", b"0", b"2"))
                )
    return b"".join(steps)


def call(module: str, name: str, argument: str) -> bytes:
    """Opcodes that call `module.name(argument)` and drop what it gives."""
    text = argument.encode()
    return (
        f"c{module}\n{name}\n".encode() + b"X" + len(text).to_bytes(4, "little") + text + b"\x85R0"
    )


def write_torch(path: Path, *, zipped: bool = True) -> None:
    matrix = torch.arange(48.0).reshape(6, 8)
    saved = {
        "model": {
            "a.weight": matrix,
            "a.turned": matrix.t(),
            "b": torch.ones(3).bfloat16(),
            "c": torch.zeros(0, 2),
        },
        "module": torch.nn.Linear(2, 2),
        "args": argparse.Namespace(n_layer=1, n_head=2),
        "stoi": {"a": 1, "b": 2},
        "loss": torch.tensor(1.0),
    }
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)


class Target:
    """One way of storing a model, in its folder, and how to damage it."""

    def __init__(self, folder: Path, kind: str, attacks: list[bytes]) -> None:
        self.folder = folder
        self._attacks = attacks
        self.source = folder
        self._make = getattr(self, f"_make_{kind}")()

    def damage(self, rng: random.Random) -> None:
        self._make(rng)

    def _bytes_of(self, path: Path) -> Mutator:
        sound = path.read_bytes()
        return lambda rng: void(path.write_bytes(mutate(sound, rng)))

    def _make_zip(self) -> Mutator:
        self.source = self.folder / "ckpt.pt"
        write_torch(self.source)
        return self._bytes_of(self.source)

    def _make_legacy(self) -> Mutator:
        self.source = self.folder / "ckpt.pt"
        write_torch(self.source, zipped=False)
        return self._bytes_of(self.source)

    def _pickle_in_zip(self, change: Callable[[bytes, random.Random], bytes]) -> Mutator:
        self.source = self.folder / "ckpt.pt"
        write_torch(self.source)
        with zipfile.ZipFile(self.source) as archive:
            entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        data = entries.pop("data.pkl")
        return lambda rng: void(write_zip(self.source, change(data, rng), **entries))

    def _make_pickle(self) -> Mutator:
        return self._pickle_in_zip(mutate)

    def _make_opcodes(self) -> Mutator:
        return self._pickle_in_zip(
            lambda data, rng: mutate_opcodes(data, rng, rng.choice(self._attacks))
        )

    def _make_safetensors(self) -> Mutator:
        self.source = self.folder / "a.safetensors"
        save_file({"a.weight": torch.ones(6, 8), "b": torch.ones(3).bfloat16()}, self.source)
        return self._bytes_of(self.source)

    def _shards(self) -> None:
        for number in (1, 2):
            save_file(
                {f"w{number}": torch.ones(2, 2)},
                self.folder / f"model-0000{number}-of-00002.safetensors",
            )
        names = {f"w{number}": f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
        index = self.folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
        config: dict[str, Any] = {"model_type": "llama", "hidden_size": 8, "rope_theta": 1e4}
        config |= {"rope_scaling": {"type": "linear", "factor": 2.0}, "eos_token_id": [1, 2]}
        (self.folder / "config.json").write_text(json.dumps(config))

    def _make_index(self) -> Mutator:
        self._shards()
        return self._bytes_of(self.folder / "model.safetensors.index.json")

    def _make_config(self) -> Mutator:
        self._shards()
        return self._bytes_of(self.folder / "config.json")

    def _make_params(self) -> Mutator:
        torch.save({"norm.weight": torch.ones(4)}, self.folder / "consolidated.00.pth")
        params = self.folder / "params.json"
        params.write_text('{"dim": 4, "n_layers": 2, "vocab_size": -1, "norm_eps": 1e-05}')
        return self._bytes_of(params)

    def _make_yaml(self) -> Mutator:
        torch.save({"w": torch.ones(4, 4)}, self.folder / "lit_model.pth")
        config = self.folder / "model_config.yaml"
        config.write_text(
            "bias: false\nhf_config:\n  name: pythia\n  org: E\nn_layer: 6\nnorm_eps: 1.0e-05\n"
            "when: 2024-01-01\nrope_adjustments: null\nlist:\n- 1\n- !!float 2\nname: 'x'\n"
        )
        return self._bytes_of(config)


def void(_: object) -> None:
    return None


ROUNDS = {
    "zip": 250,
    "pickle": 250,
    "opcodes": 550,
    "legacy": 250,
    "safetensors": 250,
    "index": 150,
    "config": 100,
    "params": 50,
    "yaml": 150,
}


@pytest.mark.parametrize("kind", ROUNDS)
def test_a_damaged_checkpoint_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    assert sum(ROUNDS.values()) == 2000
    canary = tmp_path / "ran"
    folder = tmp_path / "model"
    folder.mkdir()
    attacks = [
        call("os", "system", f"touch {canary}"),
        call("posix", "system", f"touch {canary}"),
        call("builtins", "eval", f"open({str(canary)!r}, 'w')"),
        call("__builtin__", "exec", f"open({str(canary)!r}, 'w')"),
        call("subprocess", "getoutput", f"touch {canary}"),
        call("pathlib", "Path.touch", str(canary)),
        call("torch.hub", "load", str(canary)),
    ]
    target = Target(folder, kind, attacks)
    rng = random.Random(kind)
    there = set(folder.iterdir())
    seen = {"read": 0, "refused": 0}
    for _ in range(ROUNDS[kind]):
        target.damage(rng)
        started = time.process_time()
        try:
            checkpoint = open_checkpoint(locate(target.source))
            said = [checkpoint.config, checkpoint.facts, checkpoint.notes, [*checkpoint.tensors]]
            assert json.dumps(said, ensure_ascii=False).encode()
            for tensor in checkpoint.tensors.values():
                assert sum(rows.size for rows in tensor.blocks()) == tensor.n_weights
            seen["read"] += 1
        except ConvertError as error:
            assert 10 < len(error.message) < 2000  # noqa: PT017  (one of two rightful outcomes)
            assert error.message.encode()  # noqa: PT017
            seen["refused"] += 1
        assert time.process_time() - started < 5
        assert set(folder.iterdir()) == there
    assert not canary.exists()
    assert seen["refused"] > 10
    assert seen["read"] > 2


def test_damaged_pickles_through_the_whole_conversion(make) -> None:
    """150 of a nanoGPT checkpoint that is otherwise sound; the first that pass are converted."""
    folder = make(n_layer=1, n_embd=32, block_size=16)
    path = folder / "ckpt.pt"
    with zipfile.ZipFile(path) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    data = entries.pop("data.pkl")
    rng = random.Random(20)
    seen = {"refused": 0, "read": 0, "converted": 0}
    for _ in range(150):
        write_zip(path, mutate(data, rng), **entries)
        try:
            plan = make_plan(Options(path))
            for tensor in plan.model.tensors:
                assert sum(rows.size for rows in tensor.blocks()) == tensor.n_weights
            seen["read"] += 1
            if seen["read"] <= 8:
                convert(path, force=True, parity="off")
                seen["converted"] += 1
        except ConvertError as error:
            assert len(error.message) < 2000  # noqa: PT017
            seen["refused"] += 1
        assert not list(folder.glob("*.part"))
    assert seen["refused"] > 30
    assert seen["converted"] > 2
