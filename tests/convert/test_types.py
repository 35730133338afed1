"""Weight types: byte for byte what llama.cpp's own quantizer writes, for every one of them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama
import numpy as np
import pytest

from convert import writing
from convert.ftype import FTYPES, FileType
from convert.imatrix import collect
from convert.libllama import open_log
from convert.options import Options
from convert.pipeline import convert, make_plan
from convert.progress import silent
from convert.samples import PROSE
from convert.typemap import type_map
from tests.convert.llamas import write_llama

# Rows of 256 take K-quants, rows of 96 only blocks of 32, rows of 80 no blocks at all.
SHAPES = {"mixtral-256": (256, 2, 256), "llama-96": (96, 0, 96), "llama-80": (80, 0, 96)}


@dataclass(frozen=True)
class Source:
    folder: Path
    full: Path
    """The same in F32, as a GGUF."""
    importance: Mapping[str, Any]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    folder = tmp_path_factory.mktemp("types")
    found = {}
    for name, (width, n_expert, n_ff) in SHAPES.items():
        model = write_llama(folder / name, width, n_expert, n_ff)
        full = convert(model, folder / f"{name}.gguf", parity="off").output
        found[name] = Source(model, full, collect(full, PROSE, silent))
    return found


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
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
    params.ftype, params.nthread, params.allow_requantize = number, 2, True
    if importance is not None:
        entries = (llama.llama_model_imatrix_data * (len(importance) + 1))()
        for entry, (name, values) in zip(entries, importance.items(), strict=False):
            entry.name = name.encode()
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            entry.size = values.size
        params.imatrix = ctypes.cast(entries, type(params.imatrix))
    assert llama.llama_model_quantize(bytes(source), bytes(output), ctypes.byref(params)) == 0


def check_bytes(source: Source, folder: Path, ftype: FileType, imatrix: Path | None) -> None:
    ours = convert(
        source.folder,
        folder / "ours.gguf",
        ftype=ftype.name.lower(),
        imatrix=imatrix,
        parity="off",
    ).output
    theirs = folder / "theirs.gguf"
    quantize_with_llama(source.full, theirs, ftype.number, source.importance if imatrix else None)
    assert tensors(ours) == tensors(theirs)
    assert gguf.GGUFReader(ours).fields["general.file_type"].contents() == ftype.number
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("name", FTYPES)
def test_every_type_is_bit_for_bit_llama_cpps(
    sources: dict[str, Source], text: Path, tmp_path: Path, name: str
) -> None:
    ftype = FTYPES[name]
    for source in sources.values():
        check_bytes(source, tmp_path, ftype, text if ftype.needs_imatrix else None)
        (tmp_path / "ours.gguf").unlink()


@pytest.mark.parametrize("name", ["Q4_K_M", "Q5_0", "IQ4_XS", "IQ3_S", "Q2_K", "F16"])
def test_a_matrix_helps_the_types_that_do_not_need_it_too(
    sources: dict[str, Source], text: Path, tmp_path: Path, name: str
) -> None:
    source = sources["mixtral-256"]
    check_bytes(source, tmp_path, FTYPES[name], text)
    plain = convert(source.folder, tmp_path / "plain.gguf", ftype=name, parity="off").output
    assert (tensors(plain) == tensors(tmp_path / "ours.gguf")) == (name == "F16")


def test_experts_are_quantised_one_by_one_whatever_the_blocks(
    sources: dict[str, Source], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BLOCK_WEIGHTS", 3 * 256)
    check_bytes(sources["mixtral-256"], tmp_path, FTYPES["Q4_K_M"], text)


def test_types_agree_with_ggml() -> None:
    for ftype in FTYPES.values():
        member = "ALL_F32" if ftype.name == "F32" else f"MOSTLY_{ftype.name}"
        assert gguf.LlamaFileType[member] == ftype.number


def test_llama_cpp_refuses_without_a_matrix_what_we_refuse(
    sources: dict[str, Source], tmp_path: Path
) -> None:
    open_log()
    refused = set()
    for ftype in FTYPES.values():
        params = llama.llama_model_quantize_default_params()
        params.ftype, params.nthread = ftype.number, 2
        source, output = bytes(sources["mixtral-256"].full), bytes(tmp_path / "x.gguf")
        if ftype.needs_imatrix and llama.llama_model_quantize(source, output, ctypes.byref(params)):
            refused.add(ftype.name)
    assert refused == {ftype.name for ftype in FTYPES.values() if ftype.needs_imatrix}


def test_the_header_for_the_mixture_takes_no_room(sources: dict[str, Source]) -> None:
    plan = make_plan(Options(sources["mixtral-256"].folder))
    with type_map(plan.model) as mixture:
        path = mixture._path
        mixture.types(FTYPES["Q4_K_M"])
        status = path.stat()
        assert status.st_size > 4 * plan.model.n_weights
        assert status.st_blocks * 512 < 200_000
    assert not path.exists()


def test_the_size_table_is_exact(sources: dict[str, Source], tmp_path: Path) -> None:
    for source in sources.values():
        sizes = make_plan(Options(source.folder, dry_run=True)).sizes
        assert list(sizes) == list(FTYPES)
        for name in ("F32", "BF16", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K"):
            output = tmp_path / "x.gguf"
            convert(source.folder, output, ftype=name, parity="off", force=True)
            reader = gguf.GGUFReader(output)
            assert output.stat().st_size - reader.data_offset == sizes[name]


def test_no_kernel_reads_beyond_its_row() -> None:
    """Every type's bytes are those of its rows one by one: blocks may be cut anywhere."""
    from convert.quantize import quantize

    rows = np.random.default_rng(1).standard_normal((4, 256), np.float32)
    weights = np.ones(256, np.float32)
    for kind in {ftype.main_type for ftype in FTYPES.values()}:
        whole = quantize(rows, kind, "x", weights)
        parts = [quantize(row[None], kind, "x", weights) for row in rows]
        assert whole.tobytes() == b"".join(part.tobytes() for part in parts), kind.name


def test_a_log_that_another_took_is_taken_back(sources: dict[str, Source]) -> None:
    source = sources["llama-96"].folder
    open_log()
    other = llama.llama_log_callback(lambda _level, _text, _data: None)
    llama.llama_log_set(other, ctypes.c_void_p(0))
    assert make_plan(Options(source, dry_run=True)).sizes["Q8_0"] > 0
