"""`chatapp embed` as its users run it, on the scripted engine: 16 numbers a text."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_texts_become_a_table_of_vectors_and_of_likeness(chatapp: Run) -> None:
    done = chatapp("embed", "hello", "hello", "xyz")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "16 numbers" in lines[0]
    assert lines[1].endswith("hello")
    assert lines[-3].split() == ["1", "1.000", "1.000", lines[-3].split()[-1]]


def test_of_many_texts_the_nearest_of_the_others_is_said(chatapp: Run) -> None:
    many = chatapp("embed", *("abcdefghijkl"[n : n + 1] * 2 for n in range(12)), "bbb", "a" * 99)
    rows = [line.split() for line in many.stdout.partition("most like")[2].splitlines()[1:]]
    assert rows[1][:3] == ["2", "13", "1.000"]
    assert rows[1][3:] == ["bbb"]
    assert rows[12] == ["13", "2", "1.000", "bb"]
    assert rows[13][:2] == ["14", "1"]
    assert max(map(len, many.stdout.splitlines())) <= 80


def test_lines_of_a_file_or_a_pipe_become_json_lines(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("ab\n\n  \nabc\x1b[31m\n")
    from_file = chatapp("embed", "--json", "--no-normalize", "-f", "lines.txt")
    piped = chatapp("embed", "--json", "--no-normalize", stdin="ab\n\nabc\x1b[31m\n")
    assert from_file.stdout == piped.stdout
    first, second = map(json.loads, from_file.stdout.splitlines())
    assert (first["text"], first["tokens"], first["dimensions"]) == ("ab", 2, 16)
    assert first["embedding"] == [0, 1, 1] + [0] * 13
    assert second["text"] == "abc\x1b[31m"
    assert "\x1b" not in chatapp("embed", "abc\x1b[31m").stdout


def test_texts_are_sorted_by_their_likeness_to_one(chatapp: Run) -> None:
    done = chatapp("embed", "--near", "aab", "zzz", "ab", "aab")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["aab", "ab", "zzz"]
    rows = chatapp("embed", "--json", "--near", "aab", "zzz", "ab").stdout.splitlines()
    assert [json.loads(row)["text"] for row in rows] == ["ab", "zzz"]
    assert json.loads(rows[0])["similarity"] > json.loads(rows[1])["similarity"]


def test_what_is_wrong_is_said_before_anything_is_loaded(
    chatapp: Run, home: Path, tmp_path: Path
) -> None:
    nothing = chatapp("embed")
    assert (nothing.returncode, "nothing to embed" in nothing.stderr) == (2, True)
    for given, said in (
        (("a", " "), "nothing to embed in TEXT 2 of 2"),
        (("--near", "\u200b\t", "a"), "nothing to be near to"),
    ):
        empty = chatapp("embed", *given)
        assert (empty.returncode, empty.stdout) == (2, "")
        assert said in empty.stderr
    assert chatapp("embed", stdin=" \n\ufeff\n\x00\n").returncode == 2
    (tmp_path / "lines.txt").write_text("a\n")
    both = chatapp("embed", "a", "-f", "lines.txt")
    assert "not from both" in both.stderr
    none = chatapp("embed", "a", CHATAPP_BACKEND="llama")
    assert (none.returncode, "There is no embedding model" in none.stderr) == (1, True)
    assert not home.joinpath("history.db").exists()
