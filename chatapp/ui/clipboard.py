"""The clipboard: which way a text went there, and whether it can be known that it arrived.

Three ways, the surest first: a program of the desktop (where there is one, and we are not on the
other side of SSH); tmux's buffer, from where tmux hands it to its terminal; OSC 52, an escape
sequence to the terminal. The surprising fact: with tmux's `set-clipboard external`, its default,
or `off`, an OSC 52 from a program inside never arrives, while `load-buffer -w` (tmux 3.2) does,
whatever is set. No terminal says what it made of an OSC 52.
"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chatapp.text import strip_controls
from chatapp.ui.wording import grouped

MAX_OSC52 = 74_994
"""Bytes that terminals take by OSC 52: as base64, with its frame, they are 100 000."""

TIMEOUT_S = 3.0
"""A clipboard program that takes longer talks to a display that does not answer."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that puts its stdin on the clipboard."""

    command: tuple[str, ...]
    needs: str = ""
    """The variable that says there is a display it can talk to."""
    encoding: str = "utf-8"


_TOOLS = (
    Tool(("wl-copy",), "WAYLAND_DISPLAY"),
    Tool(("xclip", "-selection", "clipboard", "-in"), "DISPLAY"),
    Tool(("xsel", "--clipboard", "--input"), "DISPLAY"),
    Tool(("clip.exe",), "WSL_DISTRO_NAME", "utf-16-le"),
)
_MACOS = (Tool(("pbcopy",)),)
_WINDOWS = (Tool(("clip.exe",), encoding="utf-16-le"),)


class Clipboard:
    """Copies texts; each time it says how."""

    def __init__(
        self,
        emit: Callable[[str], bool],
        *,
        large: Callable[[], Path | None],
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
    ) -> None:
        """`emit` sends a text by OSC 52; False: there is no terminal. `large` gives the file
        for what is too much for one, or has none; None: nothing is written to the disk."""
        self._emit = emit
        self._large = large
        self._environ = environ
        self._platform = platform
        self._one = asyncio.Lock()

    async def copy(self, text: str) -> str:
        """Copy `text` without control characters; how that went, in a sentence or two. Texts that
        are copied one after the other arrive so."""
        async with self._one:
            return await self._copy(strip_controls(text))

    async def _copy(self, text: str) -> str:
        for tool in self._tools():
            if await _feed(tool.command, text.encode(tool.encoding, "replace")):
                return f"It is on the clipboard ({tool.command[0]})."
        if self._environ.get("TMUX") and (note := await self._copy_to_tmux(text)):
            return note
        return await self._send(text)

    def _tools(self) -> list[Tool]:
        """The programs that reach the clipboard of whoever sits there."""
        if any(self._environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
            return []
        known = {"darwin": _MACOS, "win32": _WINDOWS}.get(self._platform, _TOOLS)
        path = self._environ.get("PATH")
        return [
            tool
            for tool in known
            if (not tool.needs or self._environ.get(tool.needs))
            and shutil.which(tool.command[0], path=path)
        ]

    async def _copy_to_tmux(self, text: str) -> str:
        """Empty: tmux did not take it."""
        data = text.encode("utf-8", "replace")
        if await _feed(("tmux", "load-buffer", "-w", "-"), data):
            return "tmux has it; whether your terminal took it too cannot be known."
        if not await _feed(("tmux", "load-buffer", "-"), data):
            return ""
        setting = await _ask(("tmux", "show-options", "-sv", "set-clipboard"))
        if setting == "on" and len(data) <= MAX_OSC52 and self._emit(text):
            return "tmux has it; whether your terminal took it too cannot be known."
        why = f"set-clipboard is {setting}" if setting != "on" else "it is too much for a terminal"
        return f"Only tmux has it ({why}): its prefix and ] put it in."

    async def _send(self, text: str) -> str:
        size, large = len(text.encode("utf-8", "replace")), self._large()
        if size > MAX_OSC52 and large is not None:
            where = await asyncio.to_thread(_write, large, text)
            return f"It is too much for a terminal to take ({_kb(size)}): {where}."
        if not self._emit(text):
            if large is None:
                return "But there is no clipboard here to take it."
            where = await asyncio.to_thread(_write, large, text)
            return f"There is no clipboard here: {where}."
        if size > MAX_OSC52:
            return f"It was sent to the terminal, but most drop what is over {_kb(MAX_OSC52)}."
        if self._environ.get("STY"):
            return "It was sent to GNU screen, which does not hand it on to the terminal."
        return "It was sent to the terminal, which does not say whether it took it."


def _kb(size: int) -> str:
    return f"{grouped(size // 1000)} kB"


def _write(path: Path, text: str) -> str:
    """Put the text into a file; where it is, as the end of a sentence."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        return f"nor can {path} be written ({error.strerror or error})"
    return f"it is in {path}"


async def _feed(command: tuple[str, ...], data: bytes) -> bool:
    """Give a program `data`. False: it could not be started, failed or did not end in time. What it
    leaves running owns the selection, as on X11 somebody must; so it stands apart from us."""
    return await _run(command, data, asyncio.subprocess.DEVNULL) is not None


async def _ask(command: tuple[str, ...]) -> str:
    return (await _run(command, b"", asyncio.subprocess.PIPE) or b"").decode().strip()


async def _run(command: tuple[str, ...], data: bytes, stdout: int) -> bytes | None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, _ = await process.communicate(data)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return None
    return (out or b"") if process.returncode == 0 else None
