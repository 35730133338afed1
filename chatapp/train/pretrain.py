"""Pretraining: next-token prediction on packed text."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from chatapp.train.data import Batch, PackedText
from chatapp.train.loop import Stage
from chatapp.train.noting import note_texts
from chatapp.train.packing import pack
from chatapp.train.progress import Reporter
from chatapp.train.settings import Recipe
from chatapp.train.tokenizer import identify

DATA_FOLDER = "data"
PRETRAIN_FOLDER = "pretrain"
"""Of a run that is fine-tuned, too."""


def pretrain_stage(
    recipe: Recipe, tokenizer: Tokenizer, folder: Path, reporter: Reporter, resume: bool = False
) -> Stage:
    """The stage that learns language: batches over all of the recipe's text.

    Raises `ChatAppError` where the text cannot be read or is too short.
    """
    settings = recipe.pretrain
    block = recipe.model.block_size
    window = min(settings.window, block, settings.batch_tokens)
    longest = min(block, settings.batch_tokens) if settings.long_from < 1 else window
    packed = pack(recipe, tokenizer, folder / DATA_FOLDER, window, reporter, resume=resume)
    note_texts(packed.train, tokenizer, folder / DATA_FOLDER, folder)
    text = PackedText(packed.train, block, settings.seed)
    text.check(window, len(packed.heldout))
    text.check(longest, len(packed.heldout))
    reporter.say(f"data: {len(packed.train):,} tokens, {len(packed.heldout):,} held out")

    def batch(step: int) -> Batch:
        long = step >= settings.long_from * settings.steps
        length = longest if long else window
        return text.batch(step, max(1, settings.batch_tokens // length), length)

    rows = max(1, settings.batch_tokens // window)
    return Stage(
        name="pretrain",
        settings=settings,
        batch=batch,
        heldout=heldout_batches(packed.heldout, window, settings.eval_rows, rows),
        folder=folder,
        home=folder,
        config={**recipe.as_dict(), "tokens": len(packed.train), "tokenizer": identify(tokenizer)},
    )


def heldout_batches(held: NDArray[Any], window: int, most: int, rows: int) -> tuple[Batch, ...]:
    """At most `most` windows, `rows` of them in a batch, spread over the whole text, which is
    sorted by source."""
    windows = max(0, (len(held) - 1) // window)
    count = min(most, windows)
    parts = [held[at * windows // count * window :][: window + 1] for at in range(count)]
    batches = []
    for first in range(0, count, rows):
        some = torch.from_numpy(np.stack(parts[first : first + rows]).astype(np.int64))
        batches.append(Batch(some[:, :-1].contiguous(), some[:, 1:].contiguous()))
    return tuple(batches)
