"""`chatapp bench`: the arguments, how busy the machine is, and what is printed and kept."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chatapp.engine.protocol import LoadOptions, ModelDescription
    from chatapp.evaluate.speed import Plan, Speed
    from chatapp.paths import Paths

_BUSY = 0.25
"""Processors that others use, from where on it is said."""
_LOOK_S = 0.5

_EPILOG = """\b
Examples:
  chatapp bench qwen.gguf
  chatapp bench smollm2 --depth 0 --depth 4096 --batch 1 --json

The result goes to standard output, everything else to standard error.
"""


@click.command(epilog=_EPILOG)
@click.argument("model", required=False)
@click.option(
    "--depth",
    "depths",
    metavar="N",
    type=click.IntRange(min=0),
    multiple=True,
    help="Tokens that stand before; may be given several times. By default 0, 512, 2048, 8192.",
)
@click.option(
    "--batch",
    "batches",
    metavar="N",
    type=click.IntRange(1, 64),
    multiple=True,
    help="Answers at once; may be given several times. By default 1, 2, 4.",
)
@click.option("--repeat", metavar="N", type=click.IntRange(min=1), default=3, help="Runs of each.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--no-save", is_flag=True, help="Keep nothing of it.")
@click.option("--gpu-layers", metavar="N", type=click.IntRange(min=-1), help="Layers on the GPU.")
def bench(
    model: str | None,
    *,
    depths: tuple[int, ...],
    batches: tuple[int, ...],
    repeat: int,
    as_json: bool,
    no_save: bool,
    gpu_layers: int | None,
) -> None:
    """Measure how many tokens a second MODEL reads (prefill) and writes (decode).

    Beside it stands what memory bandwidth allows on the processor. Other programs take their
    share: close them first. Without MODEL it is that of the settings, or built-in.
    """
    from msgspec.structs import replace

    from chatapp.cli import setting
    from chatapp.config import load_config
    from chatapp.evaluate.speed import BATCHES, DEPTHS, Plan
    from chatapp.paths import find_paths

    plan = Plan(
        depths=tuple(sorted(set(depths or DEPTHS))),
        batches=tuple(sorted(set(batches or BATCHES))),
        repeats=repeat,
    )
    paths = find_paths()
    config = setting.override(
        load_config(paths), gpu_layers=gpu_layers, n_ctx=None, kv_type=None, think=None
    )
    chosen = setting.choose_model(model, config, paths)
    setting.refuse_server(chosen, "how fast it is, its own machine decides")
    trained = _read_n_ctx(chosen)
    plan = plan.fit(trained) if trained else plan
    load = setting.load_options(config, paths, chosen, n_parallel=max(plan.batches), raw=True)
    load = replace(load, n_ctx=min(plan.n_ctx, trained))
    if no_save:
        value = _measure(chosen, load, plan, paths, as_json=as_json)
        return
    with setting.open_history(paths) as store:  # what is wrong with it is said before the minutes
        value = _measure(chosen, load, plan, paths, as_json=as_json)
        _keep(store, chosen, value)


def _read_n_ctx(path: Path) -> int:
    """Tokens that a model file was trained for; 0: not known before it is loaded."""
    from chatapp.gguf.header import is_gguf
    from chatapp.library.headers import read_info

    return read_info(path).n_ctx_train if is_gguf(path) else 0


def _measure(
    model: Path, load: "LoadOptions", plan: "Plan", paths: "Paths", *, as_json: bool
) -> dict[str, Any]:
    """Measure, print, and give what was found."""
    import psutil

    from chatapp.cli.output import dump_json

    started = time.time()
    busy = psutil.cpu_percent(_LOOK_S) / 100 * (psutil.cpu_count() or 1)
    description, speeds, bandwidth = asyncio.run(_run(model, load, plan, paths, busy))
    first = {speed.what: speed.tokens_per_second for speed in reversed(speeds)}
    value = {f"{what}_tokens_per_second": round(first[what], 2) for what in first} | {
        "speeds": [speed.as_json() for speed in speeds],
        "memory_bandwidth": bandwidth,
        "busy_processors": round(busy, 2),
        "load_average": psutil.getloadavg()[0],
        "model": str(model),
        "model_name": description.name,
        "model_hash": description.fingerprint,
        "model_bytes": description.size_bytes,
        "runtime": description.runtime or "llama.cpp",
        "devices": description.devices,
        "seconds": round(time.time() - started, 2),
    }
    click.echo(dump_json(value)) if as_json else _print(speeds, description, bandwidth)
    return value


async def _run(
    model: Path, load: "LoadOptions", plan: "Plan", paths: "Paths", busy: float
) -> "tuple[ModelDescription, list[Speed], float | None]":
    from chatapp.cli.progress import Progress
    from chatapp.cli.setting import make_client
    from chatapp.evaluate.speed import measure_speed

    client, progress = make_client(paths), Progress()
    try:
        if busy > _BUSY:
            progress.notice([_say_busy(busy)])
        description = await client.load(load, progress.show_load)
        progress.notice(description.notices)
        n_steps = plan.fit(description.n_ctx).n_steps
        bandwidth, token_bytes = _find_bound(model, description)
        speeds = await measure_speed(
            client,
            description,
            plan,
            bandwidth=bandwidth,
            token_bytes=token_bytes,
            on_step=lambda done: progress.show_measured(done, n_steps),
        )
    finally:
        progress.clear()
        await client.stop()
    return description, speeds, bandwidth


def _find_bound(model: Path, description: "ModelDescription") -> tuple[float | None, Any]:
    """(bytes that memory gives a second, what a token reads), where both can be told."""
    from chatapp.evaluate.bandwidth import measure_bandwidth, read_token_bytes
    from chatapp.gguf.header import is_gguf

    if description.gpu_layers or not is_gguf(model):
        return None, None
    from chatapp.gguf.processors import count_threads

    return measure_bandwidth(count_threads()), read_token_bytes(model, description.kv_type or "f16")


def _say_busy(busy: float) -> str:
    return (
        f"Other programs use {busy:.1f} processors now: the figures are lower than they would be "
        "alone."
    )


def _keep(store: Any, model: Path, value: dict[str, Any]) -> None:
    from chatapp.store.evaluations import NewEvaluation

    settings = {name: value[name] for name in ("runtime", "devices")}
    known = {*settings, "model", "model_hash", "seconds"}
    store.evaluations.add(
        NewEvaluation(
            kind="bench",
            model=str(model),
            model_hash=value["model_hash"],
            settings=settings,
            results={name: value[name] for name in value if name not in known},
            seconds=value["seconds"],
        )
    )


def _print(speeds: "list[Speed]", description: "ModelDescription", bandwidth: float | None) -> None:
    from chatapp.cli.table import clean_line, print_table

    click.echo(f"{clean_line(description.name)}, {description.runtime or 'llama.cpp'}")
    rows = [
        (
            speed.what,
            f"{speed.depth:,}",
            str(speed.batch),
            f"{speed.tokens_per_second:,.1f}",
            f"{speed.slowest:,.1f} to {speed.fastest:,.1f}",
            "" if not speed.bound else f"{speed.bound:,.0f}",
            "" if not speed.bound else f"{speed.tokens_per_second / speed.bound:.0%}",
        )
        for speed in speeds
    ]
    print_table(("", "depth", "at once", "tokens/s", "spread", "memory allows", "of it"), rows)
    if bandwidth:
        click.echo(f"memory is read at {bandwidth / 1e9:.1f} GB/s")
