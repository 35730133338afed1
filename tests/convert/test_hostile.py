"""Checkpoints made to harm: nothing is run, nothing is written, and the reason is said."""

from __future__ import annotations

import io
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.checkpoints import open_checkpoint
from convert.errors import CheckpointError, ConvertError, UsageError
from convert.options import Options
from convert.pipeline import convert, make_plan


class Attack:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def write_zip(
    path: Path, data: bytes, compression: int = zipfile.ZIP_STORED, **more: bytes
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("ckpt/data.pkl", data)
        for name, content in more.items():
            archive.writestr(f"ckpt/{name}", content)
    return path


def refused(path: Path) -> str:
    """The reason why `path` is refused; nothing may appear beside it."""
    before = set(path.parent.iterdir())
    with pytest.raises(CheckpointError) as caught:
        convert(path)
    assert set(path.parent.iterdir()) == before
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("function", [os.system, eval, exec])
def test_a_call_in_the_pickle_is_named_and_not_made(make, tmp_path: Path, function: Any) -> None:
    marker = tmp_path / "ran"
    code = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w')"
    folder = make(edit=lambda saved: saved.update(config=Attack(function, code)))
    message = refused(folder / "ckpt.pt")
    assert function.__name__ in message
    assert "Nothing was run" in message
    assert not marker.exists()


def test_unknown_classes_are_inert_and_named(make) -> None:
    attack = Attack(Path, "/tmp")
    folder = make(edit=lambda saved: saved.update(args=attack))
    notes = open_checkpoint(folder / "ckpt.pt").notes
    assert any("pathlib" in note for note in notes)


def test_every_protocol_is_understood(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True, "é", b"x", 10**30], ("k", 1): {"n": ()}, "s": {3}}
    for protocol in range(6):
        path = write_zip(tmp_path / f"{protocol}.pt", pickle.dumps(value, protocol))
        assert refused(path).startswith(f"{protocol}.pt holds no named weights")


N = 500_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x02" + b"]" * N + b"a" * (N - 1) + b".", id="nested lists"),
        pytest.param(b"\x80\x02}(" + b")" + b"\x85" * N + b"K\x01u.", id="nested tuple as key"),
        pytest.param(b"\x80\x02" + b"(" * N + b".", id="marks only"),
        pytest.param(b"\x80\x02}r\xff\xff\xff\xff.", id="memo index of 4 billion"),
        pytest.param(b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fab.", id="string of 2^63 bytes"),
        pytest.param(b"\x80\x02]q\x00h\x00a.", id="list that holds itself"),
        pytest.param(b"\x80\x02K\x01Q.", id="storage id that is a number"),
        pytest.param(b"I" + b"9" * 100_000 + b"\n.", id="long number"),
        pytest.param(b"\x82\x01.", id="extension registry"),
        pytest.param(b"\x80\x02}", id="no end"),
        pytest.param(b"\x80\x02.", id="empty stack"),
        pytest.param(b"", id="no pickle"),
        pytest.param(b"\x80\x02h\x07.", id="memo never set"),
        pytest.param(b"\x80\x02]K\x01b.", id="state for a list"),
    ],
)
def test_a_strange_pickle_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    assert "ckpt.pt" in refused(write_zip(tmp_path / "ckpt.pt", data))


def test_exponential_references_are_bounded(tmp_path: Path) -> None:
    bomb: Any = "x"
    for _ in range(60):
        bomb = [bomb] * 100
    saved = {"model": {"a": torch.ones(2), "b": torch.ones(2)}, "config": bomb}
    torch.save(saved, tmp_path / "ckpt.pt")
    assert open_checkpoint(tmp_path / "ckpt.pt").tensors.keys() == {"a", "b"}


def tensor_zip(path: Path, old: bytes, new: bytes) -> Path:
    """A checkpoint of one 3x4 tensor, with `old` replaced by `new` in its pickle."""
    buffer = io.BytesIO()
    torch.save({"model": {"a.weight": torch.ones(3, 4)}}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        data = archive.read("archive/data.pkl")
        storage = archive.read("archive/data/0")
    assert data.count(old) == 1
    return write_zip(path, data.replace(old, new), **{"data/0": storage})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x0ct", b"J\xff\xff\xff\x7ft"),  # numel
        (b"K\x03K\x04\x86", b"K\x03K\x05\x86"),  # shape beyond the storage
        (b"K\x04K\x01\x86", b"K\x00K\x00\x86"),  # strides of 0: 12 weights from 1, allowed
        (b"K\x03K\x04\x86", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"),
        (b"K\x03K\x04\x86", b"J\xff\xff\xff\xffK\x04\x86"),  # negative
        (b"K\x04K\x01\x86", b"J\xff\xff\xff\xffK\x01\x86"),
        (b"QK\x00", b"QK\x0c"),  # offset
        (b"FloatStorage", b"ComplexDoubleStorage"),
        (b"X\x01\x00\x00\x000", b"X\x05\x00\x00\x00../.0"),  # storage outside the archive
    ],
)
def test_sizes_that_lie_are_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tensor_zip(tmp_path / "ckpt.pt", old, new)
    if new == b"K\x00K\x00\x86":
        assert (open_checkpoint(path).tensors["a.weight"].float32() == 1).all()
    else:
        assert "ckpt.pt" in refused(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "ckpt.pt", b"\x80\x02" + b"N" * 50_000_000, zipfile.ZIP_DEFLATED)
    assert "is compressed" in refused(path)


def test_a_truncated_file_says_its_size(make) -> None:
    path = make() / "ckpt.pt"
    data = path.read_bytes()
    for size in (4, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert f"{size:,} bytes are there" in refused(path)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "is empty"),
        (b"GGUF\x03\x00\x00\x00", "already a GGUF"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "before 1.6"),
        (pickle.dumps({"a": 1}), "bare pickle"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"<!doctype html>", "web page"),
        (b"hello", "no format we read"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "ckpt.pt"
    path.write_bytes(data)
    assert kind in refused(path)


def test_a_folder_without_checkpoint_lists_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    (tmp_path / "b.pt").touch()
    with pytest.raises(UsageError, match=r"saw a\.pt, b\.pt"):
        convert(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        convert(tmp_path / "nothing.pt")


def mutate(data: bytes, low: int, rng: random.Random) -> bytes:
    """`data` with some bytes changed, cut or doubled, at `low` or beyond."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(low, len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + rng.choice((1, 2, 50))]
            case _:
                changed[at:at] = changed[at : at + rng.choice((1, 4, 50))]
    return bytes(changed)


def test_mutated_checkpoints_convert_or_are_refused(make) -> None:
    """300 mutations of the pickle inside, each put into a sound archive, and 100 of the archive."""
    folder = make(n_layer=1, n_embd=32, block_size=16)
    path = folder / "ckpt.pt"
    sound = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    data = entries.pop("data.pkl")
    rng = random.Random(20)
    seen = {"refused": 0, "read": 0, "converted": 0}
    for round_number in range(400):
        if round_number < 300:
            write_zip(path, mutate(data, 0, rng), **entries)
        else:
            low = 0 if rng.random() < 0.5 else len(sound) - 3000
            path.write_bytes(mutate(sound, low, rng))
        try:
            plan = make_plan(Options(path))
            for tensor in plan.model.tensors:
                assert sum(rows.size for rows in tensor.blocks()) == tensor.n_weights
            seen["read"] += 1
            if seen["read"] <= 25:
                convert(path, force=True, parity="off")
                seen["converted"] += 1
        except ConvertError as error:
            assert len(error.message) < 2000  # noqa: PT017  (one of two rightful outcomes)
            seen["refused"] += 1
        assert not list(folder.glob("*.part"))
    assert seen["refused"] > 100
    assert seen["converted"] > 5
