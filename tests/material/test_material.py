"""Files that messages name, what is below a folder, and what was dropped on the terminal."""

import os
from pathlib import Path

import pytest

from chatapp.material.dropped import dropped_files
from chatapp.material.listing import list_files
from chatapp.material.mentions import compose_message, find_named, mention
from chatapp.material.text_files import MAX_BYTES
from chatapp.parts import File, Text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("print(1)\n")
    (tmp_path / "my notes.md").write_bytes(b"\xef\xbb\xbfwith a mark")
    (tmp_path / "wide.txt").write_bytes("зwide".encode("utf-16"))
    (tmp_path / "photo.bin").write_bytes(b"\x89PNG\0\1\2")
    (tmp_path / "latin.txt").write_bytes("müde".encode("latin-1"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("explain @src/main.py please", [File("src/main.py", "print(1)\n")]),
        ("(see @src/main.py).", [File("src/main.py", "print(1)\n")]),
        ('@"my notes.md" and @wide.txt, @wide.txt', [
            File("my notes.md", "with a mark"), File("wide.txt", "зwide"),
        ]),
        ("@someone wrote me@wide.txt", []),
        ("mail a.b@example.com @ home", []),
    ],
)  # fmt: skip
def test_files_that_are_named_become_parts(folder, text, files):
    parts, notes = compose_message(text, folder)
    assert parts == (*files, Text(text))
    assert len(notes) == len(files)
    assert all("about" in note and "tokens" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("photo.bin", "is not text but binary data"),
        ("latin.txt", "is not in UTF-8"),
        ("src/gone.py", "There is no file src/gone.py"),
        ("src", "is a folder"),
        ("big.log", "At most 4.2 MB"),
        ("pipe.txt", "pipe.txt"),
    ],
)
def test_what_cannot_be_put_before_a_model_is_said(folder, name, said):
    with (folder / "big.log").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    os.mkfifo(folder / "pipe.txt")
    parts, notes = compose_message(f"read @{name}", folder)
    assert parts == (Text(f"read @{name}"),)
    assert said in notes[0]


@pytest.mark.parametrize("path", ["a.md", "my notes.md", "x/y z.txt", "odd)"])
def test_a_mention_is_read_as_it_was_written(tmp_path, path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("here")
    parts, _ = compose_message(f"see {mention(path)} there", tmp_path)
    assert parts[0] == File(path, "here")


def test_ignored_hidden_and_other_files_are_passed_over(tmp_path):
    root = tmp_path / "root"
    for name in (
        "a.txt", "build/out.txt", "src/b.log", "src/keep.log", "src/deep/c.txt", ".hidden/x.txt",
        ".env", "p.png", "ex.txt", "sub/only.tmp",
    ):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "info" / "exclude").write_text("ex.txt\n")
    (root / ".gitignore").write_text("build/\n*.log\n[\n")
    (root / "src" / ".gitignore").write_text("!keep.log\n")
    (root / "sub" / ".gitignore").write_text("*.tmp\n")
    (root / "loop").symlink_to(root)
    assert list(list_files(root)) == ["a.txt", "src/keep.log", "src/deep/c.txt"]
    assert list(list_files(root / "src")) == ["keep.log", "deep/c.txt"]
    assert list(list_files(root, limit=1)) == ["a.txt"]


def test_dropped_files_are_found_in_every_spelling(tmp_path):
    one, two = tmp_path / "one file.txt", tmp_path / "zwei.txt"
    for path in (one, two):
        path.write_text("x")
    escaped = str(one).replace(" ", "\\ ")
    for pasted in (
        f"'{one}'", f'"{one}"', escaped, str(one), one.as_uri(), f"{one}\n", f"{escaped} ",
    ):  # fmt: skip
        assert dropped_files(pasted) == [one], pasted
    for pasted in (f"{escaped} {two}", f"{one}\n{two}\n", f"{one.as_uri()}\r\n{two.as_uri()}\r\n"):
        assert dropped_files(pasted) == [one, two], pasted
    for pasted in ("zwei.txt", f"{two} and more", f"{tmp_path}", "", "x" * 10_000, "'"):
        assert dropped_files(pasted) == []


def test_the_name_of_a_file_is_without_what_stands_behind_it(tmp_path):
    outside = tmp_path / "there.txt"
    outside.write_text("x")
    (tmp_path / "here").mkdir()
    parts, _ = compose_message(f"(see @{outside}), ok", tmp_path / "here")
    assert parts[0] == File(str(outside), "x")


def test_a_file_that_is_gone_goes_on_as_it_was(folder):
    was = (File("src/main.py", "print(0)\n"), File("gone.txt", "was here"))
    elsewhere = folder / "src"
    for text, kept in (
        ("@gone.txt: what is it?", [was[1]]),
        ("(@./gone.txt)", [was[1]]),
        (f"@{folder}/gone.txt, @gone.txt", [was[1]]),
        ("@src/main.py and @gone.txt", [File("src/main.py", "print(1)\n"), was[1]]),
        ("nothing", []),
    ):
        parts, notes = compose_message(text, folder, was)
        assert parts == (*kept, Text(text)), text
        assert not any("no file" in note for note in notes), notes
    parts, _ = compose_message("@gone.txt", elsewhere, was)
    assert parts[0] == was[1]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@a.txt", ["a.txt"]),
        ("see (@./a.txt).", ["a.txt"]),
        ('@"b c.txt" and @src/../a.txt', ["a.txt", "b c.txt"]),
        ("@link.txt", ["a.txt"]),
        ("a.txt and x@a.txt", []),
        ("@other/a.txt", []),
    ],
)
def test_which_files_of_a_message_its_text_names(tmp_path, text, names):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "src").mkdir()
    (tmp_path / "link.txt").symlink_to("a.txt")
    files = [File("a.txt", "x"), File("b c.txt", "y"), File("z.txt", "z")]
    assert [file.name for file in find_named(text, files, tmp_path)] == names
