"""Checkpoints made to harm: nothing is run, nothing is written, and the reason is said."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.checkpoints import open_checkpoint
from convert.errors import CheckpointError
from convert.pipeline import convert


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
# a tuple of 64 tuples of 64 numbers, in place 2 of the memo
WIDE_KEY = (
    b"\x80\x02("
    + b"K\x01" * 64
    + b"tq\x01("
    + b"h\x01" * 64
    + b"tq\x02("
    + b"h\x02" * 64
    + b"tq\x02}("
)


def same_hash(index: int) -> bytes:
    """A number and None; Python gives one hash to every multiple of 2^61 - 1."""
    number = (index * ((1 << 61) - 1)).to_bytes(11, "little")
    return b"\x8a\x0b" + number + b"N"


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
        pytest.param(WIDE_KEY + b"h\x02N" * 200_000 + b"u.", id="keys slow to hash"),
        pytest.param(
            b"\x80\x02}(" + b"".join(map(same_hash, range(50_000))) + b"u.", id="keys of one hash"
        ),
        pytest.param(b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".", id="number of 2040 bits"),
        pytest.param(
            b"\x80\x02\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20) + b"Q.", id="number of 1 MB"
        ),
        pytest.param(b"\x80\x02c" + b"a" * 1_000_000 + b"\nb\n)R.", id="long name of a class"),
        pytest.param(b"\x80\x02cm\xc3\x28\nb\n)R.", id="name that is no UTF-8"),
    ],
)
def test_a_strange_pickle_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    assert "ckpt.pt" in refused(write_zip(tmp_path / "ckpt.pt", data))


TENSOR = torch.ones(2)


def named_often(kind: str) -> Any:
    """A small object that names a big one 20,000 times."""
    big: dict[Any, Any] = dict.fromkeys(range(20_000)) | {"w": TENSOR}
    tensors = {f"w{index}": TENSOR for index in range(20_000)} | {"n": 1}
    module = torch.nn.Linear(2, 2)
    module._parameters = tensors
    holder = torch.nn.Module()
    holder._modules = dict.fromkeys(map(str, range(20_000)), module)
    return {
        "numbers": {"a": TENSOR, "x": [big] * 20_000},
        "odd keys": {"a": TENSOR, "x": [{b"%d" % i: 1 for i in range(20_000)}] * 20_000},
        "weights": dict.fromkeys(map(str, range(20_000)), tensors),
        "tree": {"model": {"w": torch.ones(2, 2), "x": dict.fromkeys(map(str, range(900)), big)}},
        "modules": holder,
        "text": {"a": TENSOR, "x": ["é" * 1_000_000] * 20_000},
        "objects": {"a": TENSOR, "x": [argparse.Namespace(**tensors)] * 20_000},
    }[kind]


@pytest.mark.parametrize(
    "kind", ["numbers", "odd keys", "weights", "tree", "modules", "text", "objects"]
)
def test_what_is_named_often_is_not_read_often(tmp_path: Path, kind: str) -> None:
    saved = named_often(kind)
    torch.save({"config": saved, "more": saved, "model": {"a": TENSOR}}, tmp_path / "a.pt")
    started = time.process_time()
    with contextlib.suppress(CheckpointError):
        assert open_checkpoint(tmp_path / "a.pt").tensors
    assert time.process_time() - started < 8


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (
            b"collections\nOrderedDict",
            b"](" + b"K\x01K\x01\x86q\x02h\x02" + b"h\x02" * 20_000 + b"e",
        ),
        (b"__builtin__\nset", b"](" + b"K\x01" * 20_000 + b"e"),
        (b"_codecs\nencode", b"X\x40\x42\x0f\0" + b"a" * 1_000_000),
        (b"a\nb", b"](" + b"K\x01" * 20_000 + b"e"),
    ],
)
def test_calls_do_not_copy_without_end(tmp_path: Path, function: bytes, argument: bytes) -> None:
    data = b"\x80\x02(c" + function + b"\nq\x00" + argument + b"\x85q\x01"
    path = write_zip(tmp_path / "ckpt.pt", data + b"h\x00h\x01R" * 20_000 + b"t.")
    started = time.process_time()
    assert "more than any checkpoint needs" in refused(path)
    assert time.process_time() - started < 8


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
    for size in (2, 4, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert f"{size:,} bytes are there" in refused(path)


def test_a_small_zip_that_lists_one_body_many_times_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "ckpt.pt", b"\x80\x02N.", **{"data/0": bytes(1000)})
    data = path.read_bytes()
    start = data.rindex(b"PK\x01\x02")
    again = data[start:].partition(b"PK\x05\x06")[0].replace(b"data/0", b"data/1")
    end = bytearray(data[data.rindex(b"PK\x05\x06") :])
    end[8:12] = b"\x03\0\x03\0"
    end[12:16] = (int.from_bytes(end[12:16], "little") + len(again)).to_bytes(4, "little")
    path.write_bytes(data[: -len(end)] + again + bytes(end))
    assert len(zipfile.ZipFile(path).namelist()) == 3
    assert "ends beyond the next one" in refused(path)


def test_a_directory_of_millions_is_not_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "ckpt.pt", b"\x80\x02N.")
    data = path.read_bytes()
    start = data.rindex(b"PK\x01\x02")
    at = data.rindex(b"PK\x05\x06")
    entry, end = data[start:at], bytearray(data[at:])
    end[12:16] = (len(entry) * 2_000_000).to_bytes(4, "little")
    path.write_bytes(data[:start])
    with path.open("r+b") as file:
        file.seek(start + len(entry) * 2_000_000)
        file.write(end)
    assert "it lists" in refused(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_modules_in_themselves_come_to_an_end(tmp_path: Path, zipped: bool) -> None:
    module = torch.nn.Linear(2, 2)
    module._modules["again"] = module
    torch.save(module, tmp_path / "ckpt.pt", _use_new_zipfile_serialization=zipped)
    assert "without end" in refused(tmp_path / "ckpt.pt")


def test_the_old_format_runs_nothing_either(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    saved = {"model": {"a": torch.ones(2)}, "x": Attack(os.system, f"touch {marker}")}
    torch.save(saved, tmp_path / "ckpt.pt", _use_new_zipfile_serialization=False)
    before = (tmp_path / "ckpt.pt").read_bytes()
    assert "Nothing was run" in refused(tmp_path / "ckpt.pt")
    torch.save({"a": torch.ones(400)}, tmp_path / "ckpt.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "ckpt.pt").read_bytes()
    (tmp_path / "ckpt.pt").write_bytes(whole[:-1])
    assert "not copied to the end" in refused(tmp_path / "ckpt.pt")
    at = whole.index(b"\x88", whole.index(b"little_endian"))
    (tmp_path / "ckpt.pt").write_bytes(whole[:at] + b"\x89" + whole[at + 1 :])
    assert "big-endian" in refused(tmp_path / "ckpt.pt")
    assert before != whole
    assert not marker.exists()


def test_a_file_cut_short_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "ckpt.pt"
    torch.save({"a": torch.ones(1000, 100), "b": torch.ones(1000, 100).t()}, path)
    tensors = open_checkpoint(path).tensors
    path.write_bytes(path.read_bytes()[:1000])
    for tensor in tensors.values():
        with pytest.raises(CheckpointError, match="became shorter"):
            tensor.float32()
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        tensors["a"].float32()
