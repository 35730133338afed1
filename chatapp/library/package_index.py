"""One wheel from the Python package index, through the pip or the uv of the user.

Promises: nothing is installed; no dependency comes along; the tool is told only what to fetch and
where to, so its settings, its index, its proxy and its certificates count; it asks no question.
How far it is is seen from the file that grows, since pip shows that in a machine's words only from
24.1 on, and uv not at all.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatapp.errors import HubError
from chatapp.gguf.processes import OWN_SESSION
from chatapp.library.fetching import Cancelled, Progress
from chatapp.text import strip_controls

_TICK_S = 0.1
_MAX_LOG = 200_000
_UNREACHED = re.compile(
    r"Retrying|NewConnectionError|Failed to establish|Max retries|timed? ?out|dns error"
    r"|error sending request|[Cc]ould not connect|Connection refused|Name or service not known",
)
_REASONS = (
    (
        re.compile(r"No space left|Errno 28|[Dd]isk quota"),
        "The disk became full.",
        "Free some space, and try again. CHATAPP_HOME moves the folder.",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|UnknownIssuer|SSLError"),
        "The certificate of the package index is not trusted.",
        "Name the authority: PIP_CERT for pip, SSL_CERT_FILE for uv.",
    ),
    (
        re.compile(r"ProxyError|[Pp]roxy"),
        "The package index cannot be reached through the proxy.",
        "Check HTTPS_PROXY, and the proxy in pip's settings: pip config list",
    ),
    (
        _UNREACHED,
        "The Python package index cannot be reached.",
        "Check the network, the proxy variables, and which index pip is set to: pip config list",
    ),
    (
        re.compile(r"\b(401|403)\b|[Uu]nauthorized|[Ff]orbidden|[Cc]redentials"),
        "The package index does not let pip in.",
        "Check the user and the password in pip's settings: pip config list",
    ),
    (
        re.compile(
            r"No matching distribution|not found in the package registry|no version of|\b404\b"
        ),
        "The package index has no {wheel}.",
        "A mirror may carry only some packages; pip config list says which index is asked.",
    ),
)
_COMPLAINT = re.compile(r"(WARNING|ERROR|error|cause|Caused by|Could not fetch|OSError)\b|.*Errno")
"""How the lines begin that say what went wrong; -vv makes pip say it, and much else."""
_PASSWORD = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the index."""

    project: str
    version: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


class _MissingTool(Exception):  # noqa: N818 -- the next one is tried
    """The tool is not there, or does not start."""


def download(
    wheel: Wheel,
    scratch: Path,
    *,
    largest: int,
    report: Callable[[Progress], None],
    is_cancelled: Callable[[], bool],
) -> Path:
    """Fetch `wheel` into the empty folder `scratch`: the path of the wheel, or of the folder into
    which it was unpacked. No file of more than twice `largest` bytes is waited for.
    """
    if os.environ.get("CHATAPP_OFFLINE"):
        raise HubError("chatapp was started with --offline. No request was made.")
    failures: list[HubError] = []
    for command, found in _list_tools(wheel, scratch):
        try:
            _run(command, wheel, scratch, 2 * largest, report, is_cancelled)
        except _MissingTool:
            continue
        except HubError as error:
            failures.append(error)
            continue
        if found.is_dir():
            return found
        for path in scratch.glob("*.whl"):
            return path
        failures.append(HubError(f"{command[0]} fetched no wheel of {wheel}."))
    if failures:
        raise failures[0]
    raise HubError(
        "There is neither pip nor uv here to fetch it with.",
        f"Install one (`{sys.executable} -m ensurepip`, or uv), and try again.",
    )


def _list_tools(wheel: Wheel, scratch: Path) -> list[tuple[list[str], Path]]:
    """Commands that fetch `wheel`, best first, and where an unpacked one is found afterwards."""
    pinned = f"{wheel.project}=={wheel.version}"
    binary = ["--no-deps", "--only-binary", ":all:"]
    unpacked = scratch / "unpacked"
    wanted = [
        "download",
        *binary,
        "--no-input",
        "-vv",
        "--progress-bar",
        "off",
        "-d",
        str(scratch),
        pinned,
    ]
    tools: list[tuple[list[str], Path]] = []
    if importlib.util.find_spec("pip") is not None:
        tools.append(([sys.executable, "-P", "-m", "pip", *wanted], unpacked))
    elif pip := shutil.which("pip3") or shutil.which("pip"):
        tools.append(([pip, *wanted], unpacked))
    if uv := shutil.which("uv"):
        into = ["--target", str(unpacked), "--cache-dir", str(scratch / "cache")]
        python = ["--python", sys.executable, "--no-progress"]
        tools.append(([uv, "pip", "install", *into, *binary, *python, pinned], unpacked))
    return tools


def _run(
    command: list[str],
    wheel: Wheel,
    scratch: Path,
    limit: int,
    report: Callable[[Progress], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Run a tool to its end, reporting what has come. `Cancelled` ends it."""
    log = scratch / "log"
    folder = str(scratch)  # what comes lies on the disk whose room was looked at
    environ = os.environ | {"TMPDIR": folder, "TEMP": folder, "TMP": folder, "NO_COLOR": "1"}
    environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0"}
    progress = Progress(wheel.size_bytes)
    report(progress)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                **OWN_SESSION,  # Ctrl+C is ours; the tool is ended as a whole
            )
    except OSError as error:
        raise _MissingTool from error
    try:
        while _is_running(process):
            if is_cancelled():
                raise Cancelled
            _look(scratch, log, progress, limit, wheel)
            report(progress)
    finally:
        _end(process)
    if process.returncode != 0:
        raise _explain(_read_log(log), command, wheel)


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_TICK_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _look(scratch: Path, log: Path, progress: Progress, limit: int, wheel: Wheel) -> None:
    """Bring `progress` to what has come: the largest file is the one that grows."""
    # a walk passes over folders that the tool removes meanwhile; `rglob` fails at them
    files = (Path(folder, name) for folder, _, names in os.walk(scratch) for name in names)
    held = max(map(_size, files), default=0)
    if held > limit:
        raise HubError(f"More came than {wheel} has.", "The package index is at fault.")
    new = min(held, progress.total) - progress.done
    if new > 0:
        progress.note = ""
        progress.add(new)
    elif not progress.done and "Retrying" in _read_log(log):
        progress.note = "The package index does not answer."


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _explain(said: str, command: list[str], wheel: Wheel) -> HubError:
    """What a tool complained of, as a sentence."""
    if "No module named pip" in said:
        raise _MissingTool
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if _COMPLAINT.match(line)]
    for pattern, message, hint in _REASONS:
        if any(map(pattern.search, errors)):
            return HubError(message.format(wheel=wheel), hint)
    errors = errors or lines or ["it said nothing"]
    tool = "uv" if Path(command[0]).stem == "uv" else "pip"
    reason = _PASSWORD.sub(r"\1***@", errors[-1])[:300]
    return HubError(f"{tool} could not fetch {wheel}: {reason}")


def _read_log(log: Path) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, _size(log) - _MAX_LOG))
        return strip_controls(file.read(_MAX_LOG).decode("utf-8", "replace"))
    return ""


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
