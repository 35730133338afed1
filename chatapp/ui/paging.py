"""A text in the user's own pager, `$PAGER`, while the chat goes on behind it."""

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from textual.app import App

from chatapp.errors import UsageError
from chatapp.text import strip_controls
from chatapp.ui.editor import lend_terminal

_KNOWN = ("less", "more") if sys.platform != "win32" else ("more.com",)
"""Pagers that are looked for when `$PAGER` names none."""


def find_pager() -> list[str]:
    """The program and its arguments; `UsageError` where there is none."""
    wanted = os.environ.get("PAGER", "").strip()
    if wanted:
        try:
            words = shlex.split(wanted, posix=sys.platform != "win32")
        except ValueError as error:
            raise UsageError(f"$PAGER cannot be read: {error}.", f"It is: {wanted}") from error
        if not words or shutil.which(words[0]) is None:
            raise UsageError(
                f"$PAGER names {words[0] if words else 'no program'}, which is not there.",
                "Set $PAGER to a pager, as in `export PAGER=less`.",
            )
        return words
    for name in _KNOWN:
        if shutil.which(name):
            return [name]
    raise UsageError("No pager was found.", "Set $PAGER to one, as in `export PAGER=less`.")


async def page_text(app: App[None], text: str, extension: str) -> None:
    """Show `text` in the pager, as a file with that extension; it is gone afterwards."""
    words = find_pager()
    with tempfile.TemporaryDirectory(prefix="chatapp-") as folder:  # its mode is 0700
        path = Path(folder) / f"code.{extension}"
        path.write_text(strip_controls(text), encoding="utf-8")
        await lend_terminal(app, [*words, str(path)])
