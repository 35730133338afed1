"""What a conversion says while it runs: events, as JSON lines for a program or text for a person.

Events: `step` (name), `progress` (step, done, total), `note` (text), `plan`, `proof`, `done`,
`error` (message, hint). A consumer ignores events it does not know.
"""

from __future__ import annotations

import json
import os
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """Receives the events of one conversion, in order."""

    def __call__(self, event: str, **fields: Any) -> None:
        """`event` happened."""


def silent(event: str, **fields: Any) -> None:
    """Says nothing."""


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
        for line in _sentences(event, fields):
            self._end_count()
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
        return [f"Tokenizer: {_tokenizer(fields['tokenizer'])}", f"Parity: {_parity(fields)}"]
    if event == "done":
        output = printable(fields["output"])
        return [f"Wrote {output} ({megabytes(fields['bytes'])}, {fields['seconds']} s)."]
    return []


def describe_plan(plan: dict[str, Any]) -> list[str]:
    """The plan as lines of text."""
    lines = [f"Source:  {plan['source']} ({plan['format']})"]
    lines += [f"         {line}" for line in plan["evidence"]]
    lines.append(
        f"Model:   {plan['arch']}, {plan['n_weights'] / 1e6:.1f} M weights, "
        f"{plan['n_tokens']} tokens"
    )
    sizes = ", ".join(f"{name} {megabytes(size)}" for name, size in plan["sizes"].items())
    lines.append(f"Output:  {plan['output']} as {plan['type']} ({plan['type_reason']})")
    lines.append(f"Weights: {sizes}")
    lines += [f"Left out: {name}: {reason}" for name, reason in plan["ignored"][:8]]
    if len(plan["ignored"]) > 8:
        lines.append(f"Left out: {len(plan['ignored']) - 8} more")
    lines += [f"Note:    {note}" for note in plan["notes"]]
    return [printable(line) for line in lines]


def megabytes(size: int) -> str:
    """`size` in bytes, for people."""
    return f"{size / 1e6:.1f} MB"


def printable(text: str) -> str:
    """`text` without control characters: names in a checkpoint may hold terminal escapes."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _tokenizer(report: dict[str, Any]) -> str:
    return f"{report['texts']} texts, no difference ({report['compared_with']})"


def _parity(fields: dict[str, Any]) -> str:
    report = fields["parity"]
    if report["status"] != "measured":
        return f"not run: {report['reason']}"
    return (
        f"top-1 {report['top1']:.2%}, KL mean {report['kl_mean']:.2g} max {report['kl_max']:.2g}, "
        f"NMSE {report['nmse']:.2g}, perplexity {report['perplexity_source']:.5g} -> "
        f"{report['perplexity_file']:.5g} on {report['tokens']} tokens"
    )
