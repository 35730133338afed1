"""The commands of `chatapp train`: they hand what was asked to `chatapp.train`, which alone
imports PyTorch.

Paths of results go to stdout, progress to stderr. Ctrl+C saves a checkpoint and ends with 130.
"""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from chatapp.cli.train import FiniteRange, needing_torch

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)
_SOURCES = click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=_PATH)
_OUT = click.option(
    "-o", "--out", required=True, metavar="FOLDER", type=_PATH, help="Where checkpoints go."
)
_CHARS = click.option(
    "--chars", is_flag=True, help="Every character is a token, as in nanoGPT's example."
)
_STEPS = click.option("--steps", metavar="N", type=_COUNT, help="Pretraining steps.")


@click.command()
@_SOURCES
@click.option("-o", "--out", metavar="FOLDER", type=_PATH, help="Where checkpoints go.")
@_CHARS
@click.option("--shape", type=click.Choice(["gpt2", "llama"]), help="gpt2 if nothing is said.")
@click.option("--size", metavar="SIZE", help="tiny, small, gpt2 ..., or parameters, as in 10M.")
@click.option("--context", metavar="N", type=click.IntRange(min=2), help="Tokens it can look back.")
@click.option("--tokenizer", metavar="FOLDER", type=_PATH, help="Use this one's tokens.")
@click.option("--vocab-size", metavar="N", type=click.IntRange(min=261), help="Tokens it may have.")
@click.option(
    "--minutes",
    metavar="N",
    type=FiniteRange(min=0, min_open=True),
    help="How long it may take: size, batch, steps and rate follow.",
)
@_STEPS
@click.option("--batch", "batch_tokens", metavar="N", type=click.IntRange(min=2), help="In tokens.")
@click.option("--learning-rate", metavar="X", type=FiniteRange(1e-9, 1), help="At its peak.")
@click.option("--optimizer", type=click.Choice(["adamw", "muon"]), help="adamw if not said.")
@click.option("--compile", is_flag=True, default=None, help="Let PyTorch compile the model.")
@click.option("--dropout", metavar="X", type=FiniteRange(0, 0.99), help="0 is off.")
@click.option(
    "--seed", metavar="N", type=click.IntRange(0, 2**31 - 1), help="Of all that is drawn."
)
@click.option("--resume", is_flag=True, help="Go on with the run that FOLDER holds.")
@click.option("--dry-run", is_flag=True, help="Say size, time and disk, and train nothing.")
def pretrain(
    sources: tuple[Path, ...],
    out: Path | None,
    chars: bool,
    resume: bool,
    dry_run: bool,
    **wished: Any,
) -> None:
    """Train a small GPT on a recipe (.toml), or on text: files, JSONL, folders.

    A recipe that names chats is also fine-tuned on them.
    """
    if chars and wished["tokenizer"]:
        raise click.UsageError("--chars makes its own tokens: leave out --tokenizer.")
    if out is None and not dry_run:
        raise click.UsageError("Say where checkpoints go: --out FOLDER.")
    with needing_torch():
        from chatapp.train.run import foretell
        from chatapp.train.run import train as run_training
        from chatapp.train.wishes import Wishes
    wishes = Wishes(characters=chars, **wished)
    if dry_run or out is None:
        for line in foretell(sources, wishes):
            click.echo(line)
    else:
        _end(run_training(sources, out, resume=resume, wishes=wishes))


@click.command()
@click.argument("folder", type=_PATH)
@_STEPS
def resume(folder: Path, steps: int | None) -> None:
    """Go on with the run that FOLDER holds, exactly where it stopped."""
    with needing_torch():
        from chatapp.train.tuning_settings import find_tuning, read_tuning

        if found := find_tuning(folder):
            from chatapp.train.tuning import go_on_tuning

            if read_tuning(found).lora:
                import chatapp.train.lora  # noqa: F401 - whether peft is there
        else:
            from chatapp.train.run import go_on
            from chatapp.train.wishes import Wishes
    if found:
        done = go_on_tuning(found, steps)
        click.echo(done.folder)
        click.echo(f"Next: {done.command}", err=True)
    else:
        _end(go_on(folder, Wishes(steps=steps)))


@click.command()
@click.argument("folder", type=_PATH)
@click.argument("prompt", default="")
@click.option("--tokens", metavar="N", type=_COUNT, default=200, help="At most so many tokens.")
@click.option(
    "--temperature",
    metavar="T",
    type=FiniteRange(min=0),
    default=0.8,
    help="Randomness; 0 always takes the likeliest token.",
)
@click.option("--top-k", metavar="K", type=click.IntRange(min=0), default=40, help="0: all tokens.")
@click.option("--seed", metavar="N", type=int, default=0, help="Same seed, same text.")
def sample(
    folder: Path, prompt: str, tokens: int, temperature: float, top_k: int, seed: int
) -> None:
    """Let the checkpoint in FOLDER go on with PROMPT, or answer it if it knows turns."""
    with needing_torch():
        from chatapp.train.sample import Draw, write
    click.echo(write(folder, prompt, Draw(temperature, top_k, tokens, seed)))


@click.command()
@_SOURCES
@_OUT
@click.option(
    "--vocab-size", metavar="N", type=click.IntRange(min=261), default=4096, help="Tokens at most."
)
def tokenizer(sources: tuple[Path, ...], out: Path, vocab_size: int) -> None:
    """Learn a byte-level BPE from text, for `chatapp train pretrain --tokenizer FOLDER`."""
    with needing_torch():
        from chatapp.train.run import learn_tokenizer
    click.echo(learn_tokenizer(sources, out, vocab_size))


def _end(checkpoint: Path) -> None:
    if os.environ.get("RANK", "0") != "0":  # of torchrun's processes one speaks
        return
    click.echo(checkpoint)
    click.echo(f"Next: {shlex.join(['chatapp', '--model', str(checkpoint.parent)])}", err=True)
