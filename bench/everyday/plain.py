"""The same actions with `--plain`: what is typed there, and what shows that it was done.

The chat is a real child, lines in and lines out; its history is read beside it. Keys are counted as
in the others: what one writes oneself (a message, a title, the words that are looked for) is not,
every other key is, Enter too.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatapp.store import Store
from chatapp.store.rows import ConversationRow, MessageRow

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20.0


class PlainDesk:
    """A chat that is told, what is typed, and how often."""

    def __init__(self, home: Path) -> None:
        self.home = home
        editor = home / "editor.sh"
        editor.write_text('#!/bin/sh\nprintf "from the editor" > "$1"\n')
        editor.chmod(0o700)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "chatapp", "--plain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=home,
            env={
                **os.environ,
                "CHATAPP_HOME": str(home / "data"),
                "CHATAPP_BACKEND": "echo",
                "PYTHONPATH": str(ROOT),
                "VISUAL": str(editor),
            },
            text=True,
            encoding="utf-8",
        )
        self.said: list[str] = []
        self._from = 0
        self.n_keys = 0
        self.typed: list[str] = []
        """What was typed for the action, one's own words in angle brackets."""
        threading.Thread(target=self._hear, daemon=True).start()
        self.hears("Model: ")
        self.store = Store.open(home / "data" / "history.db")

    def close(self) -> None:
        """End the chat, however far it is."""
        self.store.close()
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    def _hear(self) -> None:
        assert self.child.stdout is not None
        self.said.extend(iter(self.child.stdout.readline, ""))

    # Typing

    def begin(self) -> None:
        """The next action: nothing is counted yet."""
        self.n_keys = 0
        self.typed = []

    def line(self, keys: str = "", own: str = "", more: str = "") -> None:
        """Type a line: `keys`, one's own words, `more` keys, and Enter."""
        self.n_keys += len(keys) + len(more) + 1
        self.typed.append(f"{keys}{f'<{own}>' if own else ''}{more}⏎")
        self._write(keys + own + more)

    def key(self, keys: str) -> None:
        """Press keys by their names."""
        self.line(f"/key {keys}")

    def interrupt(self) -> None:
        """Ctrl+C."""
        self.n_keys += 1
        self.typed.append("Ctrl+C")
        self._from = len(self.said)
        self.child.send_signal(signal.SIGINT)

    def quietly(self, line: str) -> None:
        """Type a line that is not of the action."""
        self._write(line)

    def _write(self, line: str) -> None:
        assert self.child.stdin is not None
        self._from = len(self.said)
        self.child.stdin.write(f"{line}\n")
        self.child.stdin.flush()

    # What shows that it was done

    def hears(self, words: str) -> str:
        """Wait until a line since the last one typed has these words; that line."""

        def heard() -> str:
            return next((line for line in self.said[self._from :] if words in line), "")

        self.until(heard)
        return heard().rstrip("\n")

    def number_of(self, words: str) -> str:
        """The number of the entry with these words."""
        return self.hears(words).split(".")[0]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for it; `TimeoutError` where it does not come. A row may not be there yet."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            with contextlib.suppress(IndexError):
                if condition():
                    return
            time.sleep(0.02)
        raise TimeoutError("nothing of it came")

    @property
    def chat_row(self) -> ConversationRow:
        """The conversation that was spoken in last."""
        return self.store.list_conversations()[0]

    @property
    def rows(self) -> list[MessageRow]:
        """Its shown branch."""
        return self.store.get_path(self.chat_row.id)

    def answered(self, text: str) -> None:
        """Wait until the last message is an answer, complete, with this text."""
        self.until(
            lambda: (
                self.rows[-1].role == "assistant"
                and self.rows[-1].status == "complete"
                and self.rows[-1].content == text
            )
        )


Play = Callable[[PlainDesk], None]


@dataclass(frozen=True, slots=True)
class PlainAction:
    """Something one does, with `--plain`."""

    name: str
    play: Play
    note: str
    """Where it is another thing than on a screen, in what way."""


PLAIN_ACTIONS: list[PlainAction] = []


def plain_action(name: str, note: str = "") -> Callable[[Play], Play]:
    """Add what follows; `name` as in the actions of the screen."""

    def add(play: Play) -> Play:
        PLAIN_ACTIONS.append(PlainAction(name, play, note))
        return play

    return add
