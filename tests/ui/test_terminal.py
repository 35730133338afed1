"""The whole program in a real terminal: it starts, and it ends when the terminal does."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapp.store import Store
from tests.ui.terminal import Terminal, open_terminal


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    with open_terminal(home) as started:
        yield started


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


def test_a_paste_without_brackets_is_a_paste(terminal, home):
    os.write(terminal.fd, "first line\rsecond\tline 北京\r\rlast\r".encode())
    terminal.read_until(b"last")
    os.write(terminal.fd, b"!")
    terminal.read_until(b"!")
    with Store.open(home / "history.db") as store:
        assert store.list_conversations() == [], "nothing was sent"
    terminal.type(b"\x7f")
    os.write(terminal.fd, b"\r")
    terminal.send(home, 1)
    with Store.open(home / "history.db") as store:
        rows = store.get_path(store.list_conversations()[0].id)
    assert rows[0].content == "first line\nsecond\tline 北京\n\nlast"


def test_a_large_paste_without_brackets_arrives_whole(terminal, home):
    text = "\r".join(f"line {number} of a long text" for number in range(600))
    data = text.encode()
    while data:  # a terminal takes a few kB at a time
        data = data[os.write(terminal.fd, data[:1000]) :]
        terminal.pump(0)
    terminal.read_until(b"[pasted 600 lines]")
    os.write(terminal.fd, b"\r")
    terminal.send(home, 1)
    with Store.open(home / "history.db") as store:
        rows = store.get_path(store.list_conversations()[0].id)
    assert rows[0].content == text.replace("\r", "\n")


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
    terminal.close()
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


def test_ctrl_z_stops_and_fg_goes_on(terminal, home):
    os.write(terminal.fd, b"/words 400\n/delay 5")
    os.write(terminal.fd, b"\r")
    terminal.read_until(b"word3")
    os.write(terminal.fd, b"\x1a")
    terminal.until(lambda: not terminal.is_raw, "the terminal was not given back")
    terminal.until(lambda: state_of(terminal.pid) == "T", "it did not stop")
    terminal.seen = b""
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.read_until(b"rite a message")
    terminal.read_until(b"word400")
    os.write(terminal.fd, b"\x11")
    assert terminal.wait() == 0


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
