"""Model files whose names no text can hold, and things that are no files, through the commands."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chatapp.store import Store
from tests.cli.conftest import COMMAND, Run
from tests.cli.test_tui import Terminal

NAME = b"b\xe4d\xff.gguf"


@pytest.fixture
def odd(home: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """A models folder and a current folder with a loop of links, one with a name in Latin-1."""
    folder = home / "models"
    folder.mkdir(parents=True)
    for place in (folder, tmp_path):
        (place / "loop.gguf").symlink_to("loop.gguf")
    return Path(shutil.copy(tiny_model, folder / os.fsdecode(NAME)))


def test_it_is_listed_and_described(chatapp: Run, odd: Path) -> None:
    assert "b\ufffdd\ufffd.gguf" in chatapp("models", "list").stdout
    done = chatapp("models", "list", "--json")
    rows = {row["file"]: row for row in json.loads(done.stdout)}
    row = rows["b\ufffdd\ufffd.gguf"]
    assert row["error"] is None
    assert row["path"].endswith("/b%E4d%FF.gguf")
    for name in (os.fsdecode(NAME), "b\ufffdd\ufffd", row["path"]):
        assert json.loads(chatapp("models", "info", name, "--json").stdout)["path"] == row["path"]
    assert "b\ufffdd\ufffd.gguf" in chatapp("models", "info", row["path"]).stdout
    headers = odd.parents[1] / "logs" / "headers.json"
    assert row["path"] in headers.read_text()


def test_its_path_is_printed_as_bytes(
    environment: dict[str, str], odd: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [*COMMAND, "models", "path", os.fsdecode(NAME)],
        capture_output=True,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        check=True,
    )
    assert Path(os.fsdecode(done.stdout.rstrip(b"\n"))).samefile(odd)


def test_it_answers_and_is_remembered(chatapp: Run, odd: Path, home: Path) -> None:
    real = {"CHATAPP_BACKEND": "llama"}
    assert chatapp("models", "default", os.fsdecode(NAME)).returncode == 0
    done = chatapp("ask", "--max-tokens", "3", "--json", "hello", **real)
    assert done.returncode == 0, done.stderr
    identity = json.loads(done.stdout)["conversation_id"]
    with Store.open(home / "history.db") as store:
        assert store.get_conversation(identity).id == identity
    shown = json.loads(chatapp("history", "show", "--json").stdout)
    assert "b%E4d%FF.gguf" in json.dumps(shown)
    removed = chatapp("models", "rm", "-y", os.fsdecode(NAME))
    assert removed.returncode == 0, removed.stderr
    assert not odd.exists()
    assert "It was the default" in removed.stderr


def test_a_damaged_one_is_one_sentence(chatapp: Run, odd: Path) -> None:
    odd.write_bytes(b"GGUF")
    for arguments in (["models", "info"], ["models", "default"], ["ask", "hi", "-m"]):
        done = chatapp(*arguments, os.fsdecode(NAME), CHATAPP_BACKEND="llama")
        assert done.returncode == 1
        assert "b\ufffdd\ufffd.gguf" in done.stderr.replace("?", "\ufffd")
        assert "Traceback" not in done.stderr
    assert "ends in the middle" in chatapp("models", "list").stdout


def test_the_chat_opens_beside_them(environment: dict[str, str], odd: Path, tmp_path: Path) -> None:
    environment = environment | {"CHATAPP_BACKEND": "llama"}
    terminal = Terminal(["-m", os.fsdecode(NAME)], environment, tmp_path)
    terminal.read_until(b"context")
    terminal.press(b"\x0f")  # Ctrl+O
    terminal.read_until(b"b\xef\xbf\xbdd\xef\xbf\xbd.gguf")
    terminal.press(b"\x1b")
    terminal.press(b"\x11")
    assert terminal.read_all() == 0, terminal.seen[-2000:]
    assert b"Traceback" not in terminal.seen
