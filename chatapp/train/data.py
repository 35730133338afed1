"""Batches of tokens: packed windows for pretraining, masked turns for fine-tuning.

Promises that a batch is a function of the settings and the step alone, which is what makes a
resumed run equal to an uninterrupted one without storing a position.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from chatapp.errors import ChatAppError
from chatapp.train.chat_format import END_OF_TURN, Turn, lay_out
from chatapp.train.corpus import TooLittleTextError
from chatapp.train.language_model import IGNORED
from chatapp.train.tokenizer import encode_pieces, token_id


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs and what should follow each of them, both int64 `[rows, time]`."""

    tokens: Tensor
    targets: Tensor
    """`IGNORED` where there is no loss."""
    offset: int = 0
    """Position of the first token of every row."""
    masked: bool = False
    """Whether some targets may be `IGNORED`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A tokenised conversation and which of its tokens the assistant said."""

    tokens: list[int]
    spoken: list[bool]


class PackedText:
    """Windows of a long token row, every token once an epoch."""

    def __init__(self, row: NDArray[Any], block_size: int, seed: int) -> None:
        self.row, self.block_size, self.seed = row, block_size, seed

    def check(self, window: int, heldout: int) -> None:
        """Raise `ChatAppError` when the text is too short for windows of `window` tokens.

        `heldout` is how many tokens are not in the row.
        """
        window = min(window, self.block_size)
        if self._count(window) < 1:
            raise TooLittleTextError(
                f"The text has {len(self.row) + heldout} tokens, {heldout} of them held out: too "
                f"few for windows of {window}, which need {2 * window + 1} to train on.",
                "Give more text, or a shorter context.",
            )

    def _count(self, window: int) -> int:
        return (len(self.row) - window - 1) // window

    def batch(self, step: int, rows: int, window: int) -> Batch:
        """Windows number `step * rows` to `(step + 1) * rows` of a shuffled, shifted epoch.

        Half of the batches start at position 0 and the others anywhere, so that short windows
        train the whole position table.
        """
        window = min(window, self.block_size)
        count = self._count(window)
        starts = []
        shifts: dict[int, int] = {}
        for number in range(step * rows, (step + 1) * rows):
            epoch, place = divmod(number, count)
            if epoch not in shifts:
                draw = Random(f"{self.seed} {epoch} shift")  # noqa: S311 - order, no secret
                shifts[epoch] = draw.randrange(window)
            starts.append(_permute(place, count, self.seed + epoch) * window + shifts[epoch])
        drawn = np.stack([self.row[start : start + window + 1] for start in starts])
        chosen = torch.from_numpy(drawn.astype(np.int64))
        draw = Random(f"{self.seed} {step} offset")  # noqa: S311 - order, no secret
        free = self.block_size - window
        offset = draw.randint(0, free) if draw.random() < 0.5 else 0
        return Batch(chosen[:, :-1].contiguous(), chosen[:, 1:].contiguous(), offset)


def _permute(place: int, count: int, seed: int) -> int:
    """A place in a shuffled order of `count`, without keeping the order: an affine map."""
    stride = int(count * 0.618) + seed % 97 | 1
    while math.gcd(stride, count) != 1:
        stride += 2
    return (place * stride + seed * 31) % count


def encode_conversation(turns: Sequence[Turn], tokenizer: Tokenizer) -> Sample:
    """Tokens as the engine would make them, and the mask of the assistant's.

    A turn's tokens can be made on their own because the role marker is a special token and splits
    the text; the newline after it is part of the header and belongs to nobody's speech.
    """
    tokens: list[int] = []
    spoken: list[bool] = []
    end = token_id(tokenizer, END_OF_TURN)
    for turn in turns:
        ids = encode_pieces(tokenizer, lay_out([turn]))
        head = len(encode_pieces(tokenizer, lay_out([Turn(turn.role, "")])[:2]))
        tail = len(ids) - ids[::-1].index(end)
        mine = turn.role == "assistant" and turn.is_learned
        tokens += ids
        spoken += [mine and head <= at < tail for at in range(len(ids))]
    return Sample(tokens, spoken)


class ChatTurns:
    """Rows of conversations with loss on the assistant's tokens only."""

    def __init__(
        self, samples: Sequence[Sample], block_size: int, seed: int, joined: float
    ) -> None:
        if not samples:
            raise ChatAppError("There are no conversations to fine-tune on.")
        self.samples = sorted(samples, key=lambda sample: len(sample.tokens))
        self.block_size, self.seed, self.joined = block_size, seed, joined

    def batch(self, step: int, budget: int, window: int) -> Batch:
        """Rows that together take at most about `budget` tokens, the shorter ones padded.

        A share of `joined` batches fills rows of `window` tokens with several conversations;
        the others hold one conversation a row, which then starts at position 0 as in the engine.
        Conversations of a batch are of like length, because padding costs as much as text.
        """
        draw = Random(f"{self.seed} {step} rows")  # noqa: S311 - order, no secret
        length = min(window, self.block_size) + 1
        if draw.random() < self.joined:
            return _pad([self._join(draw, length) for _ in range(max(1, budget // length))])
        near = max(1, len(self.samples) // 40)
        pivot = draw.randrange(len(self.samples))
        low, high = max(0, pivot - near), min(len(self.samples) - 1, pivot + near)
        longest = min(len(self.samples[high].tokens), length)
        rows = [self.samples[draw.randint(low, high)] for _ in range(max(1, budget // longest))]
        return _pad([_cut(row, length) for row in rows])

    def _join(self, draw: Random, length: int) -> Sample:
        row = Sample([], [])
        while len(row.tokens) < length:
            sample = draw.choice(self.samples)
            row.tokens.extend(sample.tokens)
            row.spoken.extend(sample.spoken)
        return _cut(row, length)


def _cut(sample: Sample, length: int) -> Sample:
    return Sample(sample.tokens[:length], sample.spoken[:length])


def _pad(rows: Sequence[Sample]) -> Batch:
    longest = max(len(row.tokens) for row in rows) - 1
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    targets = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    for number, row in enumerate(rows):
        length = len(row.tokens) - 1
        tokens[number, :length] = torch.tensor(row.tokens[:-1])
        wanted = [
            token if said else IGNORED
            for token, said in zip(row.tokens[1:], row.spoken[1:], strict=True)
        ]
        targets[number, :length] = torch.tensor(wanted)
    return Batch(tokens, targets, masked=True)
