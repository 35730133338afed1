"""`quantize`: llama-quantize's bytes, every key carried over, and the care of a conversion."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from convert.cli import main
from convert.errors import CheckpointError, UsageError
from convert.ftype import FTYPES
from convert.pipeline import convert
from convert.progress import silent
from convert.requantize import requantize
from convert.samples import PROSE
from tests.convert.test_types import quantize_with_llama, tensors

WIDE = {"n_embd": 256, "n_head": 4, "n_layer": 1}


@pytest.mark.parametrize("name", ["F16", "Q8_0", "Q4_K_M", "Q3_K_L"])
@pytest.mark.parametrize("source", ["F32", "BF16"])
def test_the_bytes_are_llama_cpps(make, tmp_path: Path, name: str, source: str) -> None:
    full = convert(make(**WIDE), tmp_path / "full.gguf", ftype=source, parity="off").output
    ours = requantize(full, name, tmp_path / "ours.gguf", progress=silent)
    quantize_with_llama(full, tmp_path / "theirs.gguf", FTYPES[name].number, None)
    assert tensors(ours) == tensors(tmp_path / "theirs.gguf")


def test_every_key_is_carried_over(make, tmp_path: Path) -> None:
    full = convert(make(**WIDE), tmp_path / "full.gguf", ftype="F32", parity="off").output
    ours = requantize(full, "q4_k", None, progress=silent)
    assert ours.name == "full-Q4_K_M.gguf"
    before, after = (gguf.GGUFReader(path).fields for path in (full, ours))
    changed = {"general.file_type", "chatapp.convert.proof"}
    for name in before.keys() - changed:
        if not name.startswith("GGUF."):
            assert after[name].contents() == before[name].contents(), name
            assert after[name].types == before[name].types, name
    assert after["general.file_type"].contents() == 15
    assert "chatapp.convert.proof" not in after


def test_a_matrix_is_measured_on_text(make, tmp_path: Path) -> None:
    full = convert(make(**WIDE), tmp_path / "full.gguf", ftype="F32", parity="off").output
    text = tmp_path / "text.txt"
    text.write_text(PROSE)
    with pytest.raises(UsageError, match="importance matrix"):
        requantize(full, "IQ2_XS", None, progress=silent)
    ours = requantize(full, "IQ2_XS", None, imatrix=text, progress=silent)
    straight = convert(
        make(**WIDE), tmp_path / "straight.gguf", ftype="IQ2_XS", imatrix=text, parity="off"
    )
    assert tensors(ours) == tensors(straight.output)


def test_quantising_twice_has_to_be_asked_for(make, tmp_path: Path) -> None:
    small = convert(make(**WIDE), tmp_path / "small.gguf", ftype="Q8_0", parity="off").output
    with pytest.raises(UsageError, match="quantised already"):
        requantize(small, "Q4_0", None, progress=silent)
    output = requantize(small, "Q4_0", None, allow_requantize=True, progress=silent)
    assert tensors(output)["blk.0.ffn_up.weight"][0] == "Q4_0"


def test_what_cannot_be_done_leaves_nothing(make, tmp_path: Path, capsys) -> None:
    full = convert(make(**WIDE), tmp_path / "full.gguf", ftype="F32", parity="off").output
    before = full.read_bytes()
    with pytest.raises(UsageError, match="source itself"):
        requantize(full, "Q8_0", full, force=True, progress=silent)
    with pytest.raises(UsageError, match="no type"):
        requantize(full, "Q9", None, progress=silent)
    for damage in (b"", b"GGUF", before[:1000], b"PK\x03\x04" + before):
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(damage)
        with pytest.raises(CheckpointError):
            requantize(broken, "Q8_0", None, progress=silent)
    assert full.read_bytes() == before
    assert main(["quantize", str(full), "q8_0"]) == 0
    assert capsys.readouterr().out.strip().endswith("full-Q8_0.gguf")
    assert main(["quantize", str(full), "q8_0"]) == 2
    assert not list(tmp_path.glob("*.part"))
