"""Where an export goes."""

from pathlib import Path

import pytest

from chatapp.errors import UsageError
from chatapp.export.places import choose_place, find_free, name_file


@pytest.mark.parametrize(
    ("wanted", "name", "format_"),
    [
        ("", "A title.md", "markdown"),
        ("  ", "A title.md", "markdown"),
        ("json", "A title.json", "json"),
        (".HTML", "A title.html", "html"),
        ("markdown", "A title.md", "markdown"),
        ("notes", "notes.md", "markdown"),
        ("two words.md", "two words.md", "markdown"),
        ('"quoted name.json"', "quoted name.json", "json"),
        ("page.HTM", "page.HTM", "html"),
        ("sub/x.html", "sub/x.html", "html"),
        ("sub/", "sub/A title.md", "markdown"),
        ("there", "there/A title.md", "markdown"),
    ],
)
def test_the_suffix_says_the_format(tmp_path: Path, wanted, name, format_):
    (tmp_path / "there").mkdir()
    path, how = choose_place(wanted, "A title", tmp_path)
    assert (path, how.name) == (tmp_path / name, format_)


def test_the_home_folder_is_spelled_with_a_tilde(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert choose_place("~/x.md", "t", tmp_path)[0] == tmp_path / "home" / "x.md"


@pytest.mark.parametrize("wanted", ["x.pdf", "x.docx", "a/b.txt"])
def test_a_suffix_without_a_format_is_named(tmp_path: Path, wanted):
    with pytest.raises(UsageError, match="no export format for") as caught:
        choose_place(wanted, "t", tmp_path)
    assert ".md, .json, .html" in caught.value.hint


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Why is the sky blue?", "Why is the sky blue"),
        ("a/b\\c:d*e", "a b c d e"),
        ("../../etc/passwd", "etc passwd"),
        ("-- ...", "chat"),
        ("", "chat"),
        ("con", "con chat"),
        ("北京欢迎你", "北京欢迎你"),
        ("x" * 300, "x" * 60),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_a_title_becomes_a_name(title, name):
    assert name_file(title) == name
    assert not name_file(title).startswith((".", "-"))


def test_a_taken_name_gets_a_number(tmp_path: Path):
    path = tmp_path / "a.md"
    assert find_free(path) == path
    path.touch()
    assert find_free(path) == tmp_path / "a 2.md"
    (tmp_path / "a 2.md").touch()
    assert find_free(path) == tmp_path / "a 3.md"
