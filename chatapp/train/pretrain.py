"""Pretraining: next-token prediction on packed text."""

from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor

from chatapp.train.corpus import read_documents
from chatapp.train.data import Batch, PackedText, pack
from chatapp.train.loop import Stage
from chatapp.train.settings import Recipe, Source


def pretrain_stage(recipe: Recipe, tokenizer: Tokenizer, folder: Path) -> Stage:
    """The stage that learns language: batches over all of the recipe's text."""
    settings = recipe.pretrain
    block = recipe.model.block_size
    documents = (document for source in recipe.text for document in read_documents(source))
    row = pack(documents, tokenizer)
    if recipe.heldout is not None:
        held = pack(read_documents(Source(recipe.heldout)), tokenizer)
    else:
        cut = max(len(row) - max(len(row) // 100, settings.window + 2), 0)
        row, held = row[:cut], row[cut:]
    text = PackedText(row, block, settings.seed)

    def batch(step: int) -> Batch:
        long = step >= settings.long_from * settings.steps
        window = min(block if long else settings.window, block, settings.batch_tokens)
        return text.batch(step, max(1, settings.batch_tokens // window), window)

    return Stage(
        name="pretrain",
        settings=settings,
        batch=batch,
        heldout=_heldout(held, min(settings.window, block), settings.eval_rows),
        folder=folder,
        config={**recipe.as_dict(), "tokens": len(row)},
    )


def _heldout(held: Tensor, window: int, most: int) -> tuple[Batch, ...]:
    # Spread over the whole text: it is sorted by source.
    windows = max(0, (len(held) - 1) // window)
    count = min(most, windows)
    starts = [number * windows // count * window for number in range(count)]
    batches = []
    for start in starts:
        part = held[start : start + window + 1].long()[None]
        batches.append(Batch(part[:, :-1], part[:, 1:]))
    return tuple(batches)
