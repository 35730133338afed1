"""The chat line by line: how it is stopped, left, and what a broken disk or pipe loses."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.store import Store
from tests.ui.plain_child import ROOT, Plain


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_throws_a_text_of_several_lines_away(plain: Plain) -> None:
    plain.write('"""')
    plain.expect("Several lines")
    plain.child.send_signal(signal.SIGINT)
    plain.expect("Nothing was written yet.")
    plain.write("one line")
    plain.expect("Assistant:")
    plain.expect("one line")
    assert plain.end() == 0


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
    plain.write("hello again")
    plain.expect("hello again")
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
    assert "hello again" in said[1]


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
