"""The whole program in a real terminal, and what a test does with it."""

import fcntl
import os
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatapp.store import Store


@dataclass
class Terminal:
    pid: int
    fd: int
    inner: int
    """The program's side, to see what it has read."""
    seen: bytes = b""

    def pump(self, timeout_s: float) -> bool:
        """Take what the program has drawn; whether there was anything."""
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return False
        self.seen = (self.seen + os.read(self.fd, 65_536))[-1_000_000:]
        return True

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
        """The time is only against a test that hangs, on the slowest machine."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.seen[-2000:]!r}"
            self.pump(0.01)

    def read_until(self, text: bytes) -> None:
        self.until(lambda: text in self.seen, f"{text!r} did not show")

    def type(self, keys: bytes) -> None:
        """Have the program read `keys` at once and alone. It is halted until all of them are there:
        the kernel hands over what is written a little later."""
        self.until(lambda: self._unread() == 0, "the keys before were not read")
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)
        os.write(self.fd, keys)
        self.until(lambda: self._unread() == len(keys), "the keys did not arrive")
        os.kill(self.pid, signal.SIGCONT)
        self.until(lambda: self._unread() == 0, "the keys were not read")

    @property
    def is_raw(self) -> bool:
        """Whether keys go to the program as they are; not while it has lent the terminal."""
        return not termios.tcgetattr(self.inner)[3] & termios.ICANON

    def _unread(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self.inner, termios.FIONREAD, b"\0" * 4))[0])

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
            if not self.pump(0.1) and len(rows) == 2 * count - 2:
                os.write(self.fd, b"\r")

    def wait(self, timeout_s: float = 120.0) -> int:
        """The exit code, or minus the signal."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if self.fd:
                try:
                    self.pump(0.02)
                except OSError:  # Linux: the other side is closed
                    time.sleep(0.02)
        raise AssertionError("the program did not end")

    def close(self) -> None:
        """Hang up."""
        for fd in (self.fd, self.inner):
            if fd:
                os.close(fd)
        self.fd = self.inner = 0


@contextmanager
def open_terminal(
    home: Path, *, folder: Path | None = None, **environment: str
) -> Iterator[Terminal]:
    """The program with the echo engine, on a terminal of 80x24; killed when the test is done."""
    outer, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    pid = os.fork()
    if pid == 0:
        os.close(outer)
        os.login_tty(inner)
        os.chdir(folder or Path.cwd())
        variables = os.environ | {
            "CHATAPP_HOME": str(home),
            "CHATAPP_BACKEND": "echo",
            "TERM": "xterm-256color",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environment,
        }
        os.execve(sys.executable, [sys.executable, "-m", "chatapp"], variables)
    terminal = Terminal(pid, outer, inner)
    try:
        terminal.read_until(b"rite a message")
        terminal.read_until(b"context")
        yield terminal
    finally:
        if terminal.pid:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        terminal.close()
