"""Answers: one by one or in a file, the same for convert, inspect and diff, read or told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.answers import read_file
from convert.cli import main
from convert.errors import UsageError
from tests.convert.hand_written import Book
from tests.convert.test_gpt2_spellings import randomise
from tests.convert.tiny import write_tokenizer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    torch.save(randomise(Book()).state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def events(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    code = main([*map(str, words), "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ends = ("plan", "error", "model", "difference")  # a trained model is measured before
    return [{"code": code}, *(event for event in found if event["event"] in ends)]


def test_questions_are_data_for_a_program(source: Path, capsys: Any) -> None:
    code, error = events(capsys, source, "--dry-run")
    assert code == {"code": 1}
    assert error["event"] == "error"
    assert [question["name"] for question in error["questions"]] == ["n_head", "tokenizer"]
    heads = error["questions"][0]
    assert heads["flag"] == "--n-head"
    assert {"value": 4, "text": "4", "meaning": "attention has 4 heads", "measured": {}} in heads[
        "choices"
    ]


def test_a_person_gets_one_command_with_all_flags(source: Path, capsys: Any) -> None:
    assert main([str(source), "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert "the text that characters were taken from" in said
    last = said.splitlines()[-1].strip()
    assert last == f"chatapp convert {source} --dry-run --n-head N --tokenizer VALUE"
    write_tokenizer(source.parent / "words")
    given = last.replace("N ", "4 ").replace("VALUE", str(source.parent / "words"))
    assert main(given.split()[2:]) == 0


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_file_of_answers(suffix: str, source: Path, capsys: Any) -> None:
    write_tokenizer(source.parent / "words")
    answers = {"n_head": 4, "tokenizer": str(source.parent / "words"), "arch": "gpt2"}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in answers.items()]
    path = source.parent / f"answers.{suffix}"
    path.write_text(json.dumps(answers) if suffix == "json" else "".join(lines))
    plan = events(capsys, source, "--set", path, "--dry-run")[1]
    assert plan["hparams"]["attention.head_count"] == 4
    later = events(capsys, source, "--set", path, "--set", "n_head=8", "--dry-run")[1]
    assert later["hparams"]["attention.head_count"] == 8
    assert events(capsys, "inspect", source, "--set", path)[1]["arch"] == "gpt2"
    output = source.parent / "out.gguf"
    assert main([str(source), "--set", str(path), "-o", str(output), "--parity", "off"]) == 0
    capsys.readouterr()
    code, *found = events(capsys, "diff", source, output, "--set", path)
    assert (code["code"], found[-1]["same"]) == (0, True)
    assert events(capsys, "diff", source, output)[-1]["questions"][0]["name"] == "n_head"


def test_inspect_shows_what_is_open(source: Path, capsys: Any) -> None:
    report = events(capsys, "inspect", source)[1]
    assert [question["name"] for question in report["questions"]] == ["n_head", "tokenizer"]
    assert main(["inspect", str(source)]) == 0
    said = capsys.readouterr().out
    assert "Open        model.pt leaves 2 things open: n_head, tokenizer." in said
    assert "attention has 4 heads" in said


def test_what_nobody_reads_is_told(make: Any, capsys: Any) -> None:
    folder = make()
    code, error = events(capsys, folder, "--dry-run", "--set", "layer_norm_epsilom=1e-6")
    assert code == {"code": 2}
    assert "layer_norm_epsilom" in error["message"]
    assert "--set layer_norm_epsilon=" in error["hint"]
    plan = events(capsys, folder, "--dry-run", "--set", "colour=red")[1]
    assert "--set colour: nothing of this model reads it." in plan["notes"]
    known = events(capsys, folder, "--dry-run", "--set", "layer_norm_epsilon=1e-6")[1]
    assert known["hparams"]["attention.layer_norm_epsilon"] == 1e-6


def test_a_file_of_answers_may_lie_anywhere(make: Any, capsys: Any, tmp_path: Path) -> None:
    place = tmp_path / "lr=3e-4,n=12"
    place.mkdir()
    told = place / "layer_norm_epsilon=x.toml"
    told.write_text("layer_norm_epsilon = 1e-6\n")
    plan = events(capsys, make(), "--dry-run", "--set", told)[1]
    assert plan["hparams"]["attention.layer_norm_epsilon"] == 1e-6
    code, error = events(capsys, make(), "--dry-run", "--set", place / "gone.toml")
    assert code == {"code": 2}
    assert "gone.toml is neither KEY=VALUE nor a file" in error["message"]
    plan = events(capsys, make(), "--dry-run", "--set", "colour=red.json")[1]
    assert "--set colour: nothing of this model reads it." in plan["notes"]
    assert main([str(make()), "--dry-run", "--set", f"colour={'x' * 5000}"]) == 0


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.toml", b"n_head 12"),
        ("a.toml", b"\xff\xfe"),
        ("a.toml", b"x = " + b"[" * 5000),
        ("a.toml", b"#" * (2 << 20)),
        ("a.json", b"[1]"),
        ("a.json", b"{"),
        ("a.toml", None),
    ],
)
def test_a_file_that_is_none_is_a_sentence(name: str, data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match="a\\."):
        read_file(tmp_path / name)
