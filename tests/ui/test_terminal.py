"""The whole program in a real terminal: it starts, and it ends when the terminal does."""

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatapp.store import Store


@dataclass
class Terminal:
    pid: int
    fd: int
    seen: bytes = b""

    def read_until(self, text: bytes, timeout_s: float = 120.0) -> None:
        end = time.monotonic() + timeout_s
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not show: {self.seen[-2000:]!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65_536)

    def send(self, home: Path, count: int, timeout_s: float = 120.0) -> None:
        """Wait until `count` messages are answered. Enter is pressed again where it came before
        the screen knew that the answer before had ended: the text stayed in the prompt then."""
        end = time.monotonic() + timeout_s
        while True:
            with Store.open(home / "history.db") as store:
                chats = store.list_conversations()
                rows = store.get_path(chats[0].id) if chats else []
            if len(rows) >= 2 * count and rows[-1].status == "complete":
                return
            assert time.monotonic() < end, f"message {count} was not answered: {rows}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65_536)
            elif len(rows) == 2 * count - 2:
                os.write(self.fd, b"\r")

    def wait(self, timeout_s: float = 120.0) -> int:
        """The exit code, or minus the signal."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if self.fd and select.select([self.fd], [], [], 0.02)[0]:
                try:
                    self.seen += os.read(self.fd, 65_536)
                except OSError:  # Linux: the other side is closed
                    time.sleep(0.02)
        raise AssertionError("the program did not end")


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    pid, fd = pty.fork()
    if pid == 0:
        environment = os.environ | {
            "CHATAPP_HOME": str(home),
            "CHATAPP_BACKEND": "echo",
            "TERM": "xterm-256color",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        os.execve(sys.executable, [sys.executable, "-m", "chatapp"], environment)
    started = Terminal(pid, fd)
    try:
        started.read_until(b"rite a message")
        started.read_until(b"context")
        yield started
    finally:
        if started.pid:
            os.kill(started.pid, signal.SIGKILL)
            os.waitpid(started.pid, 0)
        if started.fd:
            os.close(started.fd)


def test_a_chat_and_a_quit(terminal, home):
    os.write(terminal.fd, b"hello\r")
    terminal.read_until(b"tok/s")
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0
    with Store.open(home / "history.db") as store:
        rows = store.get_path(store.list_conversations()[0].id)
        assert [row.content for row in rows] == ["hello", "hello"]


def test_keys_typed_at_once_stay_in_order(terminal, home):
    os.write(terminal.fd, b"one\ntwo\r")
    terminal.read_until(b"tok/s")
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0
    with Store.open(home / "history.db") as store:
        assert store.get_path(store.list_conversations()[0].id)[0].content == "one\ntwo"


def test_a_burst_of_editing_keys_ends_as_typed_slowly(terminal, home):
    bursts = [
        (b"teh\x7f\x7fhe", "the"),
        (b"abc\x01X", "Xabc"),
        (b"alpha beta\x17X", "alpha X"),
        (b"abc\x1b[D\x1b[D\x1b[3~Y", "aYc"),
        (b"one\x1b\rtwo\x1b[A\x1b[HT", "Tone\ntwo"),
        (b"abc\x1b\x01X", "Xabc"),
        (b"abc\x1b\x01\x1b\x05\x1b\x01\x1bOFY", "abcY"),
    ]
    for count, (keys, _) in enumerate(bursts, 1):
        os.write(terminal.fd, keys + b"\r")
        terminal.send(home, count)
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0
    with Store.open(home / "history.db") as store:
        rows = store.get_path(store.list_conversations()[0].id)
        sent = [text for _, text in bursts]
        assert [row.content for row in rows if row.role == "user"] == sent


def test_a_burst_while_an_answer_streams_keeps_its_order(terminal, home):
    os.write(terminal.fd, b"/words 300\n/delay 5\rteh\x7f\x7fhe\x01X")
    terminal.send(home, 1)
    os.write(terminal.fd, b"\r")
    terminal.send(home, 2)
    with Store.open(home / "history.db") as store:
        rows = store.get_path(store.list_conversations()[0].id)
    assert rows[2].content == "Xthe"
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0


def test_a_closed_terminal_ends_the_program_and_keeps_the_text(terminal, home):
    os.write(terminal.fd, b"/words 5000\n/delay 20\r")
    terminal.read_until(b"word5")
    os.close(terminal.fd)
    terminal.fd = 0
    assert terminal.wait() == 128 + signal.SIGHUP
    with Store.open(home / "history.db") as store:
        answer = store.get_path(store.list_conversations()[0].id)[1]
        assert answer.status == "stopped"
        assert answer.content.startswith("word1 word2")


def test_a_program_that_was_suspended_draws_all_of_its_screen_again(terminal):
    os.write(terminal.fd, b"words to come back to\r")
    terminal.read_until(b"tok/s")
    terminal.read_until(b"F1")
    os.kill(terminal.pid, signal.SIGTSTP)
    terminal.read_until(b"\x1b[?1049l")
    os.waitpid(terminal.pid, os.WUNTRACED)
    terminal.seen = b""
    os.kill(terminal.pid, signal.SIGCONT)
    for text in (b"words to come back to", b"rite a message", b"context", b"F1"):
        terminal.read_until(text)
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0


@pytest.mark.parametrize("stop", [signal.SIGSTOP, signal.SIGCONT])
def test_being_continued_without_having_suspended_does_not_keep_it_from_leaving(terminal, stop):
    for _ in range(3):
        os.kill(terminal.pid, stop)
        if stop == signal.SIGSTOP:
            os.waitpid(terminal.pid, os.WUNTRACED)
        terminal.seen = b""
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.read_until(b"rite a message")
    os.write(terminal.fd, b"hello\r")
    terminal.read_until(b"tok/s")
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0


def test_sigterm_gives_the_terminal_back(terminal):
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 0
    assert b"\x1b[?1049l" in terminal.seen, "the alternate screen is left"
