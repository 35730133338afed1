"""`chatapp --plain` as a real child: lines in, lines out, no terminal."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Plain:
    """A chat in a child process, and what it has said."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        home.mkdir(exist_ok=True)
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
                **environment,
            },
            cwd=home,
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

    def expect(self, *texts: str) -> str:
        """Wait until a line since the last `write` holds one of the texts; that line."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for line in self.said[self._from :]:
                if any(text in line for text in texts):
                    return line.rstrip("\n")
            time.sleep(0.02)
        raise AssertionError(f"{texts} was not said: {''.join(self.said)}")

    def write_until(self, line: str, text: str) -> str:
        """Type a line, as often as it takes until the answer before it has ended and `text` is
        said."""
        while True:
            self.write(line)
            if "An answer is still" not in (said := self.expect(text, "An answer is still")):
                return said

    def count(self, text: str) -> int:
        """How many lines since the last `write` hold `text`."""
        return sum(text in line for line in self.said[self._from :])

    def end(self) -> int:
        """No more lines; the exit code."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        return self.child.wait(60)
