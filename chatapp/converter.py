"""The converter as the app sees it: start `python -m convert`, read its events, stop it.

Owns one child process at a time. Promises that none outlives the app: a stopped converter is asked
first (SIGTERM: it removes what it wrote), then killed, and its unfinished file is removed here. If
the app itself is killed the converter sees its stdin end, and ends as if it had been asked.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chatapp.errors import ConversionError
from chatapp.gguf.processes import OWN_SESSION
from chatapp.launcher import launch_with_us

STOP_TIMEOUT_S = 10.0
"""How long a converter may take to tidy up; a step in C code ends before a signal is looked at."""

_MAX_LINE_BYTES = 64 << 20  # a plan names every tensor that is left out
_TAIL_BYTES = 4096
_PART_SUFFIXES = (".part", ".source.part")

Event = dict[str, Any]


class Converter:
    """At most one conversion."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._output: Path | None = None
        self._tail = b""
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Process id of the running converter."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def run(
        self, arguments: list[str], output: Path | None = None
    ) -> AsyncGenerator[Event, None]:
        """Events of `python -m convert --json ARGUMENTS`, which writes to `output` if anywhere.

        Raises `ConversionError` for what the converter refuses, and when it ends by itself. Ends
        without a `done` event after `stop`. Leaving the loop early stops the converter.
        """
        await self.stop()
        self._stopping, self._tail, self._output = False, b"", output
        process = self._process = await asyncio.create_subprocess_exec(
            *launch_with_us("convert", "--json", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MAX_LINE_BYTES,
            **OWN_SESSION,  # a Ctrl+C in the terminal is for the UI alone
        )
        drain = asyncio.create_task(self._drain(process))
        refusal: Event | None = None
        try:
            assert process.stdout is not None
            while line := await process.stdout.readline():
                event = _decode(line)
                if event.get("event") == "error":
                    refusal = event
                elif event:
                    yield event
            await asyncio.wait([drain], timeout=1.0)
            code = await process.wait()
        finally:
            await self.stop()
            drain.cancel()
        self._raise_if_failed(code, refusal)

    def _raise_if_failed(self, code: int, refusal: Event | None) -> None:
        if self._stopping or code == 0:
            return
        if refusal is not None:
            asked = refusal.get("questions", [])
            questions = [q for q in asked if isinstance(q, dict)] if isinstance(asked, list) else []
            raise ConversionError(
                str(refusal.get("message", "")),
                str(refusal.get("hint", "")),
                questions,
                is_lasting=refusal.get("lasting") is True,
            )
        self._remove_parts()
        lines = [line.strip() for line in self._tail.decode("utf-8", "replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "it printed nothing")
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise ConversionError(
            f"The converter ended ({how}): {last[:300]}",
            "If it was killed, memory may have run out: try --parity off.",
        )

    async def stop(self) -> None:
        """End the conversion and leave nothing of it. Safe to call twice."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._stopping = True
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._remove_parts()

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(65_536):
            self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def _remove_parts(self) -> None:
        """What a killed converter could not remove itself."""
        for suffix in _PART_SUFFIXES if self._output is not None else ():
            assert self._output is not None
            with contextlib.suppress(OSError):
                self._output.with_name(self._output.name + suffix).unlink(missing_ok=True)


def _decode(line: bytes) -> Event:
    """One event; {} for what is none, such as a library's own words on stdout."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def can_compare_logits() -> bool:
    """Whether PyTorch is installed; it is not imported."""
    return find_spec("torch") is not None
