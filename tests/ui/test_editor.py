"""The prompt in the user's own editor, in a real terminal."""

import os
from pathlib import Path

import pytest

from chatapp.store import Store
from tests.ui.terminal import open_terminal


def editor(folder: Path, script: str) -> Path:
    path = folder / "my editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def asked(home: Path) -> str:
    with Store.open(home / "history.db") as store:
        return store.get_path(store.list_conversations()[0].id)[0].content


def test_what_the_editor_leaves_comes_back(home, tmp_path):
    log = tmp_path / "log"
    script = f'stat -c %a "$2" > {log}; echo "$1" >> {log}; sed "s/$/!/" "$2" > t && cat t > "$2"'
    command = f"'{editor(tmp_path, script)}' --wait"
    with open_terminal(home, folder=tmp_path, VISUAL="", EDITOR=command) as terminal:
        terminal.type(b"\x1b[200~" + b"\r".join(b"line" for _ in range(30)) + b"\x1b[201~")
        terminal.read_until(b"[pasted 30 lines]")
        terminal.type(b"\x18")
        terminal.read_until(b"Ctrl+E opens the editor")
        terminal.type(b"\x05")
        terminal.until(log.exists, "the editor was not opened")
        terminal.until(lambda: terminal.is_raw, "the terminal was not taken back")
        os.write(terminal.fd, b"\r")
        terminal.send(home, 1)
    assert asked(home) == "\n".join(["line!"] * 30)
    assert log.read_text().split() == ["600", "--wait"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('echo lost > "$1"; exit 3', b"code 3"),
        ('echo lost > "$1"; kill -9 $$', b"signal 9"),
        ('rm "$1"', b"left no file"),
        (None, b"is not there"),
    ],
)
def test_an_editor_that_fails_leaves_the_text(home, tmp_path, script, said):
    path = editor(tmp_path, script) if script else tmp_path / "gone"
    with open_terminal(home, folder=tmp_path, VISUAL=f"'{path}'", EDITOR="") as terminal:
        terminal.type(b"kept\x18\x05")
        terminal.read_until(said)
        terminal.until(lambda: terminal.is_raw, "the terminal was not taken back")
        os.write(terminal.fd, b"\r")
        terminal.send(home, 1)
    assert asked(home) == "kept"
