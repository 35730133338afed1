"""The process that renders chat templates: started, watched and killed by `sandbox.py`.

A template comes with the model, so it is untrusted code. It runs in Jinja's immutable sandbox (no
attribute of Python objects can be reached, nothing passed in can be changed), in a process that
holds nothing else. What a template takes of memory and time is bounded by the parent; the limits
set here hold where the parent has died. This file is run as a script and imports jinja2 alone.

Frames on stdin and stdout: four bytes of length, then JSON in UTF-8. The first one out says that
the process is ready; then each request (source, values) has one reply (text, or error).
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MOST_TEMPLATES = 8  # compiled ones that are kept
_SHOWN = 300  # characters of a reason


def make_environment() -> jinja2.Environment:
    """What a template finds, as transformers has it."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _to_json(value: Any, indent: int | None = None, **_ignored: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateRuntimeError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


class _Templates:
    """Templates that were compiled before."""

    def __init__(self) -> None:
        self._environment = make_environment()
        self._compiled: dict[str, jinja2.Template] = {}

    def render(self, request: dict[str, Any]) -> dict[str, str]:
        """The reply to one request."""
        source = request["source"]
        try:
            template = self._compiled.pop(source, None) or self._environment.from_string(source)
        # Jinja and Python's own compiler, given a program that somebody else wrote.
        except Exception as error:  # noqa: BLE001
            return {"error": f"is not valid Jinja: {_say(error)}"}
        self._compiled[source] = template
        if len(self._compiled) > _MOST_TEMPLATES:
            del self._compiled[next(iter(self._compiled))]
        if request["values"] is None:
            return {"text": ""}
        try:
            return {"text": template.render(request["values"])}
        # A template may raise anything Python can raise while it runs; none of it is ours.
        except Exception as error:  # noqa: BLE001
            return {"error": f"failed: {type(error).__name__}: {_say(error)}"}


def _say(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than a template may have"
    return str(error)[:_SHOWN].rstrip(".")


def _limit_memory(n_bytes: int) -> None:
    """Bound the address space, where the system lets us: the parent bounds what is in use."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        total = pages * os.sysconf("SC_PAGE_SIZE") + n_bytes
        resource.setrlimit(resource.RLIMIT_AS, (total, total))
    except (OSError, ValueError):
        pass
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(stream: BinaryIO) -> Any:
    """The next frame's value; None at the end."""
    head = stream.read(4)
    data = stream.read(int.from_bytes(head, "big"))
    return json.loads(data.decode("utf-8", "surrogatepass")) if len(head) == 4 and data else None


def _write(stream: BinaryIO, value: Any, most: int) -> None:
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(data) > most:
        data = json.dumps({"error": f"writes more than {most >> 20} MiB of text"}).encode()
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


def _guarded(work: Callable[[], None], seconds: float) -> None:
    """Do `work`; the system ends this process when it takes longer, whoever is left to watch."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        work()
    except MemoryError:
        os._exit(1)
    signal.setitimer(signal.ITIMER_REAL, 0)


def main(n_bytes: int, seconds: float, most: int) -> None:
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    templates = _Templates()
    _limit_memory(n_bytes)
    _write(replies, {"text": "ready"}, most)
    while (request := _read(requests)) is not None:

        def answer(request: dict[str, Any] = request) -> None:
            _write(replies, templates.render(request), most)

        _guarded(answer, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
