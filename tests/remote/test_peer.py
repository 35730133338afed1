"""A peer that dies by itself is said, and is no fault of ours."""

import signal
import sys
from collections.abc import Iterator

import pytest

from chatapp.paths import BUILTIN_MODEL
from tests.remote.peer import Server, excused

_LISTEN = """
import os, socket, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
listener = socket.create_server(("127.0.0.1", port))
listener.accept()
sys.stderr.write("tile registers are gone\\n")
sys.stderr.flush()
os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.fixture
def started() -> Iterator[list[Server]]:
    """The servers that a test starts, taken out again so that none excuses another test."""
    before = list(Server.started)
    yield Server.started
    Server.started[:] = before


def _start(number: int) -> Server:
    return Server(BUILTIN_MODEL, command=[sys.executable, "-c", _LISTEN, str(number)])


def test_a_crash_skips_with_the_last_words(started: list[Server]) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"SIGSEGV.*tile registers are gone"), excused():
        _start(signal.SIGSEGV)
        raise ConnectionError


def test_a_crash_excuses_the_test_that_tidied_up_and_none_after(started: list[Server]) -> None:
    with pytest.raises(pytest.skip.Exception, match="SIGBUS"), excused():
        server = _start(signal.SIGBUS)
        assert server.has_crashed()
        server.kill()
        raise ConnectionError
    with pytest.raises(ConnectionError), excused():
        raise ConnectionError


def test_what_the_test_killed_itself_excuses_nothing(started: list[Server]) -> None:
    with pytest.raises(ConnectionError), excused():
        _start(0).kill()
        raise ConnectionError


def test_a_server_that_cannot_start_is_a_failure_with_its_words(started: list[Server]) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"exit code 3.*no such option"):
        Server(BUILTIN_MODEL, command=["sh", "-c", "echo no such option >&2; exit 3"])
    with pytest.raises(pytest.skip.Exception, match=r"SIGILL\): no output"):
        Server(BUILTIN_MODEL, command=["sh", "-c", "kill -ILL $$"])
