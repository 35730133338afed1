"""`chatapp models add-remote` in a child process."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_added_listed_made_default_and_removed(chatapp: Run, home: Path) -> None:
    done = chatapp("models", "add-remote", "lab", "lab.example:8000")
    assert "goes to http://lab.example:8000/v1." in done.stderr
    assert "unencrypted" in done.stderr
    assert (home / "remotes.json").stat().st_mode & 0o777 == 0o600
    rows = {row["file"]: row for row in json.loads(chatapp("models", "list", "--json").stdout)}
    assert rows["remote:lab"]["source"] == "text goes to lab.example:8000"
    assert chatapp("models", "default", "remote:lab").returncode == 0
    assert chatapp("models", "default").stdout.strip() == "remote:lab"
    assert "*  lab" in chatapp("models", "list").stdout
    assert chatapp("models", "rm", "remote:lab").returncode == 0
    assert "remote:lab" not in chatapp("models", "list").stdout
    gone = chatapp("ask", "--model", "remote:lab", "hi")
    assert gone.returncode == 2
    assert "There is no remote lab." in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["../x", "http://a"], "is no name"),
        (["x", "ftp://a"], "is no address"),
        (["x", "http://me:secret@a"], "must not hold a password"),
        (["x", "http://"], "is no address"),
    ],
)
def test_what_is_refused(chatapp: Run, home: Path, arguments: list[str], sentence: str) -> None:
    done = chatapp("models", "add-remote", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (home / "remotes.json").exists()


def test_a_damaged_file(chatapp: Run, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "remotes.json").write_text("[{]")
    done = chatapp("models", "list")
    assert done.returncode == 2
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_does_not_outlive_its_remote(chatapp: Run) -> None:
    chatapp("models", "add-remote", "lab", "http://127.0.0.1:9/v1")
    assert chatapp("models", "default", "remote:lab").returncode == 0
    gone = chatapp("models", "rm", "remote:lab", "-y")
    assert "It was the default. From now on: the built-in model." in gone.stderr
    assert chatapp("models", "list").returncode == 0
    for address in ("http://[::1", "http://h:abc"):
        refused = chatapp("models", "add-remote", "x", address)
        assert f"{address} is no address." in refused.stderr


def test_what_a_remote_is(chatapp: Run) -> None:
    chatapp("models", "add-remote", "lab", "http://127.0.0.1:9/v1")
    said = chatapp("models", "info", "remote:lab").stdout
    assert "http://127.0.0.1:9/v1" in said
    assert "CHATAPP_KEY_LAB" in said
    again = chatapp("models", "add-remote", "lab", "http://127.0.0.1:10/v1")
    assert "It replaces http://127.0.0.1:9/v1." in again.stderr
