"""`diff`: the same model in two types, two models, and what is said of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from chatapp.gguf.header import read_header
from convert.differences import compare, measure, rounding
from convert.pipeline import convert
from convert.progress import silent
from convert.side import open_side
from tests.convert.test_command import run

torch.set_num_threads(1)


def difference(a: Path, b: Path, **options: Any) -> dict[str, Any]:
    return compare(a, b, silent, **options)


def write(folder: Path, ftype: str) -> Path:
    return convert(folder, folder / f"{ftype}.gguf", ftype=ftype, parity="off").output


@pytest.mark.parametrize("ftype", ["F32", "F16", "BF16"])
def test_a_checkpoint_is_the_file_made_of_it(make, ftype: str) -> None:
    folder = make(masks=True)
    report = difference(folder, write(folder, ftype))
    assert report["same"]
    assert report["metadata"] == []
    assert len(report["tensors"]) == 28
    worst = report["tensors"][0]["relative"]
    assert worst == 0.0 if ftype == "F32" else 1e-5 < worst <= rounding("F32", ftype)
    assert report["logits"]["status"] == "not run"


def test_padding_rows_that_are_cut_are_no_difference(make) -> None:
    folder = make(vocab_size=576)
    assert difference(folder, write(folder, "F32"))["same"]


def test_a_quantised_file_differs_by_what_the_type_costs(make) -> None:
    folder = make()
    f16, q8 = write(folder, "F16"), write(folder, "Q8_0")
    report = difference(f16, q8)
    assert not report["same"]
    differing = [tensor for tensor in report["tensors"] if not tensor["same"]]
    assert len(differing) == 9
    assert report["tensors"][0] == differing[0]
    assert all(0.002 < tensor["relative"] < 0.01 for tensor in differing)
    logits = report["logits"]
    assert logits["status"] == "measured"
    assert logits["top1"] > 0.9
    assert 0 < logits["kl_mean"] < 0.01
    assert logits["perplexity_a"] != logits["perplexity_b"]


def test_without_a_tokenizer_the_weights_are_compared(make) -> None:
    folder = make()
    file = write(folder, "F32")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    report = difference(folder, file)
    assert "tokenizer" in report["a"]["note"]
    assert report["same"]


def test_a_file_is_the_same_as_its_copy(make, tmp_path: Path) -> None:
    file = write(make(), "Q8_0")
    copy = Path(shutil.copy(file, tmp_path / "copy.gguf"))
    report = difference(file, copy)
    assert report["same"]
    assert report["logits"]["kl_max"] == 0.0
    assert report["logits"]["top1"] == 1.0


def test_figures_are_those_of_numpy(make) -> None:
    def change(saved: dict[str, Any]) -> None:
        saved["model"]["transformer.wpe.weight"][3, 5] += 0.5

    folder = make()
    before = write(folder, "F32")
    kept = Path(shutil.copy(before, folder / "before.gguf"))
    before.unlink()
    report = difference(kept, write(make(edit=change), "F32"))
    worst = report["tensors"][0]
    assert worst["name"] == "position_embd.weight"
    reader = gguf.GGUFReader(kept)
    weights = next(t.data for t in reader.tensors if t.name == worst["name"])
    assert worst["relative"] == pytest.approx(0.5 / np.linalg.norm(weights), rel=1e-5)
    assert worst["max_abs"] == pytest.approx(0.5, rel=1e-5)
    assert [tensor["same"] for tensor in report["tensors"]].count(False) == 1


def test_other_shapes_layers_and_settings_are_named(make) -> None:
    small = Path(shutil.copytree(make(), make().parent / "small"))
    report = difference(small, make(n_layer=3, n_embd=96))
    keys = {key for key, _, _ in report["metadata"]}
    assert {"block_count", "embedding_length"} <= keys
    assert any(name.startswith("blk.2.") for name in report["only_b"])
    assert ["token_embd.weight", [512, 64], [512, 96]] in report["shapes"]
    assert not report["same"]


def test_weights_that_are_not_finite_are_a_difference(make) -> None:
    path = write(make(), "F32")
    entry = read_header(path).tensors[0]
    weights = np.memmap(path, np.float32, "r+", entry.offset, entry.shape)
    weights[0, 0] = np.nan
    weights.flush()
    side = open_side(path)
    assert measure(side.tensors[entry.name], side.tensors[entry.name]) == (None, None)
    report = difference(path, path, logits=False)
    assert not report["same"]
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("ftype", ["Q4_0", "Q5_1", "Q8_0", "F16", "BF16"])
def test_blocks_of_rows_are_decoded_as_the_whole(make, ftype: str) -> None:
    path = write(make(), ftype)
    side, reader = open_side(path), gguf.GGUFReader(path)
    for stored in reader.tensors:
        whole = gguf.quants.dequantize(stored.data, stored.tensor_type)
        tensor = side.tensors[stored.name]
        rows = np.concatenate([tensor.read(i, i + 1) for i in range(min(9, tensor.n_rows))])
        assert np.array_equal(rows, whole.reshape(-1, tensor.n_cols)[: len(rows)]), stored.name


def test_exit_codes_are_those_of_diff(make, tmp_path: Path) -> None:
    folder = make()
    f16, q8 = write(folder, "F16"), write(folder, "Q8_0")
    code, out, err = run("diff", folder, f16)
    assert (code, err) == (0, "")
    assert "No differences beyond rounding." in out
    code, out, err = run("diff", f16, q8, "--json")
    assert (code, err) == (1, "")
    assert json.loads(out.splitlines()[-1])["same"] is False
    code, out, _ = run("diff", f16, q8, "--weights", "--tolerance", "0.1")
    assert code == 0
    assert "Logits: not compared" in out
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF")
    assert run("diff", f16, damaged)[0] == 2
    assert run("diff", f16, tmp_path / "nothing.gguf")[0] == 2
    assert run("diff", f16)[0] == 2


def test_the_text_is_the_users(make, tmp_path: Path) -> None:
    folder = make()
    text = tmp_path / "text.txt"
    text.write_text("A few words of my own, to be read by both.")
    files = write(folder, "F16"), write(folder, "Q8_0")
    assert difference(*files, text=text)["logits"]["tokens"] < 40
    assert difference(*files)["logits"]["tokens"] > 500
