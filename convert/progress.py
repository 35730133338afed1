"""What a conversion says while it runs: events, as JSON lines for a program or text for a person.

Events: `step` (name), `progress` (step, done, total), `note` (text), `plan`, `proof`, `done`,
`error` (message, hint, lasting). A consumer ignores events it does not know.
"""

from __future__ import annotations

import json
import os
from typing import Any, Protocol, TextIO

from chatapp.gguf.size import size_text
from convert.wording import describe_plan, describe_proof, printable


class Progress(Protocol):
    """Receives the events of one conversion, in order."""

    def __call__(self, event: str, **fields: Any) -> None:
        """`event` happened."""


def silent(event: str, **fields: Any) -> None:
    """A progress that says nothing."""


class JsonLines:
    """One JSON object a line, flushed at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: str, **fields: Any) -> None:
        """Write the event. A reader that has gone away cancels the conversion."""
        line = json.dumps({"event": event, **fields}, allow_nan=False)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except BrokenPipeError:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  (else Python's exit fails too)
                os.dup2(nowhere.fileno(), self._stream.fileno())
            raise KeyboardInterrupt from None


class Human:
    """Sentences; on a terminal also a line that counts."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._counting = False

    def __call__(self, event: str, **fields: Any) -> None:
        """Say what a person wants to know of the event."""
        if event == "progress":
            self._count(fields["step"], fields["done"], fields["total"])
            return
        self._end_count()
        for line in _sentences(event, fields):
            self._stream.write(line + "\n")
        self._stream.flush()

    def _count(self, step: str, done: int, total: int) -> None:
        if self._stream.isatty() and total:
            self._stream.write(f"\r{step}: {done * 100 // total:3d} %")
            self._stream.flush()
            self._counting = True

    def _end_count(self) -> None:
        if self._counting:
            self._stream.write("\r\x1b[K")
            self._counting = False


def _sentences(event: str, fields: dict[str, Any]) -> list[str]:
    if event == "plan":
        return describe_plan(fields)
    if event == "note":
        return [printable(fields["text"])]
    if event == "proof":
        return describe_proof(fields)
    if event == "done":
        output = printable(fields["output"])
        return [f"Wrote {output} ({size_text(fields['bytes'])}, {fields['seconds']} s)."]
    return []
