"""Links in what was said: found, and opened when the user says so, by the system's own opener.

Only addresses that a browser or a mail program opens are handed on. A browser for terminals is
never started: it would write over the chat.
"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping

from chatapp.errors import ChatAppError, UsageError
from chatapp.text import strip_controls
from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.wording import clean_line

SCHEMES = ("http", "https", "mailto")

TIMEOUT_S = 3.0
"""An opener that runs longer has become the browser itself."""

_WINDOWS = "explorer.exe"
"""Seen from Linux on Windows; it leaves with status 1 when it has opened an address, too."""


def find_links(content: str) -> list[str]:
    """Where the links of a message lead, each once, in their order."""
    document = StreamingMarkdown(strip_controls(content))
    document.finish()
    return list(dict.fromkeys(link.href for link in document.links() if link.href))


def opener(environ: Mapping[str, str], platform: str = sys.platform) -> tuple[str, ...]:
    """The program that opens an address in the user's desktop; `UsageError` where there is none."""
    path = environ.get("PATH")
    if platform == "darwin":
        return ("open",)
    if "WSL_DISTRO_NAME" in environ:
        for name in ("wslview", _WINDOWS):
            if shutil.which(name, path=path):
                return (name,)
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        raise UsageError("There is no desktop here to open the link in.", "C copies it instead.")
    if shutil.which("xdg-open", path=path):
        return ("xdg-open",)
    if shutil.which("gio", path=path):
        return ("gio", "open")
    raise UsageError("No program that opens links was found.", "C copies the link instead.")


async def open_link(href: str) -> str:
    """Open an address; what was done, in a sentence."""
    address = clean_line(href)
    scheme = address.partition(":")[0].lower()
    if scheme not in SCHEMES or address != href:
        raise UsageError(
            f"chatapp opens addresses of the web and of mail only: {address}", "C copies the link."
        )
    if sys.platform == "win32":
        os.startfile(address)  # noqa: S606 - one of SCHEMES, no file
        return f"Opened {address}"
    command = opener(os.environ)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            address,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ChatAppError(f"{command[0]} cannot be started: {error.strerror}.") from error
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_S):
            if await process.wait() and command != (_WINDOWS,):
                raise ChatAppError(f"{command[0]} could not open {address}.", "C copies the link.")
    return f"Opened {address}"
