"""Weight types: byte for byte what llama.cpp's own quantizer writes, for every one of them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama
import pytest

from convert.errors import UsageError
from convert.ftype import FTYPES, TENSOR_TYPES
from convert.imatrix import collect
from convert.libllama import open_log
from convert.options import Options
from convert.pipeline import convert, make_plan
from convert.progress import silent
from convert.samples import PROSE
from convert.typemap import type_map

WIDE = {"n_embd": 256, "n_head": 4, "n_layer": 2}  # K-quants pack rows in blocks of 256


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(PROSE)
    return path


def tensors(path: Path) -> dict[str, tuple[str, bytes]]:
    reader = gguf.GGUFReader(path)
    return {t.name: (t.tensor_type.name, t.data.tobytes()) for t in reader.tensors}


def quantize_with_llama(
    source: Path, output: Path, number: int, importance: Mapping[str, Any] | None
) -> None:
    """`source` in another type, by llama_model_quantize."""
    open_log()
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.nthread = number, 2
    if importance is not None:
        entries = (llama.llama_model_imatrix_data * (len(importance) + 1))()
        for entry, (name, values) in zip(entries, importance.items(), strict=False):
            entry.name = name.encode()
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            entry.size = values.size
        params.imatrix = ctypes.cast(entries, type(params.imatrix))
    assert llama.llama_model_quantize(bytes(source), bytes(output), ctypes.byref(params)) == 0


@pytest.mark.parametrize("width", [256, 96])
@pytest.mark.parametrize("name", FTYPES)
def test_every_type_is_bit_for_bit_llama_cpps(
    make, text: Path, tmp_path: Path, name: str, width: int
) -> None:
    ftype = FTYPES[name]
    folder = make(n_embd=width, n_head=4, n_layer=1)
    full = convert(folder, tmp_path / "full.gguf", ftype="F32", parity="off").output
    imatrix = text if ftype.needs_imatrix else None
    ours = convert(
        folder, tmp_path / "ours.gguf", ftype=name.lower(), imatrix=imatrix, parity="off"
    ).output
    importance = collect(full, PROSE, silent) if imatrix else None
    quantize_with_llama(full, tmp_path / "theirs.gguf", ftype.number, importance)
    assert tensors(ours) == tensors(tmp_path / "theirs.gguf")
    found = gguf.GGUFReader(ours).fields["general.file_type"].contents()
    assert found == ftype.number


def test_a_matrix_helps_the_types_that_do_not_need_it_too(make, text: Path, tmp_path: Path) -> None:
    folder = make(**WIDE)
    full = convert(folder, tmp_path / "full.gguf", ftype="F32", parity="off").output
    ours = convert(folder, tmp_path / "ours.gguf", ftype="Q4_K_M", imatrix=text, parity="off")
    importance = collect(full, PROSE, silent)
    quantize_with_llama(full, tmp_path / "theirs.gguf", FTYPES["Q4_K_M"].number, importance)
    assert tensors(ours.output) == tensors(tmp_path / "theirs.gguf")
    plain = convert(folder, tmp_path / "plain.gguf", ftype="Q4_K_M", parity="off")
    assert tensors(plain.output) != tensors(ours.output)
    assert not list(tmp_path.glob("*.part"))


def test_the_matrix_is_the_mean_square_of_each_columns_input(make, tmp_path: Path) -> None:
    import torch

    from convert.parity.gpt2 import NanoGPT

    folder = make(n_layer=1, block_size=64)
    plan = make_plan(Options(folder, ftype="F32"))
    full = convert(folder, tmp_path / "full.gguf", ftype="F32", parity="off").output
    ids = list(range(40, 80))
    reference = NanoGPT(plan.checkpoint, plan.model)
    found = matrix_of(full, ids)
    weights = reference._weights
    x = weights["transformer.wte.weight"][ids] + weights["transformer.wpe.weight"][: len(ids)]
    expected = reference._norm(x, "transformer.h.0.ln_1").square().mean(dim=0)
    got = torch.from_numpy(found["blk.0.attn_qkv.weight"])
    assert torch.allclose(got, expected, rtol=1e-3)


def matrix_of(path: Path, ids: list[int]) -> Any:
    """The matrix of exactly these tokens."""
    from convert import imatrix
    from convert.libllama import ModelFile

    sums = imatrix._Sums()
    observer = llama.ggml_backend_sched_eval_callback(sums.observe)
    with ModelFile(path, observer=observer) as model:
        model.logits(ids)
    return {n: imatrix._mean(s, sums.counts[n]) for n, s in sums.squares.items()}


def test_the_size_table_is_exact(make, tmp_path: Path) -> None:
    folder = make(**WIDE)
    sizes = make_plan(Options(folder, dry_run=True)).sizes
    assert list(sizes) == list(FTYPES)
    for name in ("F32", "BF16", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K"):
        output = convert(folder, tmp_path / f"{name}.gguf", ftype=name, parity="off").output
        reader = gguf.GGUFReader(output)
        assert output.stat().st_size - reader.data_offset == sizes[name]


def test_the_sources_precision_is_kept_when_no_type_is_given(make) -> None:
    import torch

    for dtype, name in ((torch.bfloat16, "BF16"), (torch.float16, "F16"), (torch.float32, "F32")):

        def cast(saved: dict[str, Any], dtype: torch.dtype = dtype) -> None:
            saved["model"] = {key: value.to(dtype) for key, value in saved["model"].items()}

        assert make_plan(Options(make(edit=cast))).ftype.name == name


def test_the_largest_type_that_fits_is_taken(make) -> None:
    folder = make(**WIDE)
    sizes = make_plan(Options(folder, dry_run=True)).sizes
    limit = sizes["Q5_K_M"] + 10_000
    chosen = make_plan(Options(folder, fit=limit)).ftype.name
    assert sizes[chosen] <= limit
    assert sizes[chosen] == max(
        size
        for name, size in sizes.items()
        if size + 4096 <= limit and not FTYPES[name].needs_imatrix
    )
    with pytest.raises(UsageError, match="Nothing fits"):
        make_plan(Options(folder, fit=1000))


def test_a_type_that_needs_a_matrix_says_so(make) -> None:
    folder = make(**WIDE)
    with pytest.raises(UsageError, match="needs an importance matrix"):
        convert(folder, ftype="IQ2_XS")
    with pytest.raises(UsageError, match="no type 'Q4_K_X'") as error:
        convert(folder, ftype="Q4_K_X")
    assert "Q4_K" in error.value.hint


def test_rows_that_do_not_divide_are_named(make) -> None:
    plan = make_plan(Options(make(n_embd=96), ftype="Q4_K_M"))
    assert any("no multiple of 256" in note and "Q5_0" in note for note in plan.notes)


def test_types_agree_with_ggml(make) -> None:
    for kind in TENSOR_TYPES.values():
        number = gguf.GGMLQuantizationType[kind.name]
        assert number == kind.number
        assert gguf.GGML_QUANT_SIZES[number] == (kind.block, kind.block_bytes)
    for ftype in FTYPES.values():
        member = "ALL_F32" if ftype.name == "F32" else f"MOSTLY_{ftype.name}"
        assert gguf.LlamaFileType[member] == ftype.number


def test_the_header_for_the_mixture_takes_no_room(make) -> None:
    plan = make_plan(Options(make(**WIDE)))
    with type_map(plan.model) as mixture:
        path = mixture._path
        mixture.types(FTYPES["Q4_K_M"])
        status = path.stat()
        assert status.st_size > 4 * plan.model.n_weights
        assert status.st_blocks * 512 < 200_000
    assert not path.exists()
