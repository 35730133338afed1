"""Headers are read once, and again when the file has changed."""

import os
import re
import shutil
import time
from pathlib import Path

import gguf
import numpy as np
import pytest

from chatapp.errors import ModelError
from chatapp.gguf.model_info import read_model_info
from chatapp.gguf.reader import KnownTexts
from chatapp.library.headers import Headers
from chatapp.paths import BUILTIN_MODEL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    for index in range(4):
        shutil.copy(BUILTIN_MODEL, made / f"m{index}.gguf")
    (made / "m2.gguf").write_bytes(b"GGUF\0\0\0\0 broken")
    return made


def test_a_broken_one_is_named_and_the_rest_are_read(folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.iterdir())
    for _ in range(2):  # read, then remembered
        headers = Headers(tmp_path / "state" / "headers.json")
        found = list(headers.read_all(paths))
        headers.save()
        assert [path for path, _ in found] == paths
        broken = [str(info) for _, info in found if isinstance(info, ModelError)]
        assert len(broken) == 1
        assert "m2.gguf" in broken[0]
        assert found[0][1] == read_model_info(paths[0])


def test_what_is_remembered_is_not_read_again(folder: Path, tmp_path: Path) -> None:
    path = folder / "m0.gguf"
    first = Headers(tmp_path / "headers.json")
    info = first.read(path)
    first.save()
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # damaged, unseen: size and time are the same
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert Headers(tmp_path / "headers.json").read(path) == info
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(ModelError, match=r"m0\.gguf"):
        Headers(tmp_path / "headers.json").read(path)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"fields": [], "rows": {}}', b"\xff" * 99])
def test_a_damaged_memory_costs_time_only(folder: Path, tmp_path: Path, damage: bytes) -> None:
    memory = tmp_path / "headers.json"
    memory.write_bytes(damage)
    headers = Headers(memory)
    assert headers.read(folder / "m0.gguf").n_layers > 0
    headers.save()
    assert memory.stat().st_size > len(damage)


def test_a_memory_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    headers = Headers(tmp_path / "file" / "headers.json")
    assert headers.read(folder / "m0.gguf").n_layers > 0
    headers.save()
    assert Headers(None).read(folder / "m0.gguf").n_layers > 0


def test_a_vocabulary_met_before_is_leapt_over(folder: Path) -> None:
    known = KnownTexts()
    first = read_model_info(folder / "m0.gguf", known)
    started = time.perf_counter()
    again = read_model_info(folder / "m1.gguf", known)
    leapt = time.perf_counter() - started
    assert leapt < 60  # a bound against endless loops, not a speed
    assert (again.n_vocab, again.n_tensors, again.n_params) == (
        first.n_vocab,
        first.n_tensors,
        first.n_params,
    )
    data = bytearray((folder / "m1.gguf").read_bytes())
    tokens = data.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens")
    word = re.search(rb"[a-z]{4}", data[tokens:])
    assert word is not None
    data[tokens + word.start() + 1] ^= 1  # one letter differs: walked over
    (folder / "m1.gguf").write_bytes(data)
    assert read_model_info(folder / "m1.gguf", known).n_tensors == first.n_tensors


def _write(path: Path, split: int) -> None:
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=split)
    writer.add_block_count(3)
    writer.add_tensor("token_embd.weight", np.ones((8, 4), np.float32))
    for layer in range(3):
        writer.add_tensor(f"blk.{layer}.attn_q.weight", np.ones((4, 4), np.float16))
        writer.add_tensor(f"blk.{layer}.attn_v.weight", np.ones((2 + layer, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_shards_of_a_model_together_are_as_one_file(tmp_path: Path) -> None:
    _write(tmp_path / "whole.gguf", 0)
    _write(tmp_path / "parts.gguf", 2)
    first = tmp_path / "parts-00001-of-00004.gguf"
    headers = Headers(None)
    whole, parts = headers.read_model(tmp_path / "whole.gguf"), headers.read_model(first)
    assert (parts.shards, parts.path) == (4, first)
    for name in ("layer_bytes", "other_bytes", "n_params", "n_tensors", "size_label"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert parts.tensor_types == whole.tensor_types
    assert parts.size_bytes == sum(file.stat().st_size for file in tmp_path.glob("parts-*"))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "parts.gguf", 2)
    (tmp_path / "parts-00003-of-00004.gguf").unlink()
    with pytest.raises(ModelError, match="parts-00003-of-00004"):
        Headers(None).read_model(tmp_path / "parts-00001-of-00004.gguf")


def test_todays_troubles_are_not_remembered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = folder / "m0.gguf"
    headers = Headers(tmp_path / "headers.json")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        with pytest.raises(ModelError, match="Permission denied"):
            headers.read(path)
    headers.save()
    assert Headers(tmp_path / "headers.json").read(path) == read_model_info(path)
