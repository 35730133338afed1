"""The chat line by line: a real child, lines in, lines out, no terminal."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapp.store import Store

ROOT = Path(__file__).parents[2]


class Plain:
    """A chat in a child process, and what it has said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.child = subprocess.Popen(
            [sys.executable, "-m", "chatapp", "--plain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "CHATAPP_HOME": str(home),
                "CHATAPP_BACKEND": "echo",
                "PYTHONPATH": str(ROOT),
            },
            text=True,
            encoding="utf-8",
        )
        self.said: list[str] = []
        threading.Thread(target=self._hear, daemon=True).start()
        self._from = 0
        self.expect("Model: ")

    def _hear(self) -> None:
        assert self.child.stdout is not None
        self.said.extend(iter(self.child.stdout.readline, ""))

    def write(self, *lines: str) -> None:
        """Type lines; what is expected next comes after them."""
        assert self.child.stdin is not None
        self._from = len(self.said)
        self.child.stdin.write("".join(f"{line}\n" for line in lines))
        self.child.stdin.flush()

    def expect(self, text: str) -> str:
        """Wait until a line since the last `write` holds `text`; that line."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for line in self.said[self._from :]:
                if text in line:
                    return line.rstrip("\n")
            time.sleep(0.02)
        raise AssertionError(f"{text!r} was not said: {''.join(self.said)}")

    def end(self) -> int:
        """No more lines; the exit code."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        return self.child.wait(60)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    started = Plain(tmp_path / "home")
    yield started
    if started.child.poll() is None:
        started.child.kill()
    started.child.wait()


def test_a_chat_has_role_labels_and_no_drawing(plain: Plain) -> None:
    plain.write("hello there")
    plain.expect("Assistant:")
    plain.expect("hello there")
    assert plain.end() == 0
    assert not any(ord(c) in range(0x2500, 0x25A0) or c == "\x1b" for c in "".join(plain.said))
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        assert [row.content for row in store.get_path(chat.id)] == ["hello there", "hello there"]


def test_several_lines_are_one_message(plain: Plain) -> None:
    plain.write('"""', "one", "two", '"""')
    plain.expect("two")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        assert store.get_path(chat.id)[0].content == "one\ntwo"


def test_lists_are_numbered_and_a_number_chooses(plain: Plain) -> None:
    for text in ("first chat", "second chat"):
        plain.write(text)
        plain.expect("Assistant:")
        plain.write("/new")
        plain.expect("A new chat.")
    plain.write("/history")
    line = plain.expect("first chat")
    plain.write(line.split(".")[0])
    assert plain.expect("Chat: first chat").endswith("2 messages.")


def test_search_is_filled_in_and_left(plain: Plain) -> None:
    plain.write("a needle in it")
    plain.expect("Assistant:")
    plain.write("/search")
    plain.expect("Field: ")
    plain.write(".")
    plain.expect("Back in the chat.")
    plain.write("/nosuch")
    assert plain.expect("There is no command /nosuch.").startswith("Warning: ")


def test_settings_and_versions(plain: Plain) -> None:
    plain.write("/set temperature 0.3")
    plain.expect("temperature is 0.3")
    plain.write("again")
    plain.expect("Assistant:")
    plain.write("/regenerate")
    plain.expect("Assistant:")
    plain.write("/key Alt+Left")
    assert plain.expect("(version 1 of 2)").startswith("Assistant")


def test_several_answers_are_told_one_after_the_other(plain: Plain) -> None:
    plain.write("pear")
    plain.expect("Assistant:")
    plain.write("/regenerate 3")
    plain.expect("3 answers are being written.")
    plain.expect("Assistant (version 3 of 4):")
    plain.expect("Assistant (version 4 of 4):")
    plain.expect("Version 2 of 4 is shown; /choose NUMBER shows another.")
    plain.write("/choose 4")
    assert plain.expect("(version 4 of 4)").startswith("Assistant")
    plain.write("/compare")
    plain.expect("Assistant (version 1 of 4):")
    plain.expect("Version 4 of 4 is shown")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        assert store.get_path(chat.id)[-1].sibling_index == 3


def test_what_is_found_is_told_with_numbers(plain: Plain) -> None:
    plain.write("a needle")
    plain.expect("Assistant:")
    plain.expect("a needle")
    plain.write("/find needle")
    plain.expect("hits for")
    assert "a needle" in plain.expect("1. You")
    plain.write(".")
    plain.expect("Back in the chat.")


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_stops_the_answer_and_keeps_it(plain: Plain) -> None:
    plain.write('"""', "/words 5000", "/delay 20", '"""')
    plain.expect("Assistant:")
    plain.child.send_signal(signal.SIGINT)
    plain.expect("(stopped)")
    plain.write("/quit")
    assert plain.child.wait(60) == 0


def test_lines_from_a_pipe_are_answered_before_the_end(tmp_path: Path) -> None:
    started = Plain(tmp_path / "home")
    started.write("one", "two", "three")
    assert started.end() == 0
    with Store.open(started.home / "history.db") as store:
        (chat,) = store.list_conversations()
        said = [row.content for row in store.get_path(chat.id)]
    assert said == ["one", "one", "two", "two", "three", "three"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_a_disk_that_is_full_loses_no_text_in_silence(plain: Plain) -> None:
    import resource

    long = f"a message that nobody may lose {'and more ' * 400}"
    plain.write("one")
    plain.expect("one")
    kept = resource.prlimit(plain.child.pid, resource.RLIMIT_FSIZE, (0, -1))
    plain.write('"""', long, "", "its last line", '"""')
    plain.expect("Warning: The disk")
    plain.expect("Not sent")
    plain.expect(long)
    plain.expect("its last line")
    plain.write("another")
    plain.expect("another")
    resource.prlimit(plain.child.pid, resource.RLIMIT_FSIZE, kept)  # there is room again
    plain.write("/key enter")
    plain.expect("Assistant:")
    plain.expect("its last line")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        said = [row.content for row in store.get_path(chat.id) if row.role == "user"]
    assert said[0] == "one"
    assert f"{long}\n\nits last line" in said[1]
    assert "another" in said[1]


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_what_can_be_kept_nowhere_is_said_at_the_end(plain: Plain) -> None:
    import resource

    plain.write("one")
    plain.expect("one")
    resource.prlimit(plain.child.pid, resource.RLIMIT_FSIZE, (0, -1))
    plain.write("lost to the disk")
    plain.expect("Not sent")
    plain._from = len(plain.said)
    assert plain.end() == 1
    plain.expect("This could not be kept")
    plain.expect("lost to the disk")
    assert [path.name for path in plain.home.iterdir() if "draft" in path.name] == []


def test_what_looks_like_a_digit_is_no_number(plain: Plain) -> None:
    plain.write("a needle in it")
    plain.expect("Assistant:")
    plain.write("/search")
    plain.expect("Field: ")
    plain.write("\u00b2")
    plain.expect("Now: \u00b2")
    assert plain.end() == 0


def test_lines_that_end_before_there_is_a_model_are_kept(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    started = subprocess.run(
        [sys.executable, "-m", "chatapp", "--plain", "--model", str(broken)],
        input="kept\n",
        capture_output=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "CHATAPP_BACKEND"},
            "CHATAPP_HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert "kept, unanswered" in started.stdout
    with Store.open(tmp_path / "history.db") as store:
        (chat,) = store.list_conversations()
        assert [row.content for row in store.get_path(chat.id)] == ["kept"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_stdout_that_takes_nothing_ends_the_chat_and_says_why(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        child = subprocess.Popen(
            [sys.executable, "-m", "chatapp", "--plain"],
            stdin=subprocess.PIPE,
            stdout=full,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "CHATAPP_HOME": str(tmp_path),
                "CHATAPP_BACKEND": "echo",
                "PYTHONPATH": str(ROOT),
            },
            text=True,
        )
        try:
            assert child.wait(60) == 1
            assert child.stderr is not None
            assert child.stderr.read() == "chatapp: No space left on device.\n"
        finally:
            child.kill()


def test_a_reader_that_leaves_ends_the_chat(tmp_path: Path) -> None:
    chat = subprocess.Popen(
        [sys.executable, "-m", "chatapp", "--plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "CHATAPP_HOME": str(tmp_path),
            "CHATAPP_BACKEND": "echo",
            "PYTHONPATH": str(ROOT),
        },
    )
    try:
        assert chat.stdout is not None
        assert chat.stdout.readline().startswith(b"chatapp, told")
        chat.stdout.close()
        assert chat.wait(60) == 141
    finally:
        chat.kill()
