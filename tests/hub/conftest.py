"""A hub on loopback, and chatapp told to use it."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatapp.paths import BUILTIN_MODEL
from tests.hub.server import Hub, Repo

NAME = "ours/small-GGUF"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def large() -> bytes:
    """A sound GGUF file of 24 MB: the built-in model with bytes behind its end."""
    rest = 24_000_000 - BUILTIN_MODEL.stat().st_size
    return BUILTIN_MODEL.read_bytes() + random.Random(1).randbytes(rest)


@pytest.fixture
def hub(large: bytes) -> Iterator[Hub]:
    """A hub with one repository of three quantisations."""
    with Hub() as server:
        small = BUILTIN_MODEL.read_bytes()
        server.repos[NAME] = Repo(
            {
                "README.md": b"# hello",
                "small-Q4_K_M.gguf": small,
                "small-Q8_0.gguf": large,
                "small-F16.gguf": large + b"\0" * 1000,
                "mmproj-small-F16.gguf": small,
            }
        )
        yield server


@pytest.fixture
def hub_environment(hub: Hub, home: Path) -> dict[str, str]:
    """The environment of a chatapp that speaks to that hub."""
    return os.environ | {
        "CHATAPP_BACKEND": "echo",
        "CHATAPP_HOME": str(home),
        "COLUMNS": "100",
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


@pytest.fixture
def start(hub_environment: dict[str, str], tmp_path: Path) -> Start:
    """Start `chatapp ARGUMENTS` as a child process."""

    def run(*arguments: str, **extra: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "chatapp", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=hub_environment | extra,
        )

    return run
