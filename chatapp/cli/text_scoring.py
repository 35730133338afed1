"""A model that is loaded to say how likely the pieces of a text are."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

if TYPE_CHECKING:
    from chatapp.evaluate.metrics import Statistics
    from chatapp.paths import Paths


def score_text(
    named: str, pieces: Sequence[str], text: str, given: dict[str, Any], paths: "Paths"
) -> "tuple[str, Statistics]":
    """(the model's name, bits for each byte of every piece). Raises what went wrong."""
    from chatapp.cli import setting
    from chatapp.cli.progress import Progress
    from chatapp.config import load_config
    from chatapp.evaluate.overlap import find_overlap, warn_of
    from chatapp.evaluate.perplexity import choose_load_ctx
    from chatapp.evaluate.pieces import score_pieces

    held = {name: given[name] for name in ("gpu_layers", "n_ctx", "kv_type", "backend")}
    config = setting.override(load_config(paths), think=None, **held)
    path = setting.choose_model(named, config, paths)
    progress = Progress()
    progress.notice(warn_of(find_overlap(path, text)))
    load = setting.load_options(config, paths, path)
    load = replace(load, n_ctx=choose_load_ctx(path, given["n_ctx"] or 0))

    async def run() -> "tuple[str, Statistics]":
        client = setting.make_client(paths)
        try:
            model = await client.load(load, progress.show_load)
            progress.notice(model.notices)
            return model.name, await score_pieces(client, model, pieces, progress.show_pieces)
        finally:
            progress.clear()
            await client.stop()

    return asyncio.run(run())
