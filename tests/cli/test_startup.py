"""What runs before a command runs: nothing heavy, and good advice for a slip."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.cli import root
from tests.cli.conftest import Run

HEAVY = {
    "textual",
    "rich",
    "sqlite_utils",
    "huggingface_hub",
    "numpy",
    "llama_cpp",
    "torch",
    "msgspec",
    "asyncio",
    "sqlite3",
    "jinja2",
}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(argument: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "chatapp", argument],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & HEAVY


def test_a_heavy_import_would_be_seen(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import sqlite_utils"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "sqlite_utils" in loaded & HEAVY


def test_every_command_of_the_table_shows_its_help(chatapp: Run) -> None:
    listed = chatapp("--help").stdout
    for name in root.commands or root.list_commands(None):  # type: ignore[arg-type]
        assert f"\n  {name} " in listed
        done = chatapp(name, "--help")
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout.lower()


def test_a_misspelt_command_names_the_nearest(chatapp: Run) -> None:
    done = chatapp("histroy")
    assert done.returncode == 2
    assert "`chatapp history`" in done.stderr


def test_words_are_taken_for_a_question(chatapp: Run) -> None:
    done = chatapp("why", "is", "the", "sky", "blue?")
    assert done.returncode == 2
    assert 'chatapp ask "why is the sky blue?"' in done.stderr


def test_options_of_the_chat_before_a_command_are_refused(chatapp: Run) -> None:
    done = chatapp("--model", "x", "ask", "hello")
    assert done.returncode == 2
    assert "--model" in done.stderr
    assert "chatapp ask" in done.stderr


def test_the_chat_needs_a_terminal(chatapp: Run) -> None:
    done = chatapp()
    assert done.returncode == 2
    assert done.stderr.startswith("chatapp: The chat needs a terminal.")
    assert "chatapp ask" in done.stderr


def test_debug_shows_the_traceback(chatapp: Run) -> None:
    plain = chatapp("ask")
    assert "Traceback" not in plain.stderr
    for done in (chatapp("--debug", "ask"), chatapp("ask", CHATAPP_DEBUG="1")):
        assert "Traceback" in done.stderr
        assert "UsageError" in done.stderr


def test_a_wrong_backend_is_refused(chatapp: Run) -> None:
    done = chatapp("ask", "hello", CHATAPP_BACKEND="magic")
    assert done.returncode == 2
    assert "CHATAPP_BACKEND is magic" in done.stderr


def test_a_wrong_setting_is_one_sentence(chatapp: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[sampling]\ntemprature = 1\n")
    done = chatapp("ask", "hello")
    assert done.returncode == 2
    assert "config.toml: sampling.temprature is not known." in done.stderr
    assert "`temperature`" in done.stderr


def test_completion_offers_the_commands(chatapp: Run) -> None:
    done = chatapp(_CHATAPP_COMPLETE="bash_complete", COMP_WORDS="chatapp ", COMP_CWORD="1")
    assert "plain,ask" in done.stdout
    assert "plain,doctor" in done.stdout
