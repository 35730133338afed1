"""What went wrong in the author's code, in one sentence that ends with its own last line."""

from __future__ import annotations

import linecache
from pathlib import Path
from types import TracebackType


class AuthorError(Exception):
    """The code cannot say what its checkpoint computes, and why."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def explain(error: BaseException, folder: Path) -> str:
    """`line 12 of model.py, in forward, x = self.foo(x): AttributeError: ...`."""
    frame = _last_frame(error.__traceback__, folder)
    said = " ".join(str(error).split())[:300]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if frame is None:
        return what
    path, number, function = frame
    line = linecache.getline(path, number).strip()[:120]
    place = f"line {number} of {Path(path).name}"
    place += "" if function == "<module>" else f", in {function}"
    return f"{place}, `{line}`: {what}" if line else f"{place}: {what}"


def _last_frame(trace: TracebackType | None, folder: Path) -> tuple[str, int, str] | None:
    """The innermost frame in a file below `folder`."""
    found = None
    while trace is not None:
        code = trace.tb_frame.f_code
        if Path(code.co_filename).is_relative_to(folder):
            found = code.co_filename, trace.tb_lineno, code.co_name
        trace = trace.tb_next
    return found
