"""`chatapp train finetune`: what was asked goes to `chatapp.train`, which alone imports PyTorch."""

from pathlib import Path

import click

from chatapp.cli.train import FiniteRange, needing_torch

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)


@click.command()
@click.argument("base", type=_PATH)
@click.argument("chats", metavar="CHATS...", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--out", metavar="FOLDER", type=_PATH, help="Where the result goes.")
@click.option("--lora", is_flag=True, help="Train a small adapter, and leave the weights alone.")
@click.option("--rank", metavar="N", type=click.IntRange(1, 4096), help="Of the adapter: 16.")
@click.option(
    "--heldout",
    metavar="FILE",
    multiple=True,
    type=_PATH,
    help="Chats to measure on, not train on.",
)
@click.option(
    "--context", metavar="N", type=click.IntRange(min=2), help="Tokens of a chat at most."
)
@click.option(
    "--chat-template",
    metavar="FILE",
    help="A Jinja file in place of the model's own, or a name such as `chatml`.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out lines that cannot be learned from.")
@click.option("--epochs", metavar="X", type=FiniteRange(0, min_open=True), help="3 if not said.")
@click.option("--steps", metavar="N", type=_COUNT, help="In place of epochs.")
@click.option(
    "--minutes", metavar="N", type=FiniteRange(0, min_open=True), help="How long it may take."
)
@click.option("--batch", "batch_tokens", metavar="N", type=click.IntRange(min=2), help="In tokens.")
@click.option("--learning-rate", metavar="X", type=FiniteRange(1e-9, 1), help="At its peak.")
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0, 2**31 - 1),
    default=1337,
    help="Of all that is drawn.",
)
@click.option("--dry-run", is_flag=True, help="Say size, time and disk, and train nothing.")
def finetune(
    base: Path,
    chats: tuple[Path, ...],
    out: Path | None,
    lora: bool,
    rank: int | None,
    heldout: tuple[Path, ...],
    context: int | None,
    chat_template: str | None,
    skip_bad: bool,
    epochs: float | None,
    steps: int | None,
    minutes: float | None,
    batch_tokens: int | None,
    learning_rate: float | None,
    seed: int,
    dry_run: bool,
) -> None:
    """Teach BASE to answer as in CHATS: a checkpoint of ours, or a Hugging Face folder.

    CHATS are JSONL (or folders of it): messages, ShareGPT's conversations, Alpaca's instructions,
    prompt and completion, or what `chatapp history export --format sft` writes. Loss is on the
    answers alone.
    """
    if out is None and not dry_run:
        raise click.UsageError("Say where the result goes: --out FOLDER.")
    if steps and (minutes or epochs):
        raise click.UsageError("--steps says how long it takes: leave out --minutes and --epochs.")
    if rank and not lora:
        raise click.UsageError("--rank is of an adapter: add --lora.")
    with needing_torch():
        from chatapp.engine.chat.files import read_template
        from chatapp.train.tuning import foretell_tuning, tune
        from chatapp.train.tuning_settings import LoraSettings, Tuning

        if lora:
            import chatapp.train.lora  # noqa: F401 - whether peft is there
    tuning = Tuning(
        base=base,
        sources=chats,
        heldout=heldout,
        lora=(LoraSettings(rank) if rank else LoraSettings()) if lora else None,
        context=context or 0,
        template=read_template(chat_template, Path.cwd()) if chat_template else "",
        skip_bad=skip_bad,
        epochs=epochs,
        steps=steps,
        minutes=minutes,
        batch_tokens=batch_tokens,
        learning_rate=learning_rate,
        seed=seed,
    )
    if dry_run or out is None:
        for line in foretell_tuning(tuning):
            click.echo(line)
        return
    done = tune(tuning, out)
    click.echo(done.folder)
    click.echo(f"Next: {done.command}", err=True)
