"""Links are opened by the system's own program, and what that tells is understood."""

import sys
from pathlib import Path

import pytest

from chatapp.errors import ChatAppError
from chatapp.ui.links import open_link

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="others have one opener each")

ADDRESS = "https://example.org/a?b=1&c=2"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a program that notes what it is given and leaves with a status; the note."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("WSL_DISTRO_NAME", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    note = tmp_path / "note"

    def make(name: str, status: int) -> Path:
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "$@" > {note}\nexit {status}\n')
        program.chmod(0o755)
        return note

    return make


async def test_the_status_of_windows_own_opener_says_nothing(install, monkeypatch):
    monkeypatch.setenv("WSL_DISTRO_NAME", "Debian")
    note = install("explorer.exe", 1)
    assert await open_link(ADDRESS) == f"Opened {ADDRESS}"
    assert note.read_text().strip() == ADDRESS


@pytest.mark.parametrize(("name", "wsl"), [("wslview", True), ("xdg-open", False)])
async def test_the_status_of_others_does(install, monkeypatch, name, wsl):
    monkeypatch.setenv("WSL_DISTRO_NAME" if wsl else "DISPLAY", "x")
    install(name, 0)
    assert await open_link(ADDRESS) == f"Opened {ADDRESS}"
    install(name, 1)
    with pytest.raises(ChatAppError, match=f"{name} could not open"):
        await open_link(ADDRESS)
