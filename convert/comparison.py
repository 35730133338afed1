"""`diff A B`: what differs between two models, each a GGUF or a checkpoint.

It promises to compare weights as numbers, whatever types they are stored in, in memory that follows
a block of rows; and, of two GGUFs with one tokenizer, what they compute on a text. Exit codes as
diff has them: 0 no differences beyond rounding, 1 differences, 2 trouble, 130 interrupted.

Rounding is half a unit in the last place of the less exact of the two types where both are floats,
and nothing at all where they are one type. A quantised type always differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.answers import add_flags, read_answers
from convert.author.command import add_options, read_options
from convert.cli import INTERRUPTED, run
from convert.progress import Progress
from convert.wording import printable

DIFFERENT, TROUBLE = 1, 2


def main(argv: Sequence[str]) -> int:
    """Compare two models; the exit code."""
    arguments = _parser().parse_args(argv)
    differs = False

    def show(progress: Progress) -> None:
        nonlocal differs
        from convert.differences import compare  # numpy and gguf: 400 ms
        from convert.differences_text import describe

        report = compare(
            arguments.a,
            arguments.b,
            progress,
            text=arguments.text,
            logits=not arguments.weights,
            tolerance=arguments.tolerance,
            answers=read_answers(arguments),
            code=read_options(arguments),
        )
        differs = not report["same"]
        progress("difference", **report)
        if not arguments.json:
            n = None if arguments.all else 20
            sys.stdout.writelines(f"{printable(line)}\n" for line in describe(report, n))

    code = run(arguments.json, show, ("diff", *argv))
    if code:
        return code if code == INTERRUPTED else TROUBLE
    return DIFFERENT if differs else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatapp diff",
        description="Compare two models, tensor by tensor; each a GGUF or a checkpoint.",
        epilog="Exit codes: 0 no differences beyond rounding, 1 differences, 2 trouble.",
    )
    add = parser.add_argument
    add("a", metavar="A", type=Path, help="a GGUF, a checkpoint, or its folder")
    add("b", metavar="B", type=Path, help="what it is compared with")
    add(
        "--text",
        metavar="FILE",
        type=Path,
        help="text for the logits, and for how a hand-written model was built",
    )
    add("--weights", action="store_true", help="compare weights and metadata only, not logits")
    add("--all", action="store_true", help="list every tensor, not the 20 that differ most")
    add("--tolerance", metavar="X", type=float, help="relative error that counts as rounding")
    add("--json", action="store_true", help="print one JSON object")
    add_flags(parser.add_argument_group("what a checkpoint does not say"))
    add_options(add)
    return parser
