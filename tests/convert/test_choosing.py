"""The type is chosen by size or by distance, and the file keeps what was promised."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
import transformers as hf

from convert.cli import main
from convert.errors import OutputError, UsageError
from convert.ftype import FTYPES
from convert.options import Options, parse_size
from convert.pipeline import convert, make_plan
from convert.samples import PROSE
from tests.convert.tiny import N_TOKENS, write_hf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose rows divide by 256, so that every type is open to it."""
    config = hf.LlamaConfig(
        vocab_size=N_TOKENS,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
    )
    return write_hf(tmp_path_factory.mktemp("llama") / "llama", hf.LlamaForCausalLM(config))


@pytest.mark.parametrize("limit", [5_500_000, 2_000_000, 1_600_000])
def test_the_largest_type_that_fits(limit: int, folder: Path, tmp_path: Path) -> None:
    plan = make_plan(Options(folder, tmp_path / "out.gguf", fit=limit, dry_run=True))
    result = convert(folder, tmp_path / "out.gguf", fit=limit, parity="off")
    assert result.output.stat().st_size <= limit
    assert result.plan["type"] == plan.ftype.name
    larger = [name for name, size in plan.sizes.items() if size > plan.sizes[plan.ftype.name]]
    room = limit - result.output.stat().st_size
    step = min((plan.sizes[name] for name in larger), default=1 << 40)
    assert step - plan.sizes[plan.ftype.name] > room or "F" in larger[-1]


def test_what_fits_nothing_is_told_with_the_smallest(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Nothing fits 100 kB: the smallest, Q2_K") as error:
        convert(folder, tmp_path / "out.gguf", fit=100_000)
    assert "--imatrix" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_smallest_type_within_a_distance(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def progress(event: str, **fields: Any) -> None:
        if event == "note":
            said.append(fields["text"])

    chosen = {}
    for limit in (1e-9, 0.05, 1e9):
        result = convert(folder, tmp_path, max_kl=limit, parity="off", progress=progress)
        chosen[limit] = FTYPES[result.plan["type"]]
        assert result.output.name == f"llama-{chosen[limit].name}.gguf"
        assert "within" in result.plan["type_reason"]
    assert chosen[1e-9].name == "F32"
    assert chosen[1e9].name == "Q2_K"
    measured = {line.split(":")[0]: line for line in said if "mean KL " in line}
    assert chosen[0.05].name in measured
    assert chosen[0.05].name not in ("F32", "Q2_K")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gguf"] * 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ftype": "Q8_0", "fit": 5_000_000}, "-q and --fit both choose"),
        ({"fit": 5_000_000, "max_kl": 0.1}, "--fit and --max-kl both choose"),
        ({"max_kl": 0.0}, "is no distance"),
        ({"max_kl": 0.1, "dry_run": True}, "not in a dry run"),
    ],
)
def test_a_choice_that_cannot_be(
    options: dict[str, Any], reason: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        convert(folder, tmp_path / "out.gguf", **options)


def test_a_short_text_measures_nothing(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Hi.")
    with pytest.raises(UsageError, match="The text to measure on has"):
        convert(folder, tmp_path / "out.gguf", max_kl=0.1, parity_text=text)
    assert list(tmp_path.iterdir()) == [text]


@pytest.mark.parametrize("text", ["", "5", "5 MB x", "-3GB", "nan", "1e400"])
def test_sizes(text: str) -> None:
    assert parse_size("1.5G") == 1_500_000_000
    assert parse_size("700MiB") == 700 << 20
    if text == "5":
        assert parse_size(text) == 5
    else:
        with pytest.raises(UsageError, match="is no size"):
            parse_size(text)


def test_two_conversions_to_one_file(folder: Path, tmp_path: Path) -> None:
    part = tmp_path / "out.gguf.part"
    with part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="Another conversion is writing"):
            convert(folder, tmp_path / "out.gguf", parity="off")
        assert part.exists()
    result = convert(folder, tmp_path / "out.gguf", parity="off")  # a part left by `kill -9`
    assert list(tmp_path.iterdir()) == [result.output]
    assert result.output.stat().st_mode & 0o111 == 0


def test_every_size_of_the_dry_run_is_what_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(PROSE)
    assert main([str(folder), "--dry-run", "--json", "--imatrix", str(text)]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[0])
    assert set(FTYPES) == set(plan["sizes"])
    for name in ("Q4_K_M", "IQ2_XS", "Q5_0"):
        written = convert(folder, tmp_path / name, ftype=name, imatrix=text, parity="off")
        assert written.plan["sizes"] == {name: plan["sizes"][name]}
        head = written.bytes - plan["sizes"][name]
        assert 0 < head < 60_000  # vocabulary, metadata, the report's place
