"""The header reader: right about real files, and unimpressed by hostile ones."""

import os
import random
import struct
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, LlamaFileType

from chatapp.gguf.errors import GgufError
from chatapp.gguf.ggml_types import FILE_TYPES, TENSOR_TYPES, file_type_name
from chatapp.gguf.model_info import name_size, read_model_info
from tests.gguf import gguf_bytes as gb


def _reason(path: Path) -> str:
    with pytest.raises(GgufError) as caught:
        read_model_info(path)
    assert str(path) in caught.value.message
    return caught.value.message.removeprefix(str(path))


def _reason_for(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    return _reason(path)


def test_a_file_made_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gb.small_model())
    info = read_model_info(path)
    assert (info.arch, info.name, info.license) == ("llama", "Tiny 北京 Q4_K_M", "mit")
    assert (info.n_ctx_train, info.n_layers, info.n_embd, info.n_heads) == (4096, 2, 64, 4)
    assert (info.n_vocab, info.n_tensors, info.n_params) == (5, 2, 64 * 5 + 512)
    assert (info.quantisation, info.size_label) == ("Q4_K_M", "832")
    assert info.tensor_types == {"F32": 1, "Q4_K": 1}
    assert info.chat_template
    assert info.tokenizer == "gpt2"
    assert info.size_bytes == path.stat().st_size


def test_a_real_file_agrees_with_the_gguf_package(tiny_model: Path) -> None:
    info = read_model_info(tiny_model)
    reader = GGUFReader(tiny_model)
    assert info.arch == reader.get_field("general.architecture").contents()  # type: ignore[union-attr]
    assert info.n_tensors == len(reader.tensors)
    assert info.n_params == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert info.n_vocab == len(reader.get_field("tokenizer.ggml.tokens").contents())  # type: ignore[union-attr]
    assert info.chat_template
    assert set(info.tensor_types) == {tensor.tensor_type.name for tensor in reader.tensors}


def test_the_tables_agree_with_the_gguf_package() -> None:
    assert {number: (row.block, row.block_bytes) for number, row in TENSOR_TYPES.items()} == {
        kind.value: sizes for kind, sizes in GGML_QUANT_SIZES.items()
    }
    known = {kind.value: kind.name for kind in LlamaFileType if kind.name != "GUESSED"}
    assert known.keys() == FILE_TYPES.keys()
    for number, name in known.items():
        assert name.removeprefix("MOSTLY_").removeprefix("ALL_") == FILE_TYPES[number]
    assert {number: kind.name for number, kind in TENSOR_TYPES.items()} == {
        kind.value: kind.name for kind in GGML_QUANT_SIZES
    }
    assert TENSOR_TYPES[12].tensor_bytes((2, 256)) == 288
    assert file_type_name(999) == "type 999"


def test_a_large_vocabulary_is_stepped_over(tmp_path: Path) -> None:
    # 300,000 texts are several windows of the reader; their borders fall inside texts.
    front = gb.header(gb.entries(n_vocab=300_000), [gb.tensor("a", (64,), 0, 0)])
    path = tmp_path / "large.gguf"
    path.write_bytes(gb.pad(front, 256))
    info = read_model_info(path)
    assert (info.n_vocab, info.n_tensors, info.chat_template) == (300_000, 1, True)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    whole = gb.small_model()
    path = tmp_path / "cut.gguf"
    step = max(1, len(whole) // 250)
    for length in [*range(0, len(whole), step), len(whole) - 1]:
        path.write_bytes(whole[:length])
        reason = _reason(path)
        assert "not a usable model file" in reason, length
    path.write_bytes(whole)
    assert read_model_info(path).n_tensors == 2


def test_random_damage_ends_in_a_reason_or_a_description(tmp_path: Path) -> None:
    whole = gb.small_model()
    dice = random.Random(1)
    path = tmp_path / "damaged.gguf"
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(24, 1500)] = dice.choice((0, 1, 127, 128, 255))
        path.write_bytes(content)
        try:
            read_model_info(path)
        except GgufError:
            refused += 1
    assert refused > 20


def _u64(value: int) -> bytes:
    return struct.pack("<Q", value)


HUGE = 2**63 + 5

HOSTILE = {
    "empty": (b"", "it is empty"),
    "short": (b"GG", "does not begin with GGUF"),
    "magic": (b"ABCD" + bytes(100), "does not begin with GGUF"),
    "zip": (b"PK\x03\x04" + bytes(100), "chatapp convert"),
    "page": (b"<!DOCTYPE html>", "web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    "ggml": (b"lmgg" + bytes(100), "old GGML format"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
    "version 1": (gb.header([], [], version=1), "GGUF version 1"),
    "version 99": (gb.header([], [], version=99), "GGUF version 99"),
    "tensors": (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0), "the number of tensors is"),
    "keys": (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE), "the number of keys is"),
    "key length": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, HUGE), "the length of a key is"),
    "key beyond the end": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 900), "ends in the middle"),
    "text length": (
        gb.header([gb.entry("a", gb.STRING, _u64(HUGE))], []),
        "the length of the value of 'a' is",
    ),
    "unknown type": (gb.header([gb.entry("a", 77, bytes(8))], []), "unknown type 77"),
    "array of texts": (
        gb.header([gb.entry("a", gb.ARRAY, struct.pack("<IQ", gb.STRING, HUGE))], []),
        "texts, which is absurd",
    ),
    "array of numbers": (
        gb.header([gb.entry("a", gb.ARRAY, struct.pack("<IQ", gb.U64, HUGE))], []),
        "ends in the middle",
    ),
    "nested array": (
        gb.header([gb.entry("a", gb.ARRAY, struct.pack("<IQ", gb.ARRAY, 1) + bytes(99))], []),
        "lists in a list",
    ),
    "array of unknown": (
        gb.header([gb.entry("a", gb.ARRAY, struct.pack("<IQ", 55, 1) + bytes(99))], []),
        "unknown type 55",
    ),
    "same key twice": (
        gb.header([gb.entry("a", gb.U8, b"1"), gb.entry("a", gb.U8, b"2")], []),
        "occurs twice",
    ),
    "dimensions": (
        gb.header([], [gb.text("t") + struct.pack("<I", 4_000_000_000) + bytes(99)]),
        "4,000,000,000 dimensions",
    ),
    "elements": (gb.header([], [gb.tensor("t", (2**62, 2**62), 0, 0)]), "absurdly large"),
    "offset": (gb.pad(gb.header([], [gb.tensor("t", (4,), 0, HUGE)]), 16), "it was cut short"),
    "alignment": (
        gb.header([gb.entry("general.alignment", gb.U32, struct.pack("<I", 33))], []),
        "no power of two",
    ),
    "negative alignment": (
        gb.header([gb.entry("general.alignment", gb.I32, struct.pack("<i", -8))], []),
        "no power of two",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    content, reason = HOSTILE[name]
    assert reason in _reason_for(tmp_path, content)


def test_absurd_counts_in_a_sparse_file_end_soon(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    for count in (2_000_000, 20_000_000):
        front = gb.header([gb.entry("a", gb.ARRAY, struct.pack("<IQ", gb.STRING, count))], [])
        path.write_bytes(front)
        os.truncate(path, 400_000_000)
        if count > 10_000_000:
            assert "absurd" in _reason(path)
        else:
            assert read_model_info(path).n_tensors == 0


def test_a_long_text_in_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(gb.header([gb.entry("a", gb.STRING, _u64(3 * 10**9))], []))
    os.truncate(path, 4 * 10**9)
    assert "3,000,000,000, which is absurd" in _reason(path)


def test_values_of_unexpected_types_count_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    odd = [
        gb.entry("general.architecture", gb.U32, bytes(4)),
        gb.entry("general.name", gb.ARRAY, gb.texts("a")),
        gb.entry("general.license", gb.STRING, gb.text(b"\xff\xfe")),
        gb.entry("general.file_type", gb.U32, struct.pack("<I", 777)),
    ]
    path.write_bytes(gb.header(odd, []))
    info = read_model_info(path)
    assert (info.arch, info.name, info.license) == ("", "odd", "\ufffd\ufffd")
    assert info.quantisation == "type 777"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "folder" in _reason(tmp_path)
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    assert "not a regular file" in _reason(pipe)
    with pytest.raises(GgufError, match="There is no model file"):
        read_model_info(tmp_path / "missing.gguf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    path.write_bytes(gb.small_model())
    path.chmod(0)
    assert "Permission denied" in _reason(path)


@pytest.mark.parametrize(
    ("n_params", "label"),
    [(0, "0"), (999, "999"), (124_439_808, "124M"), (7_241_732_096, "7.2B"), (70e9, "70B")],
)
def test_parameter_counts_in_short(n_params: int, label: str) -> None:
    assert name_size(n_params) == label


@pytest.mark.parametrize(
    ("arch", "keys", "use"),
    [
        ("llama", {"tokenizer.chat_template": "x"}, "chat"),
        ("llama", {}, "completion"),
        ("t5", {}, "text to text"),
        ("nomic-bert", {}, "embeddings"),
        ("qwen3", {"qwen3.pooling_type": 3, "tokenizer.chat_template": "x"}, "embeddings"),
        ("gemma3", {"gemma3.attention.causal": False}, "embeddings"),
    ],
)
def test_what_a_model_is_for(tmp_path: Path, arch: str, keys: dict[str, object], use: str) -> None:
    path = tmp_path / "m.gguf"
    writer = GGUFWriter(path, arch)
    for key, value in keys.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_string(key, str(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    assert read_model_info(path).use == use
