"""What is piped in, as text; a pipe on which nothing comes is talked about."""

import sys
import threading

import click

from chatapp.errors import UsageError
from chatapp.input_file import MAX_BYTES

_SILENT_S = 1.0


def read_piped(waiting: str) -> str:
    """All of standard input, without the newlines at its end; nothing from a terminal. `waiting` is
    said when a second has passed. Raises `UsageError` for more than any model reads."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    said = threading.Timer(_SILENT_S, click.echo, (f"chatapp: {waiting}",), {"err": True})
    said.daemon = True
    said.start()
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    finally:
        said.cancel()
    if len(content) > MAX_BYTES:
        raise UsageError(
            f"More than {MAX_BYTES >> 20} MiB came in by the pipe.", "No model reads that."
        )
    return content.decode("utf-8-sig", "replace").rstrip("\n")
