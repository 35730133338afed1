"""Versions, processor, graphics and terminal: what can be known without llama.cpp."""

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatapp import __version__
from chatapp.doctor.report import Report
from chatapp.paths import Paths

_PACKAGES = ("llama-cpp-python", "textual", "sqlite-utils", "click", "msgspec", "jinja2", "gguf")
_OPTIONAL = ("torch", "tokenizers", "sentencepiece")
_FEATURES = ("ssse3", "avx", "avx2", "f16c", "fma", "avx512f", "avx512_vnni", "avx_vnni",
             "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve")  # fmt: skip
"""Processor features llama.cpp's kernels ask for, in the spelling of /proc/cpuinfo."""


def check_versions(report: Report, paths: Paths) -> None:  # noqa: ARG001 - one form for all checks
    """chatapp, Python, SQLite and the packages; no package is imported for it."""
    versions: dict[str, Any] = {
        "chatapp": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
    }
    for name in (*_PACKAGES, *_OPTIONAL):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    report.facts["versions"] = versions
    missing = [name for name in _PACKAGES if versions[name] is None]
    if missing:
        report.add(
            "error",
            "versions",
            f"Not installed: {', '.join(missing)}.",
            "Install chatapp again from its sources: pip install .",
        )


def check_machine(report: Report, paths: Paths) -> None:  # noqa: ARG001
    """Processor and its features, graphics cards as their drivers tell."""
    cpu = _read_cpuinfo()
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    report.facts["machine"] = {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "logical_cores": os.cpu_count(),
        "cpu_features": [name for name in _FEATURES if name in flags],
        "gpus": list_gpus(),
    }


def list_gpus() -> list[str]:
    """Graphics cards with a driver, whether or not llama.cpp can use them."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return ["Apple GPU"]
    found = _ask_nvidia()
    if not found and Path("/proc/driver/nvidia/version").exists():
        found = ["NVIDIA GPU"]
    if Path("/dev/kfd").exists():
        found.append("AMD GPU (ROCm)")
    return found


def _ask_nvidia() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,driver_version,memory.total,memory.free"
    try:
        done = subprocess.run(
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # a broken driver hangs it
        return []
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines if done.returncode == 0 else []


def _read_cpuinfo() -> dict[str, str]:
    """The first processor's entry; empty on systems without the file."""
    try:
        entry = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in entry.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def check_terminal(report: Report, paths: Paths) -> None:  # noqa: ARG001
    """Size, colours and encoding of the terminal we are started in."""
    size = shutil.get_terminal_size()
    interactive = sys.stdout.isatty()
    encoding = (sys.stdout.encoding or "").lower()
    report.facts["terminal"] = {
        "interactive": interactive,
        "columns": size.columns,
        "lines": size.lines,
        "TERM": os.environ.get("TERM"),
        "COLORTERM": os.environ.get("COLORTERM"),
        "TERM_PROGRAM": os.environ.get("TERM_PROGRAM"),
        "multiplexer": "tmux" if "TMUX" in os.environ else "screen" if "STY" in os.environ else "",
        "encoding": encoding,
    }
    if not interactive:
        return
    if os.environ.get("TERM") in (None, "", "dumb"):
        report.add(
            "warning",
            "terminal",
            "TERM is not set or `dumb`: the chat cannot be drawn.",
            "Use another terminal, or `chatapp ask`.",
        )
    if "utf-8" not in encoding and "utf8" not in encoding:
        report.add(
            "warning",
            "terminal",
            f"The terminal's encoding is {encoding}; only English letters will show.",
            "export LANG=C.UTF-8",
        )
    if size.columns < 80 or size.lines < 24:
        report.add(
            "note",
            "terminal",
            f"The terminal is {size.columns}x{size.lines}; 80x24 is comfortable.",
        )
