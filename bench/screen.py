"""What waiting feels like, in a real terminal: from the command to a screen one can type in, and
from Enter to the first word of the answer.

Runs `chatapp` in a pseudo-terminal of 80x24 with a fresh home and the built-in model, greedy, so
that the first word is known beforehand. Reported: medians, and the same for a bare Textual app
with one input (the peer: what any Textual program costs).

    python -m bench.screen [--rounds 5] [--model FILE]
"""

import argparse
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

QUESTION = "How do I quit?"
BARE_APP = """
from textual.app import App
from textual.widgets import Input
class Bare(App):
    def compose(self):
        yield Input(placeholder="Write a message")
Bare().run()
"""
_ESCAPES = re.compile(
    rb"\x1b\[[0-9;?<>=]*[a-zA-Z~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[()][A-Z0-9]"
)
_TIMEOUT_S = 30.0


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(self, command: list[str], home: str) -> None:
        self.started = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = os.environ | {"TERM": "xterm-256color", "CHATAPP_HOME": home}
            os.execvpe(command[0], command, environment)
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._seen = b""

    def type(self, keys: str) -> None:
        """Send keys and forget what was shown so far."""
        self._seen = b""
        os.write(self.fd, keys.encode())

    def wait_for(self, text: str) -> float:
        """The moment `text` has been drawn since the last keys."""
        deadline = time.perf_counter() + _TIMEOUT_S
        while time.perf_counter() < deadline:
            if select.select([self.fd], [], [], 0.05)[0]:
                self._seen += os.read(self.fd, 65_536)
                if text.encode() in _ESCAPES.sub(b"", self._seen):
                    return time.perf_counter()
        raise TimeoutError(f"{text!r} was not drawn within {_TIMEOUT_S:.0f} s")

    def close(self) -> None:
        """End the command."""
        os.kill(self.pid, signal.SIGTERM)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def first_words(home: str, model: list[str]) -> str:
    """The first dozen characters of the greedy answer to the question."""
    command = [sys.executable, "-m", "chatapp", "ask", "--no-save", "--temperature", "0", *model]
    environment = os.environ | {"CHATAPP_HOME": home}
    done = subprocess.run(
        [*command, QUESTION], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout[:12].strip()


def time_chat(home: str, model: list[str], word: str) -> tuple[float, float]:
    """(seconds to a usable screen, seconds from Enter to the first word)."""
    terminal = Terminal([sys.executable, "-m", "chatapp", *model], home)
    usable = terminal.wait_for("Write a message") - terminal.started
    terminal.type(QUESTION)
    terminal.wait_for("quit?")
    terminal.wait_for("context")
    entered = time.perf_counter()
    terminal.type("\r")
    answered = terminal.wait_for(word) - entered
    terminal.close()
    return usable, answered


def time_bare(home: str) -> float:
    """Seconds to the screen of the smallest Textual app."""
    terminal = Terminal([sys.executable, "-c", BARE_APP], home)
    usable = terminal.wait_for("Write a message") - terminal.started
    terminal.close()
    return usable


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", help="a GGUF file; default: the built-in model")
    arguments = parser.parse_args()
    model = ["--model", arguments.model] if arguments.model else []
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "config.toml").write_text("[sampling]\ntemperature = 0.0\n")
        word = first_words(home, model)
        bare, usable, answered = [], [], []
        for _ in range(arguments.rounds):
            bare.append(time_bare(home))
            screen, first = time_chat(home, model, word)
            usable.append(screen)
            answered.append(first)
    middle = statistics.median
    print(f"bare Textual app usable     {middle(bare):.2f} s")
    print(
        f"chatapp usable              {middle(usable):.2f} s, {middle(usable) / middle(bare):.1f}x"
    )
    print(f"Enter to the first word     {middle(answered):.2f} s, worst {max(answered):.2f} s")


if __name__ == "__main__":
    main()
