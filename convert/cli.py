"""`python -m convert`: parses the arguments, and turns every ending into an exit code.

0 converted, 1 failed, 2 wrong usage, 130 interrupted. Data (the file's path, or `--json`) goes to
stdout, talk to stderr. Nothing heavy is imported before the arguments are understood. A first
argument that is one of `COMMANDS` runs that instead; a source of that name is given as `./inspect`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from chatapp.gguf.processors import count_threads
from convert.answers import add_flags, read_answers
from convert.author.command import add_options, read_options
from convert.errors import ConvertError
from convert.ftype import FTYPES
from convert.options import PARITY, Options, parse_size
from convert.progress import Human, JsonLines, Progress
from convert.questions import OpenQuestions
from convert.wording import printable

INTERRUPTED = 130
_ENDING = (signal.SIGINT, signal.SIGTERM)  # a parent cancels with SIGTERM
# Each a module with `main(argv)`, imported when asked for.
COMMANDS = {
    "inspect": "convert.inspection",
    "diff": "convert.comparison",
    "quantize": "convert.requantize",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # PyTorch and numpy see the processors, and not that a control group allows less of them: their
    # threads would wait for each other, which takes many times as long.
    os.environ.setdefault("OMP_NUM_THREADS", str(count_threads()))
    if words and words[0] in COMMANDS:
        return int(import_module(COMMANDS[words[0]]).main(words[1:]))
    arguments = _parser().parse_args(words)
    command = ("convert", *words)
    return run(arguments.json, lambda progress: _convert(arguments, progress), command)


def run(as_json: bool, work: Callable[[Progress], int | None], command: Sequence[str] = ()) -> int:
    """Do `work` with progress on the right stream; the exit code, whatever happens.

    `command` is what was typed behind `chatapp`: it is shown with answers to open questions.
    """
    told: Progress = JsonLines(sys.stdout) if as_json else Human(sys.stderr)
    progress = _Interruptible(told)
    for number in _ENDING:
        signal.signal(number, progress.interrupt)
    try:
        return work(progress) or 0
    except ConvertError as error:
        _report(error, progress, as_json, command)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted: nothing was written.\n")
        return INTERRUPTED
    except MemoryError:
        _report(ConvertError("Not enough memory.", "Try --parity off."), progress, as_json)
        return ConvertError.exit_code
    except OSError as error:  # a folder that may not be searched, a name that no system takes
        where = str(error.filename or "A file")[:200]
        reason = ConvertError(f"{where} cannot be read: {error.strerror or error}.")
        _report(reason, progress, as_json)
        return ConvertError.exit_code


def _convert(arguments: argparse.Namespace, progress: Progress) -> None:
    options = Options(
        source=arguments.source,
        output=arguments.output,
        ftype=arguments.quantize,
        **read_answers(arguments),
        lora=arguments.lora,
        chat_template=arguments.chat_template,
        pre=arguments.pre,
        imatrix=arguments.imatrix,
        fit=None if arguments.fit is None else parse_size(arguments.fit),
        max_kl=arguments.max_kl,
        parity=arguments.parity,
        parity_text=arguments.parity_text,
        code=read_options(arguments),
        name=arguments.name,
        license=arguments.license,
        dry_run=arguments.dry_run,
        force=arguments.force,
    )
    if arguments.adapter:
        from convert.adapter import run_adapter  # numpy and gguf: 400 ms

        output = run_adapter(options, progress).output
    else:
        from convert.pipeline import run_conversion

        output = run_conversion(options, progress).output
    if not (arguments.json or options.dry_run):
        sys.stdout.write(f"{output}\n")


def _report(
    error: ConvertError, progress: Progress, as_json: bool, command: Sequence[str] = ()
) -> None:
    hint, asked = error.hint, {}
    if isinstance(error, OpenQuestions):
        asked = {"questions": error.as_dict()}
        hint += f"\n\nAll at once:\nchatapp {shlex.join(command)} {error.flags}"
    if as_json:
        by_system = isinstance(error.__cause__ or error.__context__, OSError)  # it may pass
        lasting = {"lasting": True} if error.is_lasting and not by_system else {}
        progress("error", message=error.message, hint=error.hint, **lasting, **asked)
    sys.stderr.write(printable(f"Error: {error.message}\n"))
    for line in hint.splitlines():
        sys.stderr.write(printable(f"       {line}".rstrip() + "\n"))


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
        """The signal handler. One is enough: another would cut off the removing of files."""
        self._interrupted = True
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatapp convert",
        description="Convert a trained PyTorch checkpoint to a GGUF model file, and prove it.",
        epilog="Also: inspect FILE, diff A B, quantize GGUF TYPE; each with --help.",
    )
    add = parser.add_argument
    add("source", metavar="SRC", type=Path, help="a checkpoint (ckpt.pt) or the folder holding it")
    add("-o", "--output", metavar="OUT", type=Path, help="model file to write, or a folder for it")
    add("--name", help="the model's name (default: from the file or folder)")
    add("--license", metavar="ID", help="the model's licence, an SPDX id such as MIT")
    # read by `chatapp convert`, which starts the chat when this process has written the file
    add("--chat", action="store_true", help="chat with the model when it is written")
    add("--dry-run", action="store_true", help="show the plan and every type's size, write nothing")
    add("--force", action="store_true", help="replace the output if it exists")
    add("--json", action="store_true", help="progress and result as JSON lines on stdout")
    _add_types(parser.add_argument_group("weight type", f"Types: {', '.join(FTYPES)}"))
    _add_understanding(parser.add_argument_group("what the checkpoint does not say"))
    _add_proof(parser.add_argument_group("proof"))
    return parser


def _add_types(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "-q",
        "--quantize",
        metavar="TYPE",
        help="the type of the weights, such as Q4_K_M (default: the source's precision)",
    )
    add("--fit", metavar="SIZE", help="the best type whose file is no larger, such as 500MB")
    add("--max-kl", metavar="NATS", type=float, help="the smallest type within this mean KL")
    add(
        "--imatrix",
        metavar="TEXT",
        type=Path,
        help="weigh weights by how much this text uses them; the smallest types need it",
    )


def _add_understanding(group: argparse._ArgumentGroup) -> None:
    add_flags(group)
    add = group.add_argument
    add(
        "--text",
        metavar="FILE",
        type=Path,
        help="text that a hand-written model should know, to find out how it was built",
    )
    add(
        "--chat-template",
        metavar="FILE|NAME",
        help="Jinja template for chatting, or a format that is known, such as chatml",
    )
    add("--pre", metavar="NAME", help="llama.cpp's pre-tokenizer; it is proved all the same")
    add("--lora", metavar="DIR", type=Path, help="PEFT LoRA folder to merge into SRC")
    add(
        "--adapter",
        action="store_true",
        help="write the LoRA alone, as a GGUF that llama.cpp adds to SRC's",
    )


def _add_proof(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--parity",
        choices=PARITY,
        default="auto",
        help="compare the file's logits with PyTorch's: where it is quick, never, or at any size",
    )
    group.add_argument("--parity-text", metavar="FILE", type=Path, help="text to compare on")
    add_options(group.add_argument)
