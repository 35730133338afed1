"""`chatapp eval compare`: models of the scripted engine differ by nothing, so templates do it."""

import json
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.evaluate.compare import compare_statistics
from chatapp.evaluate.pieces import bits_per_byte, cut_pieces, score_pieces
from tests.cli.conftest import Run


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rows = [{"input": f"it is number {n}", "references": [f"it is number {n}"]} for n in range(20)]
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_two_kept_evaluations_are_compared_and_the_better_named(
    chatapp: Run, examples: Path
) -> None:
    task = ("eval", "tasks", "echo", "x.jsonl", "--metric", "f1,chrf")
    chatapp(*task)
    chatapp(*task, "--template", "so {input}")
    chatapp(*task, "--limit", "5")
    done = chatapp("eval", "compare", "2", "1", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    f1 = value["metrics"]["f1"]
    assert (f1["b"], f1["better"], f1["more_than_chance"]) == (100, "B", True)
    assert (f1["wins"], f1["losses"], f1["ties"]) == (20, 0, 0)
    assert f1["a"] == pytest.approx(100 * 8 / 9)
    assert f1["low"] == pytest.approx(f1["difference"]) == f1["high"]  # all differ alike
    assert len(value["differ_most"]) == 3
    assert value["differ_most"][0]["answer_a"].startswith("so it is")
    other = chatapp("eval", "compare", "1", "3")
    assert (other.returncode, other.stdout) == (2, "")
    assert "not measured at the same: x.jsonl (20 examples) and x.jsonl (5" in other.stderr


def test_two_models_are_asked_the_same_and_what_is_equal_may_be_chance(
    chatapp: Run, examples: Path
) -> None:
    done = chatapp("eval", "compare", "one", "two", "x.jsonl", "--metric", "f1", "--limit", "4")
    assert done.returncode == 0, done.stderr
    assert "0 0 4" in done.stdout
    assert "may be chance" in done.stdout
    rows = json.loads(chatapp("eval", "list", "--json").stdout)
    assert [row["kind"] for row in rows] == ["compare", "tasks", "tasks"]
    assert rows[0]["settings"]["evaluations"] == [1, 2]


def test_a_text_is_compared_piece_by_piece(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the ship came in\n" * 300)
    done = chatapp("eval", "compare", "a", "b", "text.txt", "--metric", "perplexity", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["metrics"]["bits_per_byte"]
    assert (found["a"], found["b"], found["ties"]) == (pytest.approx(8), pytest.approx(8), 3)


def test_pieces_hold_all_of_a_text_and_end_at_lines() -> None:
    text = "".join(f"line {n}\n" for n in range(1000)) + "x" * 5000
    pieces = cut_pieces(text)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 2000 + 200
    assert all(piece.endswith("\n") for piece in pieces[:-4])
    assert cut_pieces("short") == ["short"]


def test_of_bits_fewer_are_better() -> None:
    worse = bits_per_byte([[10.0 + n % 3, 4.0] for n in range(30)])
    better = bits_per_byte([[9.0 + n % 3, 4.0] for n in range(30)])
    found = compare_statistics(worse, better, 1)
    assert (found.better, found.wins, found.losses) == ("B", 30, 0)
    assert found.difference == pytest.approx(-0.25)


async def test_bits_of_a_real_model_add_up(tiny_model: Path) -> None:
    client = EngineClient()
    try:
        model = await client.load(LoadOptions(path=str(tiny_model), n_ctx=96, n_threads=1))
        pieces = ["the ship came in and went out. " * 8, "a short one"]
        found = await score_pieces(client, model, pieces, lambda done, total: None)
    finally:
        await client.stop()
    assert [row[1] > 0 for row in found.rows] == [True, True]
    assert found.rows[0][1] <= len(pieces[0])
    assert 1 < found.total < 20  # random weights, 512 tokens
