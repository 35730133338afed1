"""Our figures are those of the commands that everybody compares by, digit for digit."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PAIRS = [
    ("The cat sat on the mat.", ["The cat sat on a mat.", "A cat was sitting on the mat."]),
    ("It's 5 o'clock, isn't it?", ["It is five o'clock, isn't it?"]),
    ("state-of-the-art results (2021) cost $3.50!", ["State of the art results cost $3.50."]),
    ("Zwölf Boxkämpfer jagen Viktor quer über den Deich", ["Zwölf Boxer jagten Viktor"]),
    ("/words 0", ["Something was said here, though not by the model."]),
    ("one\n\ntwo-\nthree  four", ["one two three four five six", "one", "two-three four"]),
    ("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("A much longer answer than the reference, which goes on and on.", ["A short one."]),
    ("emoji 🎉 and “quotes” – dashes…", ['emoji 🎉 and "quotes" - dashes...']),
    ("今天天气很好,我们去公园吧。", ["今天天气不错,我们一起去公园吧。"]),
]
"""The scripted model says each first text again; `/words 0` is no word at all."""


def _sacrebleu(folder: Path, *arguments: str) -> dict[str, str]:
    """The scores by the names of its metrics, with 12 digits."""
    command = [sys.executable, "-m", "sacrebleu", *arguments, "-w", "12", "-f", "text"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    rows = (line.split(" = ") for line in done.stdout.splitlines())
    return {row[0].split("|")[0].strip(): row[1].split()[0] for row in rows}


def _rouge_score(folder: Path, *arguments: str) -> list[dict[str, str]]:
    """Its scores of each example."""
    command = [sys.executable, "-m", "rouge_score.rouge", "--output_filename=out.csv", *arguments]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    with (folder / "out.csv").open() as file:
        return list(csv.DictReader(file))


def test_scores_are_those_of_sacrebleus_and_rouge_scores_commands(
    chatapp: Run, tmp_path: Path
) -> None:
    """rouge-score prints the score of each example, and of all only random draws: the mean of
    what it prints is compared."""
    lines = [json.dumps({"input": said, "references": several}) for said, several in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    flags = ["--metric", "bleu,chrf,rouge", "--lines", "out", "--json"]
    done = chatapp("eval", "tasks", "echo", "pairs.jsonl", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert (value["answers"], value["empty"]) == (len(PAIRS), 1)
    measured = value["metrics"]
    several = ["out.ref0", "out.ref1", "out.ref2", "-i", "out.hyp", "-m", "bleu", "chrf"]
    theirs = _sacrebleu(tmp_path, *several)
    assert f"{measured['bleu']['score']:.12f}" == theirs["BLEU"]
    assert f"{measured['chrf']['score']:.12f}" == theirs["chrF2"]
    assert 10 < measured["bleu"]["score"] < 90
    flags = ["--metric", "bleu,chrf,rouge", "--tokenize", "zh", "--json"]
    done = chatapp("eval", "score", "out.hyp", "out.ref0", *flags)
    ours = json.loads(done.stdout)["metrics"]
    one = ["out.ref0", "-i", "out.hyp", "-m", "bleu", "chrf", "-tok", "zh"]
    theirs = _sacrebleu(tmp_path, *one)
    assert f"{ours['bleu']['score']:.12f}" == theirs["BLEU"]
    assert f"{ours['chrf']['score']:.12f}" == theirs["chrF2"]
    files = ["--target_filepattern=out.ref0", "--prediction_filepattern=out.hyp"]
    rows = _rouge_score(tmp_path, *files, "--aggregate=false")
    for name in ("rouge1", "rouge2", "rougeL"):
        printed = [row[f"{name}-F"] for row in rows]
        assert [f"{score:.6f}" for score in ours[name]["each"]] == printed
        mean = sum(map(float, printed)) / len(PAIRS)
        assert ours[name]["score"] == pytest.approx(mean, abs=1e-6)
        assert measured[name]["score"] >= ours[name]["score"] > 0  # the nearest of several
