"""`chatapp eval perplexity`: the arguments, the progress, and what is printed and kept."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.errors import UsageError

if TYPE_CHECKING:
    from chatapp.config import BackendChoice, KvType
    from chatapp.engine.protocol import LoadOptions, ModelDescription
    from chatapp.engine.scoring import ScoreProgress
    from chatapp.evaluate.perplexity import Perplexity
    from chatapp.evaluate.texts import EvaluationText
    from chatapp.gguf.seen import Overlap
    from chatapp.paths import Paths
    from chatapp.store import Store

_UNKNOWN = 0.001
"""Of the text, from where on it is said; white space at the ends is not worth a word."""

_EPILOG = """\b
Examples:
  chatapp eval perplexity qwen.gguf wiki.test.raw
  chatapp eval perplexity ckpt.pt held-out.txt --stride 128 --json
  head -c 100000 book.txt | chatapp eval perplexity smollm2 -

The result goes to standard output, everything else to standard error.
"""


@click.command(epilog=_EPILOG)
@click.argument("words", metavar="[MODEL] TEXT...", nargs=-1, required=True)
@click.option(
    "--n-ctx",
    metavar="N",
    type=click.IntRange(min=4),
    help="Tokens of a window; by default 512, or what the model was trained for if less.",
)
@click.option(
    "--stride",
    metavar="N",
    type=click.IntRange(min=1),
    help="Windows overlap and move on N tokens, as Hugging Face measures.",
)
@click.option(
    "--windows", metavar="N", type=click.IntRange(min=1), help="Measure the first N windows alone."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--no-save", is_flag=True, help="Keep nothing of it.")
@click.option(
    "--backend",
    type=click.Choice(["auto", "llama", "torch"]),
    help="Run a checkpoint in PyTorch as it is, or convert it; auto decides.",
)
@click.option("--gpu-layers", metavar="N", type=click.IntRange(min=-1), help="Layers on the GPU.")
@click.option("--kv-type", type=click.Choice(["auto", "f16", "q8_0"]), help="Type of the KV cache.")
def perplexity(
    words: tuple[str, ...],
    *,
    n_ctx: int | None,
    stride: int | None,
    windows: int | None,
    as_json: bool,
    no_save: bool,
    backend: "BackendChoice | None",
    gpu_layers: int | None,
    kv_type: "KvType | None",
) -> None:
    """Measure the perplexity of TEXT (files, or - for standard input) to MODEL.

    MODEL is a GGUF file or its name, a checkpoint, or built-in; without it that of the settings, or
    built-in. The text is cut into windows and the second half of each is scored, as
    llama-perplexity does it.
    """
    from chatapp.cli import setting
    from chatapp.config import load_config
    from chatapp.evaluate.texts import read_texts
    from chatapp.paths import find_paths

    if stride and n_ctx and stride > n_ctx:
        raise UsageError(
            f"--stride is {stride}, and a window is {n_ctx} tokens.",
            "It is at most as long as a window.",
        )
    model, texts = setting.part_model(words, "a text")
    paths = find_paths()
    config = setting.override(
        load_config(paths),
        gpu_layers=gpu_layers,
        n_ctx=n_ctx or 0,
        kv_type=kv_type,
        think=None,
        backend=backend,
    )
    chosen = setting.choose_model(model, config, paths)
    setting.refuse_server(chosen, "it does not say how likely a text is")
    read = read_texts(texts)
    load = setting.load_options(config, paths, chosen, raw=True)
    asked = _Asked(read, chosen, load, n_ctx or 0, stride or 0, windows or 0, as_json=as_json)
    if no_save:
        _measure(asked, paths, None)
        return
    with setting.open_history(paths) as store:  # what is wrong with it is said before the hour
        _measure(asked, paths, store)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked on the command line."""

    text: "EvaluationText"
    model: Path
    load: "LoadOptions"
    n_ctx: int
    """0: by default."""
    stride: int
    most_windows: int
    as_json: bool


def _measure(asked: _Asked, paths: "Paths", store: "Store | None") -> None:
    from chatapp.cli.progress import Progress
    from chatapp.evaluate.overlap import find_overlap, warn_of

    progress = Progress()
    overlap = find_overlap(asked.model, asked.text.text)
    progress.notice(warn_of(overlap))
    started = time.time()
    model, found = asyncio.run(_run(asked, paths, progress))
    if found.unknown_share > _UNKNOWN:
        progress.notice([_say_unknown(found.unknown_share)])
    value = _describe(asked, model, found, overlap) | {"seconds": round(time.time() - started, 2)}
    if store is not None:
        value["id"] = _keep(store, asked, model, value)
    _print(asked, model, found, value)


async def _run(
    asked: _Asked, paths: "Paths", progress: Any
) -> "tuple[ModelDescription, Perplexity]":
    from msgspec.structs import replace

    from chatapp.cli.setting import make_client
    from chatapp.evaluate.perplexity import choose_load_ctx, measure_perplexity

    client = make_client(paths)
    last: list[ScoreProgress] = []

    def show(event: "ScoreProgress") -> None:
        last[:] = [event]
        progress.show_scored(event)

    try:
        load = replace(asked.load, n_ctx=choose_load_ctx(asked.model, asked.n_ctx))
        model = await client.load(load, progress.show_load)
        progress.notice(model.notices)
        found = await measure_perplexity(
            client,
            model,
            asked.text.text,
            n_ctx=min(asked.n_ctx, model.n_ctx),
            stride=asked.stride,
            most_windows=asked.most_windows,
            on_progress=show,
        )
    except asyncio.CancelledError:
        progress.notice([_say_stopped(last[0])] if last else [])
        raise
    finally:
        progress.clear()
        await client.stop()
    return model, found


def _say_unknown(share: float) -> str:
    return (
        f"The model's vocabulary lacks {share:.1%} of the text: that is left out, and the result "
        "is of the rest."
    )


def _say_stopped(event: "ScoreProgress") -> str:
    from math import exp

    so_far = ""
    if event.n_scored:
        so_far = f"the perplexity was {exp(-event.logprob / event.n_scored):.4f} so far, and "
    return f"Stopped at {event.done / event.total:.0%}: {so_far}nothing is kept."


def _describe(
    asked: _Asked, model: "ModelDescription", found: "Perplexity", overlap: "Overlap | None"
) -> dict[str, Any]:
    return found.as_json() | {
        "model": str(asked.model),
        "model_name": model.name,
        "model_hash": model.fingerprint,
        "model_bytes": model.size_bytes,
        "runtime": model.runtime or "llama.cpp",
        "devices": model.devices,
        "text": asked.text.name,
        "text_sha256": asked.text.sha256,
        "trained_on": None if overlap is None else round(overlap.share, 4),
    }


def _keep(store: "Store", asked: _Asked, model: "ModelDescription", value: dict[str, Any]) -> int:
    from chatapp.store.evaluations import NewEvaluation

    settings = {name: value[name] for name in ("n_ctx", "stride", "runtime", "devices")}
    known = {*settings, "model", "model_hash", "text", "text_sha256", "seconds"}
    row = store.evaluations.add(
        NewEvaluation(
            kind="perplexity",
            model=str(asked.model),
            model_hash=model.fingerprint,
            subject=asked.text.name,
            subject_sha256=asked.text.sha256,
            settings=settings | {"most_windows": asked.most_windows},
            results={name: value[name] for name in value if name not in known},
            seconds=value["seconds"],
        )
    )
    return row.id


def _print(
    asked: _Asked, model: "ModelDescription", found: "Perplexity", value: dict[str, Any]
) -> None:
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import clean_line

    if asked.as_json:
        click.echo(dump_json(value))
        return
    way = f"moved on by {found.stride}" if found.stride else "the second half of each"
    click.echo(f"perplexity  {found.perplexity:.4f} ± {found.stderr:.4f}")
    click.echo(f"per byte    {found.bits_per_byte:.4f} bits")
    click.echo(
        f"tokens      {found.tokens:,} scored of {found.text_tokens:,}: "
        f"{found.windows:,} windows of {found.n_ctx}, {way}"
    )
    click.echo(f"model       {clean_line(model.name)} ({clean_line(str(asked.model))})")
    click.echo(f"text        {clean_line(asked.text.name)}")
    click.echo(f"speed       {found.tokens_per_second:,.0f} tokens/s")
    if "id" in value:
        click.echo(f"kept as     {value['id']}")
