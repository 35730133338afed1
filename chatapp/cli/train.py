"""`chatapp train`: a group of commands; what is none of their names is what to train on.

`chatapp train notes.txt --out my-gpt` is short for `chatapp train pretrain notes.txt --out my-gpt`.
A file that is called like a command is given as `./sample`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from chatapp.cli.group import Entry, ShortGroup
from chatapp.errors import ChatAppError

_COMMANDS = {
    "pretrain": Entry("chatapp.cli.training", "pretrain", "Train on text, or as a recipe says."),
    "finetune": Entry("chatapp.cli.finetuning", "finetune", "Teach a model to answer, on chats."),
    "resume": Entry("chatapp.cli.training", "resume", "Go on with a run where it stopped."),
    "sample": Entry("chatapp.cli.training", "sample", "Let a checkpoint write, in PyTorch."),
    "tokenizer": Entry("chatapp.cli.training", "tokenizer", "Learn a vocabulary from text."),
}

_NEEDED = ("torch", "tokenizers", "transformers", "peft", "safetensors")

_EPILOG = """\b
Examples:
  chatapp train notes.txt --out my-gpt
  chatapp train shakespeare.txt --chars --out bard
  chatapp --model bard
  chatapp train finetune model-folder chats.jsonl --lora --out tuned
  chatapp train resume my-gpt
  chatapp train sample my-gpt "Once upon a time"

`chatapp train SOURCE...` is short for `chatapp train pretrain SOURCE...`.
"""


@click.group(cls=ShortGroup, entries=_COMMANDS, epilog=_EPILOG)
def train() -> None:
    """Train a small GPT of your own: from text to a model one can talk to.

    Needs PyTorch: pip install '.[train]' (in the folder of chatapp's sources)
    """


class FiniteRange(click.FloatRange):
    """A range of numbers, in which neither `nan` nor `inf` lies."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number that `value` spells."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no number that can be used.", param, ctx)
        return number


@contextmanager
def needing_torch() -> Iterator[None]:
    """Around imports of `chatapp.train`, which take seconds: one sentence when what it needs is not
    installed, and when they are cut short."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopped while PyTorch was loading: nothing was begun.", err=True)
        raise
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        raise ChatAppError(
            f"Training needs {error.name}, which is not installed.",
            "pip install '.[train]' (in the folder of chatapp's sources)",
        ) from None
