"""The prompt in the user's own editor, `$VISUAL` or `$EDITOR`, while the chat goes on behind it.

The editor has the terminal; the event loop runs, so that an answer is still received and kept.
Whatever goes wrong there, the text is not lost: it comes back only from an editor that ended well.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from textual.app import App, SuspendNotSupported

from chatapp.errors import ChatAppError, UsageError

_KNOWN = ("nano", "vim", "vi", "emacs") if sys.platform != "win32" else ("notepad",)
"""Editors that are looked for when no variable names one."""


def find_editor() -> list[str]:
    """The program and its arguments; `UsageError` where there is none."""
    for name in ("VISUAL", "EDITOR"):
        wanted = os.environ.get(name, "").strip()
        if not wanted:
            continue
        try:
            words = shlex.split(wanted, posix=sys.platform != "win32")
        except ValueError as error:
            raise UsageError(f"${name} cannot be read: {error}.", f"It is: {wanted}") from error
        if not words or shutil.which(words[0]) is None:
            raise UsageError(
                f"${name} names {words[0] if words else 'no program'}, which is not there.",
                f"Set ${name} to an editor, as in `export {name}=nano`.",
            )
        return words
    for name in _KNOWN:
        if shutil.which(name):
            return [name]
    raise UsageError("No editor was found.", "Set $EDITOR to one, as in `export EDITOR=nano`.")


async def edit_text(app: App[None], text: str) -> str:
    """`text` as the user leaves it in the editor; `ChatAppError` if that did not end well."""
    words = find_editor()
    with tempfile.TemporaryDirectory(prefix="chatapp-") as folder:  # its mode is 0700
        path = Path(folder) / "message.md"
        path.touch(mode=0o600)
        path.write_bytes(text.encode("utf-8", "replace"))
        try:
            await lend_terminal(app, [*words, str(path)])
        except UsageError:
            raise
        except ChatAppError as error:
            raise ChatAppError(error.message, "The message is as it was.") from error
        try:
            written = path.read_bytes()
        except OSError as error:
            raise ChatAppError(
                f"The editor {words[0]} left no file: {error.strerror}.",
                "The message is as it was.",
            ) from error
    edited = written.decode("utf-8-sig", "replace")
    return edited if text.endswith("\n") else edited.removesuffix("\n").removesuffix("\r")


async def lend_terminal(app: App[None], command: Sequence[str]) -> None:
    """Run a program on the terminal, in the place of the chat; `ChatAppError` if it fails there."""
    try:
        with app.batch_update(), app.suspend(), _interrupts_are_the_programs():
            code = await (await asyncio.create_subprocess_exec(*command)).wait()
    except SuspendNotSupported as error:
        raise UsageError("This terminal cannot be lent to another program.") from error
    except OSError as error:
        raise ChatAppError(f"{command[0]} cannot be started: {error.strerror}.") from error
    finally:
        app.refresh(layout=True)
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise ChatAppError(f"{command[0]} {how}.")


@contextlib.contextmanager
def _interrupts_are_the_programs() -> Iterator[None]:
    """Ctrl+C reaches every program on the terminal: here it is nothing to us. A handler, unlike
    being ignored, ends with `exec`, so that the editor hears it."""
    try:
        before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    except ValueError:  # not the main thread: there are no signals here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
