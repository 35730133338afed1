"""What is no checkpoint, or pretends to be one: one sentence says what it is, a hint what to do."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from convert.checkpoints import locate, open_checkpoint
from convert.errors import CheckpointError, ConvertError, UsageError

torch.set_num_threads(1)


def refused(path: Path) -> str:
    """Why `path` is refused; the hint says what to do."""
    with pytest.raises(ConvertError) as caught:
        open_checkpoint(locate(path))
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "is empty"),
        (b"GGUF\x03\x00\x00\x00", "already a GGUF"),
        (b"tjgg\x03\x00\x00\x00", "before GGUF"),
        (b"24ka\x01\x00\x00\x00", "llama2.c's own"),
        (pickle.dumps({"a": 1}), "bare pickle"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY\x01", "NumPy"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"<!doctype html>", "web page"),
        (b'{"a": 1}', "JSON"),
        (bytes(100), "never filled"),
        (bytes(257) + b"ustar", "never filled"),
        (b"./weights".ljust(257, b"\0") + b"ustar\0", "tar archive"),
        (b"hello", "no format we read"),
    ],
)
@pytest.mark.parametrize("name", ["ckpt.pt", "model.safetensors"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, data: bytes, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    message = refused(tmp_path / name)
    assert kind in message or (name.endswith("safetensors") and "is damaged" in message)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a-Q4.gguf"], "GGUF model files"),
        (["tokenizer.json", "config.json"], "a tokenizer without weights"),
        (["config.json"], "a configuration without weights"),
        (["adapter_config.json", "adapter_model.safetensors"], "a LoRA adapter"),
        (["model.onnx", "config.json"], "an ONNX model"),
        (["tf_model.h5", "config.json"], "a TensorFlow or Keras model"),
        (["flax_model.msgpack"], "a Flax model"),
        (["weights.npz"], "NumPy arrays"),
        (["__0_0.distcp", ".metadata"], "a distributed checkpoint"),
        (["optimizer.pt", "rng_state.pth"], "the state of a training run"),
        (["model.safetensors.incomplete"], "an unfinished download"),
        ([], "saw nothing"),
        (["a.txt"], r"saw a.txt"),
    ],
)
def test_a_folder_without_checkpoint_says_what_it_holds(
    tmp_path: Path, names: list[str], kind: str
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert kind in refused(tmp_path)


def test_a_folder_of_folders_points_below(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-500").mkdir()
    (tmp_path / "checkpoint-500" / "model.safetensors").write_bytes(b"x")
    (tmp_path / "checkpoint-500" / "config.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        locate(tmp_path)
    assert "checkpoint-500" in caught.value.hint


def test_other_archives_are_told_from_checkpoints(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.ones(3))
    assert "NumPy arrays" in refused(tmp_path / "a.npz")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "b.pt")
    assert "TorchScript" in refused(tmp_path / "b.pt")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("word/document.xml", "x")
    assert "not a PyTorch checkpoint" in refused(tmp_path / "c.zip")
    torch.save({"a": torch.ones(2)}, tmp_path / "d.pt")
    data = (tmp_path / "d.pt").read_bytes()
    (tmp_path / "d.pt").write_bytes(data.replace(b"little", b"biggig"))
    assert "big-endian" in refused(tmp_path / "d.pt")


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ckpt.pt")
    (tmp_path / "model.safetensors").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "config.json")
    for name in ("ckpt.pt", "model.safetensors"):
        assert "not a regular file" in refused(tmp_path / name)
        with pytest.raises(CheckpointError, match="not a regular file"):
            open_checkpoint(tmp_path / name)
    assert "holds a configuration" in refused(tmp_path)
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert open_checkpoint(locate(tmp_path)).config == {}
    (tmp_path / "loop.pt").symlink_to(tmp_path / "loop.pt")
    assert refused(tmp_path / "loop.pt")


def write_header(path: Path, header: Any, body: int = 100) -> None:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + bytes(body))


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [5, 5], "data_offsets": [0, 100]} | changes}


@pytest.mark.parametrize(
    "header",
    [
        entry(data_offsets=[0, 104]),
        entry(data_offsets=[-4, 96]),
        entry(data_offsets=[4, 104]),
        entry(data_offsets=[0.0, 100]),
        entry(data_offsets=[0]),
        entry(data_offsets=None),
        entry(shape=[5, 6]),
        entry(shape=[-5, -5]),
        entry(shape=[5.0, 5]),
        entry(shape=[True, 25]),
        entry(shape=[1 << 60, 0], data_offsets=[0, 0]),
        entry(shape=[1 << 40, 0], data_offsets=[0, 0]),
        entry(shape="55"),
        entry(shape=[1] * 9),
        entry(dtype="F4"),
        entry(dtype=["F32"]),
        entry(dtype="\x1b[31m"),
        {"a": 1},
        {"a": None},
        {"a": [1, 2]},
        [1],
        7,
        {},
        {"__metadata__": {}},
        b'{"a": 1, "a": 1}',
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": "\xff"}',
        b"[" + b"[]," * 3_000_000 + b"]",
        b"not JSON",
        b"",
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_safetensors_header_that_lies(tmp_path: Path, header: Any) -> None:
    write_header(tmp_path / "a.safetensors", header)
    assert "a.safetensors" in refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize("length", [0, 1, 99, 2 << 30, (1 << 64) - 1, 50 << 20])
def test_a_header_length_that_lies(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little"))
    for size in (8, 3 << 30):  # the second is a hole: no disk is used
        os.truncate(path, size)
        assert refused(path)


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/etc/passwd",
        "..",
        "",
        "a/b.safetensors",
        "a\\b",
        "x\0",
        7,
        "x" * 300,
    ],
)
def test_an_index_does_not_lead_out_of_its_folder(tmp_path: Path, name: Any) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    index = {"weight_map": {"a": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "outside the folder" in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": "model.safetensors", "a": "b"}}',
        "\ufeff\ufeff{}",
        "{" * 200_000,
    ],
)
def test_an_index_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json" in refused(tmp_path)


BOMB = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(30))


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: !!python/object/apply:os.system ['touch ran']\n",
        "a: !!timestamp x\n",
        "a: !!bool x\n",
        "a: !!int ''\n",
        "? [a]\n: b\n? {a: 1}\n: c\n",
        "[" * 3000,
        "a: b: c",
        "- 1",
        "a: " + "x" * 100_000,
        "a: 99999-99-99 99:99:99\n- x",
    ],
    ids=lambda text: text[:30],
)
def test_a_yaml_that_is_none(tmp_path: Path, text: str) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "lit_model.pth")
    (tmp_path / "model_config.yaml").write_text(text)
    assert "model_config.yaml" in refused(tmp_path)


def test_numbers_beyond_64_bits_are_floats(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"a": 10**30, "b": -1, "c": "\ud800"}))
    assert open_checkpoint(tmp_path).config == {"a": 1e30, "b": -1, "c": "?"}


@pytest.mark.parametrize(
    ("state", "tool"),
    [
        ({"l.weight": torch.ones(4, 1).byte(), "l.weight.absmax": torch.ones(2)}, "bitsandbytes"),
        ({"l.weight": torch.ones(4, 4).to(torch.int8), "l.SCB": torch.ones(4)}, "bitsandbytes"),
        ({"l.qweight": torch.ones(4, 4).int(), "l.qzeros": torch.ones(4).int()}, "GPTQ or AWQ"),
        ({"l.weight_packed": torch.ones(4, 4).int()}, "compressed-tensors"),
        ({"l.weight": torch.ones(4, 4).to(torch.float8_e4m3fn)}, "an FP8 tool"),
        ({"l.down_proj_blocks": torch.ones(4, 4).byte()}, "MXFP4"),
    ],
)
def test_quantised_weights_are_told_by_their_tensors(
    tmp_path: Path, state: dict[str, torch.Tensor], tool: str
) -> None:
    save_file(state, tmp_path / "model.safetensors")
    assert f"quantised by {tool}" in refused(tmp_path)
    torch.save(state, tmp_path / "ckpt.pt")
    assert f"quantised by {tool}" in refused(tmp_path / "ckpt.pt")


def test_quantised_weights_are_told_by_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "eetq"}}')
    save_file({"l.weight": torch.ones(4, 4).to(torch.int8)}, tmp_path / "model.safetensors")
    assert "quantised by eetq" in refused(tmp_path)
    save_file({"l.weight": torch.ones(4, 4)}, tmp_path / "model.safetensors")
    assert any("weights are whole" in note for note in open_checkpoint(tmp_path).notes)


def test_flat_parameters_of_fsdp_are_named(tmp_path: Path) -> None:
    torch.save({"_fsdp_wrapped_module._flat_param": torch.ones(9)}, tmp_path / "a.pt")
    assert "FSDP" in refused(tmp_path / "a.pt")


def test_shards_that_do_not_fit_one_another(tmp_path: Path) -> None:
    for number in (1, 2):
        save_file({"a": torch.ones(2)}, tmp_path / f"model-0000{number}-of-00002.safetensors")
    assert "which another shard has too" in refused(tmp_path)
    save_file({"b": torch.ones(2)}, tmp_path / "model-00001-of-00003.safetensors")
    assert "shards of 2 models" in refused(tmp_path)


HUGE = """
from pathlib import Path
from convert.checkpoints import open_checkpoint
from convert.errors import ConvertError
try:
    open_checkpoint(Path({path!r}))
except ConvertError as error:
    status = Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in /proc")
@pytest.mark.parametrize("kind", ["memo", "lists", "header"])
def test_a_small_file_does_not_fill_the_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.safetensors"
    if kind == "header":
        names = b",".join(b'"%x":1' % index for index in range(700_000))
        write_header(path, b"{" + names + b"}")
    else:
        body = b"}\x94" * 5_000_000 if kind == "memo" else b"](e" * 5_000_000
        path = tmp_path / "ckpt.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ckpt/data.pkl", b"\x80\x04" + body)
    code = HUGE.format(path=str(path))
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    # getrusage's peak is no use here: a child inherits its parent's
    assert int(result.stdout) < 700_000  # kB
