"""`chatapp train`: hands a recipe or text files to `chatapp.train`, which alone imports PyTorch.

The result's path goes to stdout, progress to stderr. Ctrl+C saves a checkpoint and ends with 130.
"""

from pathlib import Path

import click

from chatapp.errors import ChatAppError

_PATH = click.Path(path_type=Path)

_EPILOG = """\b
Examples:
  chatapp train notes.txt --out my-gpt
  chatapp train shakespeare.txt --chars --out bard
  chatapp convert bard -q Q8_0 --chat
  chatapp train recipe.toml --out my-gpt --resume
  chatapp convert my-gpt -o my-gpt.gguf && chatapp --model my-gpt.gguf
"""


@click.command(epilog=_EPILOG)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=_PATH)
@click.option(
    "-o", "--out", required=True, metavar="FOLDER", type=_PATH, help="Where checkpoints go."
)
@click.option("--chars", is_flag=True, help="Every character is a token, as in nanoGPT's example.")
@click.option("--resume", is_flag=True, help="Go on with the run that FOLDER holds.")
@click.option(
    "--steps", metavar="N", type=click.IntRange(min=1), help="Pretraining steps, as a recipe has."
)
def train(
    sources: tuple[Path, ...], out: Path, chars: bool, resume: bool, steps: int | None
) -> None:
    """Train a small GPT on a recipe (.toml) or on text files.

    Needs PyTorch: pip install '.[train]' (in the folder of chatapp's sources)
    """
    try:
        from chatapp.train.run import train as run_training
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("torch", "tokenizers"):
            raise
        raise ChatAppError(
            f"Training needs {error.name}, which is not installed.",
            "pip install '.[train]' (in the folder of chatapp's sources)",
        ) from None
    checkpoint = run_training(sources, out, resume=resume, steps=steps, characters=chars)
    click.echo(checkpoint)
    click.echo(f"Next: chatapp convert {out} --chat", err=True)
