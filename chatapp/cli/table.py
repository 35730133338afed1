"""Rows of text in columns, sizes and times as people read them. Cells are cleaned: they may come
from hostile files."""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from chatapp.text import extends_cell, strip_controls


def clean_line(text: str) -> str:
    """One line without control characters."""
    return " ".join(strip_controls(text).split())


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their cells; the last one, usually the longest, is not padded."""
    cleaned = [[clean_line(cell) for cell in row] for row in rows]
    table = [list(headers), *cleaned]
    widths = [max(measure(row[i]) for row in table) for i in range(len(headers) - 1)]
    for number, row in enumerate(table):
        cells = [
            cell + " " * (width - measure(cell)) for cell, width in zip(row, widths, strict=False)
        ]
        line = "  ".join([*cells, row[-1]]).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def measure(text: str) -> int:
    """Terminal cells of a text: Chinese takes two, combining marks none, joined emoji two."""
    return sum(
        0
        if extends_cell(char) or (before == "\u200d" and unicodedata.category(char) == "So")
        else 1 + (unicodedata.east_asian_width(char) in "WF")
        for before, char in zip(f" {text}", text, strict=False)
    )


def format_time(seconds: float) -> str:
    """Seconds since 1970 as local time, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def format_duration(seconds: float) -> str:
    """`42 s`, `7 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
