"""Supervised fine-tuning on chat turns, with loss on the assistant's tokens only."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from chatapp.train.corpus import read_conversations
from chatapp.train.data import Batch, ChatTurns, Sample, encode_conversation
from chatapp.train.loop import Stage
from chatapp.train.settings import FinetuneSettings, Recipe, Source
from chatapp.train.tokenizer import identify

HELD_OUT = 100
"""One conversation in so many measures the loss and is not trained on."""


def finetune_stage(recipe: Recipe, tokenizer: Tokenizer, folder: Path) -> Stage:
    """The stage that learns to answer and to stop."""
    settings = recipe.finetune
    samples = [
        sample
        for source in recipe.chat
        for sample in _samples(source, tokenizer, settings.max_turns)
    ]
    Random(settings.seed).shuffle(samples)  # noqa: S311 - order, no secret
    count = min(len(samples) // HELD_OUT, settings.eval_rows)
    block = recipe.model.block_size
    stage = chat_stage(settings, samples[count:], samples[:count], block, folder)
    return replace(stage, config={**recipe.as_dict(), "tokenizer": identify(tokenizer)})


def chat_stage(
    settings: FinetuneSettings,
    samples: Sequence[Sample],
    held: Sequence[Sample],
    block: int,
    folder: Path,
) -> Stage:
    """A stage over `samples`, measured on `held`, for a model that tells `block` positions apart.

    Raises `ChatAppError` when there are no samples.
    """
    turns = ChatTurns(samples, block, settings.seed, settings.joined)

    def batch(step: int) -> Batch:
        long = step >= settings.long_from * settings.steps
        return turns.batch(step, settings.batch_tokens, block if long else settings.window)

    measure = [ChatTurns([sample], block, 0, 0.0).batch(0, 1, block) for sample in held]
    return Stage("finetune", settings, batch, tuple(measure), folder, folder)


def _samples(source: Source, tokenizer: Tokenizer, most: int) -> list[Sample]:
    talks = read_conversations(source)
    samples = [encode_conversation(talk[: most or None], tokenizer) for talk in talks]
    return [
        sample for sample in samples if any(sample.spoken)
    ]  # from the others nothing is learned
