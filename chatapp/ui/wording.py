"""Numbers and names as people read them. Names may come from hostile files: they are cleaned."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from chatapp.engine.protocol import PrefillProgress
from chatapp.errors import ChatAppError
from chatapp.gguf.size import size_text
from chatapp.text import strip_controls

if TYPE_CHECKING:
    from chatapp.gguf.fit import Machine


def clean_line(text: str) -> str:
    """One line without control characters, whatever the text was."""
    return " ".join(strip_controls(text).split())


def grouped(number: int) -> str:
    """`12345` as `12 345`."""
    return f"{number:,}".replace(",", " ")


def count_characters(text: str) -> str:
    """`1 character`, `1 234 characters`."""
    return "1 character" if len(text) == 1 else f"{grouped(len(text))} characters"


def count_lines(text: str) -> str:
    """`1 line`, `1 234 lines`; an end of a line at the end begins none."""
    count = text.removesuffix("\n").count("\n") + 1
    return "1 line" if count == 1 else f"{grouped(count)} lines"


def rate(number: float) -> str:
    """A speed with no more digits than mean something."""
    return f"{number:.1f}" if number < 100 else grouped(round(number))


def when_text(timestamp: float, now: datetime) -> str:
    """`14:05` today, `Mon` this week, else `12 Nov` or `Nov 2024`."""
    then = datetime.fromtimestamp(timestamp).astimezone()
    days = (now.date() - then.date()).days
    if days <= 0:
        return then.strftime("%H:%M")
    if days < 7:
        return then.strftime("%a")
    return then.strftime("%d %b" if then.year == now.year else "%b %Y")


def moment_text(timestamp: float, now: datetime) -> str:
    """`14:05` today, else with the day before it: `Mon 14:05`, `12 Nov 2024 14:05`."""
    then = datetime.fromtimestamp(timestamp).astimezone()
    days = (now.date() - then.date()).days
    if days <= 0:
        return then.strftime("%H:%M")
    if days < 7:
        return then.strftime("%a %H:%M")
    return then.strftime("%d %b %H:%M" if then.year == now.year else "%d %b %Y %H:%M")


def describe_machine(machine: Machine | None) -> str:
    """What this machine has, in one line."""
    if machine is None:
        return "llama.cpp does not start; `chatapp doctor` says why."
    memory = f"{size_text(machine.total_bytes)} of memory, {size_text(machine.free_bytes)} free"
    if not machine.gpus:
        return f"This machine: {memory}, no GPU that llama.cpp can use."
    gpus = ", ".join(f"{clean_line(g.name)} ({size_text(g.free_bytes)} free)" for g in machine.gpus)
    return f"This machine: {gpus}; {memory}."


def explain(error: ChatAppError) -> str:
    """The error and what to do about it."""
    return strip_controls(f"{error.message}\n{error.hint}".strip())


def prefill_text(progress: PrefillProgress) -> str:
    """`reading 6 144/12 842 · 2 715 tok/s · 3 s left`."""
    text = f"reading {grouped(progress.done)}/{grouped(progress.total)}"
    read = progress.done - progress.reused
    if read <= 0 or progress.elapsed_s <= 0 or progress.done >= progress.total:
        return text
    speed = read / progress.elapsed_s
    left = (progress.total - progress.done) / speed
    return f"{text} · {rate(speed)} tok/s · {left:.0f} s left"


def reading_time(text: str) -> float:
    """Seconds that a sentence is shown: at 20 characters a second, and at least 3."""
    return max(3.0, len(text) / 20)
