"""`chatapp inspect` and `chatapp diff`: the converter's own words, streams and exit codes."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_inspect_shows_a_model_file(chatapp: Run, tiny_model: Path) -> None:
    done = chatapp("inspect", str(tiny_model))
    assert done.returncode == 0, done.stderr
    assert "GGUF version 3" in done.stdout
    shown = json.loads(chatapp("inspect", str(tiny_model), "--json").stdout)
    assert shown["path"] == str(tiny_model)
    assert shown["tokenizer"]["n_tokens"] > 0


def test_what_cannot_be_inspected_is_one_sentence(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Some notes.")
    done = chatapp("inspect", "notes.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: notes.txt is in no format we read")
    assert done.stdout == ""
    assert chatapp("inspect", "nowhere.gguf").returncode == 2


def test_diff_ends_as_diff_does(chatapp: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = chatapp("diff", str(tiny_model), str(tiny_model))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("No differences beyond rounding.\n")
    assert chatapp("diff", str(tiny_model), "nowhere.gguf").returncode == 2


def test_their_help_is_the_converters(chatapp: Run) -> None:
    assert "--tensors" in chatapp("inspect", "--help").stdout
    assert "--tolerance" in chatapp("diff", "--help").stdout
