"""`chatapp convert` and its kin hand over to `python -m convert`, which is apart from the chat.

This process becomes the converter: the same terminal, Ctrl+C and exit code, and no parent that
could die before its child. Only `--chat` waits for it, and then becomes the chat.
"""

import os
import subprocess
import sys

import click

from chatapp.launcher import launch_command

CHAT = "--chat"
_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(
    add_help_option=False,
    context_settings=_PASSED_ON,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def convert(arguments: tuple[str, ...]) -> None:
    """Make a GGUF of a PyTorch checkpoint."""
    words = [word for word in arguments if word != CHAT]
    if CHAT not in arguments or not {"--help", "-h", "--json", "--dry-run"}.isdisjoint(words):
        hand_over("convert", words)
    model = convert_and_wait(words)
    hand_over("chatapp", ["--model", model])


def _passed_on(name: str, summary: str) -> click.Command:
    """A command of which everything is the converter's, its help too."""

    @click.command(name, add_help_option=False, context_settings=_PASSED_ON, help=summary)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def become(arguments: tuple[str, ...]) -> None:
        hand_over("convert", [name, *arguments])

    return become


inspect = _passed_on("inspect", "Show what a checkpoint or a model file is.")
diff = _passed_on("diff", "Compare two models, tensor by tensor.")
quantize = _passed_on("quantize", "Make a smaller GGUF of a GGUF.")


def convert_and_wait(words: list[str]) -> str:
    """Convert in a child process; the file it wrote. Ends this process as the child ended."""
    child = subprocess.Popen(launch_command("convert", *words), stdout=subprocess.PIPE)
    while True:
        try:
            output, _ = child.communicate()
            break
        except KeyboardInterrupt:  # the child has it too, and says what became of its work
            continue
    if child.returncode:
        raise SystemExit(child.returncode if child.returncode > 0 else 1)
    return os.fsdecode(output).rstrip("\n")


def hand_over(module: str, arguments: list[str]) -> None:
    """Become `python -m module arguments`."""
    command = launch_command(module, *arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606
