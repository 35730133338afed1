"""`chatapp` in a real terminal: it opens, leaves, and refuses before it takes the screen."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND

ROOT = Path(__file__).parents[2]


class Terminal:
    """A child in a pseudo-terminal of 80x24."""

    def __init__(self, arguments: list[str], environment: dict[str, str], cwd: Path) -> None:
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.child = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=cwd,
            env=environment | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(follower)
        self.seen = b""

    def read_until(self, *wanted: bytes) -> None:
        """Read until one of the texts was drawn, or the child has ended."""
        while not any(text in self.seen for text in wanted):
            if not self._read():
                return

    def read_all(self) -> int:
        """Read to the end; the child's exit code."""
        while self._read():
            pass
        os.close(self._leader)
        return self.child.wait(timeout=60)

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._leader, keys)

    def _read(self) -> bool:
        try:
            piece = os.read(self._leader, 65536)
        except OSError:  # the child has closed its side
            return False
        self.seen += piece
        return bool(piece)


def test_it_opens_and_leaves(environment: dict[str, str], tmp_path: Path, home: Path) -> None:
    terminal = Terminal([], environment, tmp_path)
    terminal.read_until(b"echo")
    terminal.press(b"\x11")  # Ctrl+Q
    assert terminal.read_all() == 0, terminal.seen[-2000:]
    assert (home / "history.db").exists()
    assert b"Traceback" not in terminal.seen


def test_a_temporary_chat_leaves_nothing(
    environment: dict[str, str], tmp_path: Path, home: Path
) -> None:
    terminal = Terminal(["--temporary", "--offline"], environment, tmp_path)
    terminal.read_until(b"echo")
    terminal.press(b"\x11")
    assert terminal.read_all() == 0, terminal.seen[-2000:]
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "nowhere.gguf"], "There is no model nowhere.gguf"),
        (["--conversation", "7"], "There is no conversation 7"),
        (["--temporary", "-c"], "--temporary begins a new conversation"),
        (["-c", "--conversation", "1"], "not both"),
    ],
)
def test_refusals_do_not_take_the_screen(
    environment: dict[str, str], tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    terminal = Terminal(arguments, environment | {"CHATAPP_BACKEND": "llama"}, tmp_path)
    code = terminal.read_all()
    said = terminal.seen.decode()
    # Without a built-in model in this checkout that is what is missed first.
    assert complaint in said or "built-in model is missing" in said
    assert code in (1, 2)
    assert "\x1b[?1049h" not in said


def test_an_unknown_key_binding_is_named(
    environment: dict[str, str], tmp_path: Path, home: Path
) -> None:
    home.mkdir()
    (home / "config.toml").write_text('[keys]\nregenrate = "f5"\n')
    terminal = Terminal([], environment, tmp_path)
    assert terminal.read_all() == 2
    said = terminal.seen.decode()
    assert "keys.regenrate is not known" in said
    assert "`regenerate`" in said
    assert "\x1b[?1049h" not in said
