"""`inspect`: what is said of checkpoints and GGUFs, of any bytes at all, and how quickly."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from chatapp.gguf.header import read_header
from convert.errors import CheckpointError, UsageError
from convert.inspection import describe, inspect, main
from convert.options import Options
from convert.pipeline import convert
from tests.convert.test_command import ROOT, run

torch.set_num_threads(1)


def look(path: Path, **options: Any) -> dict[str, Any]:
    return inspect(Options(path, dry_run=True), **options)


@pytest.fixture
def written(make) -> Path:
    """A GGUF we wrote, with its proof."""
    return convert(make(), ftype="Q8_0", parity="auto", license="MIT").output


def test_the_header_is_what_the_gguf_library_reads(written: Path) -> None:
    header, theirs = read_header(written), gguf.GGUFReader(written)
    assert [t.name for t in header.tensors] == [t.name for t in theirs.tensors]
    for ours, tensor in zip(header.tensors, theirs.tensors, strict=True):
        assert ours.shape == tuple(int(n) for n in reversed(tensor.shape))
        assert (ours.kind, ours.n_bytes) == (tensor.tensor_type.name, tensor.n_bytes)
        assert ours.offset == tensor.data_offset
    for key, value in header.values.items():
        expected = theirs.fields[key].contents()
        found = value if not hasattr(value, "items") else value.items()
        assert found == expected, key


def test_a_gguf_of_ours_shows_where_it_came_from(written: Path) -> None:
    report = look(written)
    assert (report["arch"], report["type"], report["license"]) == ("gpt2", "Q8_0", "MIT")
    assert report["hparams"]["attention.head_count"] == 4
    assert report["tensors"]["types"]["Q8_0"]["count"] == 9
    assert report["tokenizer"]["n_tokens"] == 512
    assert report["tokenizer"]["special_ids"]["eos"] == {"id": 1, "text": "<|end|>"}
    assert report["chat_template"]["sample"].startswith("<|endoftext|><|user|>What is")
    assert report["provenance"]["source.iteration"] == 1234
    assert report["proof"]["parity"]["top1"] > 0.9
    text = "\n".join(describe(report))
    assert "as Q8_0" in text
    assert "logits: as Q8_0" in text
    assert "Licence     MIT" in text


def test_a_checkpoint_shows_what_converting_it_would_do(make) -> None:
    report = look(make(masks=True), tensors=True)
    assert report["format"] == "torch-zip"
    assert report["arch"] == "gpt2"
    assert any("nanoGPT" in line for line in report["evidence"])
    assert report["training"] == {"iteration": 1234, "validation_loss": 3.25}
    assert len(report["ignored"]) == 3
    assert report["tokenizer"]["n_tokens"] == 512
    assert report["sizes"]["F32"] > report["sizes"]["Q8_0"] > 0
    assert report["tensors"]["types"].keys() == {"F32"}
    names = [tensor["name"] for tensor in report["all_tensors"]]
    assert "transformer.wte.weight" in names
    assert report["tensors"]["count"] == len(names)


def test_an_unknown_family_still_shows_what_it_is(make) -> None:
    folder = make(edit=lambda s: s.update(model={"conv.weight": torch.ones(2, 3)}))
    report = look(folder)
    assert "no family we know" in report["refusal"]["message"]
    assert report["tensors"] == {
        "count": 1,
        "bytes": 24,
        "types": {"F32": {"count": 1, "bytes": 24}},
    }
    text = "\n".join(describe(report))
    assert "torch-zip" in text
    assert "Refused     The weights in ckpt.pt are of no family" in text


def test_a_missing_tokenizer_leaves_the_architecture_standing(make) -> None:
    folder = make()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    report = look(folder)
    assert "tokenizer" in report["refusal"]["message"].lower()
    assert report["hparams"]["embedding_length"] == 64


def test_the_command_prints_text_or_one_object(make) -> None:
    folder = make()
    code, out, err = run("inspect", folder, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["arch"] == "gpt2"
    code, out, err = run("inspect", folder, "--tensors")
    assert (code, err) == (0, "")
    assert "transformer.h.1.mlp.c_proj.weight" in out
    code, out, err = run("inspect", folder / "nothing.pt")
    assert code == 2
    assert "does not exist" in err
    assert run("inspect")[0] == 2


def test_it_needs_no_torch(make) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from convert.inspection import main\nprint(main([sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(make())], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.endswith("\n0\n"), done.stderr


def write_gguf(path: Path, **extra: Any) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in extra.items():
        writer.add_key_value(key, *value)
    writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_large_vocabulary_takes_less_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{i}" for i in range(262_144)])
    writer.add_token_merges([f"a{i} b{i}" for i in range(262_144)])
    writer.add_bos_token_id(7)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    started = time.process_time()
    report = look(path)
    assert time.process_time() - started < 1.0
    assert report["tokenizer"]["special_ids"]["bos"]["text"] == "token7"


def test_numbers_that_json_has_not_are_words(tmp_path: Path, capsys: Any) -> None:
    values = {
        "llama.rope.freq_base": (float("nan"), gguf.GGUFValueType.FLOAT32),
        "general.name": ("\x1b]0;title\x07", gguf.GGUFValueType.STRING),
        "chatapp.convert.proof": ('{"parity": []}', gguf.GGUFValueType.STRING),
    }
    path = write_gguf(tmp_path / "odd.gguf", **values)
    assert main([str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hparams"]["rope.freq_base"] == "nan"
    assert main([str(path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def head(n_tensors: int, n_keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_keys) + rest


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


HOSTILE = {
    "only the magic": b"GGUF",
    "big-endian": head(0, 0, version=3 << 24),
    "version 9": head(0, 0, version=9),
    "keys without end": head(0, 1 << 60),
    "tensors without end": head(1 << 60, 0),
    "a key of 2^63 bytes": head(0, 1, struct.pack("<Q", 1 << 63)),
    "a text of 2^64 - 1 bytes": head(0, 1, text(b"k") + struct.pack("<IQ", 8, (1 << 64) - 1)),
    "an array of 2^60 texts": head(0, 1, text(b"k") + struct.pack("<IIQ", 9, 8, 1 << 60)),
    "an array of 2^60 numbers": head(0, 1, text(b"k") + struct.pack("<IIQ", 9, 4, 1 << 60)),
    "texts that run away": head(
        0, 1, text(b"k") + struct.pack("<IIQQ", 9, 8, 3, (1 << 63) + 5) + bytes(64)
    ),
    "an array of arrays": head(0, 1, text(b"k") + struct.pack("<IIQ", 9, 9, 1)),
    "an unknown type": head(0, 1, text(b"k") + struct.pack("<I", 77)),
    "a key twice": head(0, 2, 2 * (text(b"k") + struct.pack("<II", 4, 1))),
    "99 dimensions": head(1, 0, text(b"t") + struct.pack("<I", 99)),
    "no rows": head(1, 0, text(b"t") + struct.pack("<IQIQ", 1, 0, 0, 0)),
    "more weights than there are": head(
        1, 0, text(b"t") + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0)
    ),
    "weights that are not there": head(1, 0, text(b"t") + struct.pack("<IQIQ", 1, 64, 0, 0)),
    "alignment 3": head(0, 1, text(b"general.alignment") + struct.pack("<II", 4, 3)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(CheckpointError, match="not a usable model file"):
        look(path)


def test_any_damage_gives_a_report_or_a_refusal(written: Path) -> None:
    whole, chance = written.read_bytes(), random.Random(5)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(4, 24_000)] = chance.randrange(256)
        size = len(data) if chance.random() < 0.7 else chance.randrange(4, len(data))
        written.write_bytes(data[:size])
        try:
            list(describe(look(written)))
        except CheckpointError:
            refused += 1
    assert 0 < refused < 300


def test_what_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        look(tmp_path / "nothing.gguf")


def test_a_file_without_weights_is_said_to_have_none(written: Path, tmp_path: Path) -> None:
    bare = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(bare, "gpt2")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "A vocabulary and no weights" in look(bare)["notes"][0]
    for words in (["diff", bare, written], ["quantize", bare, "Q8_0"]):
        code, _, said = run(*words)
        assert code in (1, 2)
        assert "holds a vocabulary or metadata, and no weights" in said
