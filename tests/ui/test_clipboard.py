"""Which way a text goes to the clipboard, with real programs and a real tmux."""

import asyncio
import base64
import os
import pty
import select
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from chatapp.text import strip_controls
from chatapp.ui.clipboard import MAX_OSC52, Clipboard

EVIL = "a\x1b[2Jb\u202e"


class Copying:
    """A clipboard in an environment of its own, and what it sent to the terminal."""

    def __init__(self, environ: Mapping[str, str], large: Path | None = None, **more: str) -> None:
        self.sent: list[str] = []
        self.has_terminal = True
        self.clipboard = Clipboard(self._emit, large=lambda: large, environ=environ, **more)

    def _emit(self, text: str) -> bool:
        self.sent.append(text)
        return self.has_terminal

    async def copy(self, text: str) -> str:
        return await self.clipboard.copy(text)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, before all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def add(programs: Path, name: str, script: str) -> Path:
    """A program, a real process, that writes what it is given into a file."""
    path = programs / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return programs / f"{name}.got"


@pytest.mark.parametrize(
    ("name", "variable"),
    [("wl-copy", "WAYLAND_DISPLAY"), ("xclip", "DISPLAY"), ("xsel", "DISPLAY")],
)
async def test_a_program_of_the_desktop_is_the_surest(programs: Path, name: str, variable: str):
    for other in ("wl-copy", "xclip", "xsel"):
        if other != name:
            add(programs, other, "exit 1")
    # as the real ones: one stays to hand the text out, with our stdin closed and stdout open
    got = add(programs, name, 'cat > "$0.got"; (sleep 5) &')
    copying = Copying({variable: ":7", "PATH": os.environ["PATH"], "TMUX": "/x,1,0"})
    assert await copying.copy(EVIL + "é") == f"It is on the clipboard ({name})."
    assert got.read_text() == "abé"
    assert copying.sent == []


async def test_over_ssh_the_display_is_another_one(programs: Path):
    got = add(programs, "xclip", 'cat > "$0.got"')
    environ = {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1", "PATH": os.environ["PATH"]}
    copying = Copying(environ)
    assert "does not say whether it took it" in await copying.copy(EVIL)
    assert copying.sent == ["ab"]
    assert not got.exists()


async def test_on_macos_and_windows_no_variable_is_asked_for(programs: Path):
    got = add(programs, "pbcopy", 'cat > "$0.got"')
    copying = Copying({"PATH": os.environ["PATH"]}, platform="darwin")
    assert await copying.copy("é") == "It is on the clipboard (pbcopy)."
    assert got.read_text() == "é"
    got = add(programs, "clip.exe", 'cat > "$0.got"')
    wsl = Copying({"PATH": os.environ["PATH"], "WSL_DISTRO_NAME": "Debian"})
    assert await wsl.copy("é") == "It is on the clipboard (clip.exe)."
    assert got.read_bytes() == "é".encode("utf-16-le")


async def test_a_program_that_hangs_or_fails_is_not_waited_for(
    programs: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("chatapp.ui.clipboard.TIMEOUT_S", 0.2)
    add(programs, "wl-copy", "exit 1")
    add(programs, "xclip", "exec sleep 600")
    add(programs, "xsel", "exit 2")
    path = os.environ["PATH"]
    copying = Copying({"DISPLAY": ":7", "WAYLAND_DISPLAY": "w", "PATH": path})
    assert "sent to the terminal" in await copying.copy("x")
    assert copying.sent == ["x"]


async def test_what_is_too_much_for_a_terminal_is_in_a_file(tmp_path: Path):
    large = tmp_path / "state" / "copied.txt"
    copying = Copying({}, large)
    text = "é" * (MAX_OSC52 // 2)
    assert "sent to the terminal" in await copying.copy(text)
    assert copying.sent == [text]
    said = await copying.copy(text + "x")
    assert said == f"It is too much for a terminal to take (74 kB): it is in {large}."
    assert large.read_text() == text + "x"
    assert large.stat().st_mode & 0o777 == 0o600
    assert copying.sent == [text]


async def test_a_temporary_chat_leaves_no_file():
    copying = Copying({})
    said = await copying.copy("x" * (MAX_OSC52 + 1))
    assert said == "It was sent to the terminal, but most drop what is over 74 kB."
    assert len(copying.sent) == 1


async def test_without_a_terminal_it_is_in_a_file(tmp_path: Path):
    copying = Copying({}, tmp_path / "copied.txt")
    copying.has_terminal = False
    said = await copying.copy("x")
    assert said == f"There is no clipboard here: it is in {tmp_path / 'copied.txt'}."
    assert (tmp_path / "copied.txt").read_text() == "x"
    copying = Copying({})
    copying.has_terminal = False
    assert await copying.copy("x") == "But there is no clipboard here to take it."


async def test_gnu_screen_keeps_it_to_itself():
    copying = Copying({"STY": "1.pts"})
    assert "GNU screen" in await copying.copy("x")


async def test_texts_arrive_in_the_order_they_are_copied_in(programs: Path):
    got = add(programs, "xclip", 'cat > "$0.new"; sleep 0.0$(cat "$0.new"); mv "$0.new" "$0.got"')
    copying = Copying({"DISPLAY": ":7", "PATH": os.environ["PATH"]})
    await asyncio.gather(copying.copy("9"), copying.copy("1"))
    assert got.read_text() == "1"


class Tmux:
    """A server of its own, with a client on a terminal that we read."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.environ.pop("TMUX", None)
            command = ["tmux", "-L", socket, "-f", "/dev/null", "new-session", "-x80", "-y24", "sh"]
            os.execvp("tmux", command)
        self.seen = b""
        self.until(lambda: self.run("display-message", "-p", "#{socket_path}").returncode == 0)
        self.until(lambda: b"$" in self.seen or b"#" in self.seen)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["tmux", "-L", self._socket, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    @property
    def environ(self) -> dict[str, str]:
        where = self.run("display-message", "-p", "#{socket_path},#{pid},0").stdout.strip()
        pane = self.run("display-message", "-p", "#{pane_id}").stdout.strip()
        return {"TMUX": where, "TMUX_PANE": pane}

    def until(self, condition) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, self.seen[-500:]
            if select.select([self._fd], [], [], 0.02)[0]:
                self.seen += os.read(self._fd, 65_536)

    def close(self) -> None:
        self.run("kill-server")
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def tmux(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    server = Tmux(f"chatapp-{uuid.uuid4().hex[:8]}")
    try:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("setting", ["on", "external", "off"])
async def test_tmux_has_it_and_hands_it_on_whatever_is_set(tmux: Tmux, setting: str):
    tmux.run("set-option", "-s", "set-clipboard", setting)
    copying = Copying(os.environ)
    text = f"for {setting}: {EVIL}"
    said = await copying.copy(text)
    assert said == "tmux has it; whether your terminal took it too cannot be known."
    assert tmux.run("show-buffer").stdout == f"for {setting}: ab"
    wanted = base64.b64encode(f"for {setting}: ab".encode())
    tmux.until(lambda: wanted in tmux.seen)
    assert copying.sent == [], "an escape sequence of ours would not pass"


@pytest.mark.parametrize(
    ("setting", "said", "sent"),
    [
        ("on", "tmux has it; whether your terminal took it too cannot be known.", ["ab"]),
        ("external", "Only tmux has it (set-clipboard is external): its prefix and ] put", []),
        ("off", "Only tmux has it (set-clipboard is off): its prefix and ] put", []),
    ],
)
async def test_an_old_tmux_is_asked_what_passes(
    tmux: Tmux, programs: Path, setting: str, said: str, sent: list[str]
):
    real = shutil.which("tmux")
    add(programs, "tmux", f'case "$*" in *-w*) exit 1;; esac; exec {real} "$@"')
    tmux.run("set-option", "-s", "set-clipboard", setting)
    copying = Copying(os.environ)
    assert (await copying.copy(EVIL)).startswith(said)
    assert tmux.run("show-buffer").stdout == "ab"
    assert copying.sent == sent


async def test_a_tmux_that_is_gone_leaves_the_terminal(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TMUX", f"{tmp_path}/gone,1,0")
    copying = Copying(os.environ)
    assert "sent to the terminal" in await copying.copy("x")
    assert copying.sent == ["x"]


@pytest.fixture
def display() -> Iterator[str]:
    """An X server that nobody sees."""
    if shutil.which("Xvfb") is None or shutil.which("xclip") is None:
        pytest.skip("Xvfb or xclip is not installed")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            number = said.readline().strip()
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


async def test_a_real_clipboard_has_all_of_it(display: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISPLAY", display)
    copying = Copying(os.environ)
    for text in (f"é 😀 {EVIL}", "x" * 1_000_000):
        assert await copying.copy(text) == "It is on the clipboard (xclip)."
        command = ["xclip", "-selection", "clipboard", "-out"]
        read = partial(subprocess.run, command, capture_output=True, text=True)
        async with asyncio.timeout(60):  # it may have ended before the server knows it as the owner
            while (done := read()).returncode or done.stdout != strip_controls(text):
                await asyncio.sleep(0.05)
    assert copying.sent == []


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "state").write_text("no folder")
    large = tmp_path / "state" / "copied.txt"
    copying = Copying({}, large)
    said = await copying.copy("x" * (MAX_OSC52 + 1))
    assert f"nor can {large} be written" in said
