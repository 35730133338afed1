"""The three standard streams, whatever the shell gave us: closed ones, full disks, other locales.

Promises that descriptors 0 to 2 are open, so that no database ever gets number 2 and a library's
complaint written into it; that stdout is UTF-8 in a pipe; that stderr, which is talk, fails nobody.
"""

import contextlib
import io
import os
import sys


class _Talk(io.TextIOWrapper):
    """Standard error. What cannot be said (a full disk, a reader that left) is no failure."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def prepare_streams() -> None:
    """Put usable streams in the place of those that are missing or can fail."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # started with `<&-`, `>&-` or `2>&-`
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace", closefd=False)
    elif isinstance(sys.stdout, io.TextIOWrapper):
        # UTF-8 in a pipe whatever the locale, and a `?` for what a terminal cannot show.
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="replace")
    if sys.stderr is None or isinstance(sys.stderr, io.TextIOWrapper):
        encoding = None if sys.stderr is None else sys.stderr.encoding
        raw = io.FileIO(2, "w", closefd=False)  # unbuffered: nothing is left to fail at the exit
        sys.stderr = _Talk(raw, encoding, "backslashreplace", write_through=True)


def silence_stdout() -> None:
    """Keep the interpreter from trying once more, at its exit, to write what could not be."""
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, 1)
    os.close(handle)
