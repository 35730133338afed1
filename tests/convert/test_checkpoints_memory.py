"""Memory follows a block of rows, in every format, however big the file."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in /proc")
@pytest.mark.parametrize("kind", ["safetensors", "torch-zip", "torch-legacy"])
def test_reading_by_blocks_does_not_hold_the_file(tmp_path: Path, kind: str) -> None:
    """3 GB of bf16 in a sparse file, read whole: the process grows by a few blocks."""
    rows, cols = 400_000, 4096
    path = tmp_path / "big"
    write_sparse(path, kind, rows, cols)
    assert path.stat().st_blocks < 1 << 16
    code = f"""
from pathlib import Path
from convert.checkpoints import open_checkpoint
def peak():  # kB; getrusage's is inherited from the parent
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
checkpoint = open_checkpoint(Path({str(path)!r}))
tensor = checkpoint.tensors["w"]
assert tensor.shape == ({rows}, {cols}), tensor.shape
before = peak()
for number, block in enumerate(tensor.blocks()):
    if number > 60: break
block = tensor.read({rows - 3}, {rows})
print(peak() - before, int((block == 0).all()))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    grown, is_zero = result.stdout.split()
    assert int(grown) < 60_000  # kB
    assert is_zero == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in /proc")
def test_transposing_does_not_hold_the_file(tmp_path: Path) -> None:
    """0.6 GB in a sparse file: stripes of 32 MiB, two of them at most."""
    path = tmp_path / "big"
    write_sparse(path, "safetensors", 40_000, 8192)
    code = f"""
from pathlib import Path
from convert.checkpoints import open_checkpoint
from convert.checkpoints.operations import transpose
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
tensor = transpose(open_checkpoint(Path({str(path)!r})).tensors["w"])
before = peak()
for start in range(0, 600, 3):
    assert (tensor.read(start, start + 3) == 0).all()
print(peak() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(result.stdout) < 130_000  # kB


def write_sparse(path: Path, kind: str, rows: int, cols: int) -> None:
    """A file of one bf16 tensor "w", all of it a hole."""
    size = rows * cols * 2
    if kind == "safetensors":
        entry = {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [0, size]}
        header = json.dumps({"w": entry}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with path.open("r+b") as file:
            file.truncate(8 + len(header) + size)
        return
    marker = torch.full((2,), 1.5, dtype=torch.bfloat16)
    torch.save({"w": marker}, path, _use_new_zipfile_serialization=kind == "torch-zip")
    grow(path, kind, rows, cols)


def grow(path: Path, kind: str, rows: int, cols: int) -> None:
    """Make the tensor of two weights in `path` one of `rows` times `cols`."""
    size = rows * cols * 2
    number = (rows * cols).to_bytes(4, "little")
    if kind == "torch-legacy":
        data = path.read_bytes()
        pickled = data.replace(b"K\x02Nt", b"J" + number + b"Nt").replace(
            b"K\x02\x85",
            b"J" + rows.to_bytes(4, "little") + b"M" + cols.to_bytes(2, "little") + b"\x86",
        )
        pickled = pickled.replace(b"K\x01\x85", b"M" + cols.to_bytes(2, "little") + b"K\x01\x86")
        head, _, _ = pickled.rpartition((2).to_bytes(8, "little"))
        path.write_bytes(head + (rows * cols).to_bytes(8, "little"))
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + size)
        return
    with zipfile.ZipFile(path) as archive:
        # PyTorch names the folder in it after the file, or `archive` where the path is not ASCII
        [pickled_as] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        data = archive.read(pickled_as)
    data = data.replace(b"K\x02t", b"J" + number + b"t").replace(
        b"K\x02\x85",
        b"J" + rows.to_bytes(4, "little") + b"M" + cols.to_bytes(2, "little") + b"\x86",
    )
    data = data.replace(b"K\x01\x85", b"M" + cols.to_bytes(2, "little") + b"K\x01\x86")
    write_big_zip(path, data, size)


def write_big_zip(path: Path, data: bytes, size: int) -> None:
    """A zip of data.pkl and a storage that is a hole, by hand: zipfile would write the zeros."""

    def local(name: bytes, length: int) -> bytes:
        fields = (b"PK\x03\x04", 45, 0, 0, 0, 0, 0, length, length, len(name), 0)
        return struct.pack("<4s5H3I2H", *fields) + name

    def central(name: bytes, length: int, at: int) -> bytes:
        extra = struct.pack("<HHQQQ", 1, 24, length, length, at)
        big = 0xFFFFFFFF
        fields = (b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, big, big, len(name), len(extra))
        return (
            struct.pack("<4s6H3I2H", *fields)
            + struct.pack("<HHHII", 0, 0, 0, 0, big)
            + name
            + extra
        )

    first = local(b"big/data.pkl", len(data)) + data
    second = local(b"big/data/0", 0)
    with path.open("wb") as file:
        file.write(first + second)
        file.truncate(len(first + second) + size)
        file.seek(0, 2)
        start = file.tell()
        listing = central(b"big/data.pkl", len(data), 0) + central(b"big/data/0", size, len(first))
        file.write(listing)
        end = file.tell()
        file.write(
            struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, len(listing), start)
        )
        file.write(struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1))
        file.write(
            struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        )
