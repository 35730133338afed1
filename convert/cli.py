"""`python -m convert`: parses the arguments, and turns every ending into an exit code.

0 converted, 1 failed, 2 wrong usage, 130 interrupted. Data (`--json`) goes to stdout, talk to
stderr. Nothing heavy is imported before the arguments are understood.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from convert.errors import ConvertError
from convert.ftype import FTYPES
from convert.progress import Human, JsonLines, Progress, printable

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one conversion; the exit code."""
    options = _parser().parse_args(argv)
    told: Progress = JsonLines(sys.stdout) if options.json else Human(sys.stderr)
    progress = _Interruptible(told)
    for number in (signal.SIGINT, signal.SIGTERM):  # a parent cancels with SIGTERM
        signal.signal(number, progress.interrupt)
    try:
        _run(options, progress)
    except ConvertError as error:
        _report(error, progress, options.json)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted: nothing was written.\n")
        return INTERRUPTED
    except MemoryError:
        _report(ConvertError("Not enough memory.", "Try --parity off."), progress, options.json)
        return ConvertError.exit_code
    return 0


def _run(options: argparse.Namespace, progress: Progress) -> None:
    from convert.pipeline import convert  # numpy and gguf: 400 ms

    convert(
        options.source,
        options.output,
        ftype=options.quantize,
        parity=options.parity == "auto",
        parity_text=options.parity_text,
        name=options.name,
        license_id=options.license,
        dry_run=options.dry_run,
        force=options.force,
        progress=progress,
    )


def _report(error: ConvertError, progress: Progress, as_json: bool) -> None:
    if as_json:
        progress("error", message=error.message, hint=error.hint)
    sys.stderr.write(printable(f"Error: {error.message}\n"))
    if error.hint:
        sys.stderr.write(printable(f"       {error.hint}\n"))


class _Interruptible:
    """Events on their way; after a signal the next one ends the conversion.

    The signal itself raises too, but Python drops what is raised inside a callback from C code
    (llama.cpp's log). The last event, the proof, comes before the file gets its name.
    """

    def __init__(self, told: Progress) -> None:
        self._told = told
        self._interrupted = False

    def __call__(self, event: str, **fields: Any) -> None:
        """Pass an event on, unless a signal came meanwhile."""
        if self._interrupted and event not in ("done", "error"):
            raise KeyboardInterrupt
        self._told(event, **fields)

    def interrupt(self, _signum: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self._interrupted = True
        raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    types = ", ".join(FTYPES)
    parser = argparse.ArgumentParser(
        prog="convert",
        description="Convert a trained PyTorch checkpoint to a GGUF model file, and prove it.",
    )
    add = parser.add_argument
    add("source", metavar="SRC", type=Path, help="checkpoint (ckpt.pt) or the folder holding it")
    add("-o", "--output", metavar="OUT", type=Path, help="model file to write, or a folder for it")
    add(
        "-q",
        "--quantize",
        metavar="TYPE",
        help=f"weight type: {types} (default: F16)",
    )
    add(
        "--parity",
        choices=("auto", "off"),
        default="auto",
        help="compare the file's logits with PyTorch's, where PyTorch is installed (default: auto)",
    )
    add("--parity-text", metavar="FILE", type=Path, help="text to compare on")
    add("--name", help="the model's name (default: from the file or folder)")
    add("--license", metavar="ID", help="the model's licence, an SPDX id such as MIT")
    add("--dry-run", action="store_true", help="show the plan and write nothing")
    add("--json", action="store_true", help="progress and result as JSON lines on stdout")
    add("--force", action="store_true", help="replace the output if it exists")
    return parser
