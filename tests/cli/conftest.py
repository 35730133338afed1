"""The command as its users run it: a child process in an isolated home."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

COMMAND = [sys.executable, "-m", "chatapp"]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The child's environment: the scripted engine, an isolated home."""
    return os.environ | {"CHATAPP_BACKEND": "echo", "CHATAPP_HOME": str(home), "COLUMNS": "80"}


@pytest.fixture
def chatapp(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run `chatapp ARGUMENTS` with `stdin` piped in and wait for it."""

    def run(*arguments: str, stdin: str = "", **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])} | extra,
            timeout=120,
            check=False,
        )

    return run
