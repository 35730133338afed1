"""`make PYTHON=…` never takes the libraries of another Python version for its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def _folder_used(place: Path, python: str) -> str:
    """The folder whose Python would run the tests."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, place)
    command = ["make", "--no-print-directory", "--dry-run", "test", f"PYTHON={python}"]
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=True
    )
    folder, python, _ = done.stdout.strip().splitlines()[-1].partition("/bin/python -m pytest ")
    return folder if python else ""


def _make_venv(place: Path, line: str) -> None:
    """A `.venv` that is up to date, as its maker wrote it."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, place)
    (place / ".venv").mkdir()
    (place / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\n{line}\n")
    (place / ".venv" / ".chat").touch()
    (place / ".venv" / ".test").touch()


def test_the_first_python_makes_dot_venv(tmp_path: Path) -> None:
    assert _folder_used(tmp_path, sys.executable) == ".venv"


@pytest.mark.parametrize("line", ["version = {}.7", "version_info = {}.0", "version_info = {}"])
def test_the_same_version_uses_it_again(tmp_path: Path, line: str) -> None:
    _make_venv(tmp_path, line.format(OURS))
    assert _folder_used(tmp_path, sys.executable) == ".venv"


@pytest.mark.parametrize("line", ["version = 3.9.18", "version_info = 3.1", "version = 3.110.1"])
def test_another_version_gets_a_folder_of_its_own(tmp_path: Path, line: str) -> None:
    _make_venv(tmp_path, line)
    assert _folder_used(tmp_path, sys.executable) == f".venv-{OURS}"


def test_a_python_that_is_not_there_uses_none(tmp_path: Path) -> None:
    _make_venv(tmp_path, f"version = {OURS}.7")
    assert _folder_used(tmp_path, "python3.999") != ".venv"
