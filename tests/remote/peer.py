"""A real OpenAI-compatible server, llama-cpp-python's own, as a child process.

It is the peer of our tests, not what they test: when it dies by a signal that nobody sent, the test
that talked to it is skipped with the peer's last words instead of failing.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

ROOT = Path(__file__).parents[2]
_LAUNCHER = Path(__file__).with_name("llama_server.py")
_START_S = 120.0


class Server:
    """`python -m llama_cpp.server` with one model, at a port of its own."""

    started: ClassVar[list["Server"]] = []
    """Every server that runs, and those that the running test has ended."""

    def __init__(self, model: Path, *arguments: str, command: list[str] | None = None) -> None:
        self.port = _unused_port()
        command = command or [sys.executable, "-P", str(_LAUNCHER)]
        self._command = [*command, "--model", str(model), "--port", str(self.port)]
        self._command += ["--n_threads", "1", *arguments]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- as long as the server is known
        self._process: subprocess.Popen[bytes] | None = None
        self.is_over = False
        """Nobody will use it again: it excuses the test that killed it, and none after."""
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.is_over = False
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=self._said, stderr=self._said
        )
        if self not in self.started:
            self.started.append(self)
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self._process.poll() is not None:
                skip_if_a_peer_crashed()
                pytest.fail(self.describe_end(), pytrace=False)
            time.sleep(0.1)
        self.kill()
        pytest.fail(f"llama_cpp.server did not answer within {_START_S:.0f} s.", pytrace=False)

    def kill(self) -> None:
        """As by `kill -9`. One that had crashed already stays known as crashed to this test."""
        assert self._process is not None
        self._process.kill()
        self.is_over = True
        if self._process.wait() == -signal.SIGKILL and self in self.started:
            self.started.remove(self)

    def has_crashed(self) -> bool:
        """Whether it ended by a signal that was not ours."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):  # a core dump takes a moment
            return self._process.wait(0.5) < 0
        return False

    def describe_end(self) -> str:
        """How it ended, and the last of what it printed."""
        assert self._process is not None
        code = self._process.returncode
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self._said.seek(0)
        words = self._said.read().decode("utf-8", "replace").strip().splitlines()[-5:]
        return f"llama_cpp.server ended by itself ({how}): {' / '.join(words) or 'no output'}"


def skip_if_a_peer_crashed() -> None:
    """Skip the running test if one of its servers has crashed."""
    for server in [server for server in Server.started if server.has_crashed()]:
        pytest.skip(server.describe_end())


@contextlib.contextmanager
def excused() -> Iterator[None]:
    """A failure inside is none if one of the test's servers has crashed."""
    Server.started[:] = [server for server in Server.started if not server.is_over]
    try:
        yield
    except Exception:
        skip_if_a_peer_crashed()
        raise


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
