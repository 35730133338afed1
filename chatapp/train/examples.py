"""The chats of a fine-tuning run as tokens: those that are trained on, those that are held out.

Promises that all files are looked at before training begins, that every bad line is named, and a
digest by which a run that goes on knows its chats again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

import numpy as np

from chatapp.errors import ChatAppError
from chatapp.train.bases import Base
from chatapp.train.chats import BadLineError, Chat, Complaints, read_chats
from chatapp.train.data import Sample
from chatapp.train.progress import Reporter
from chatapp.train.tuning_settings import Tuning

_SHARE = 20
"""One chat in so many is held out where nothing is said,"""
_FEWEST = 10
"""but none of fewer than so many, and"""
_MOST = 100
"""at most so many."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What is trained on and what is measured on."""

    train: list[Sample]
    held: list[Sample]

    @property
    def tokens(self) -> int:
        """Of all that is trained on."""
        return sum(len(sample.tokens) for sample in self.train)

    @property
    def answered(self) -> int:
        """Those of them that carry loss."""
        return sum(sum(sample.spoken) for sample in self.train)

    @property
    def longest(self) -> int:
        """Tokens of the longest one."""
        return max(len(sample.tokens) for sample in self.train)

    def digest(self) -> str:
        """A name for all of it."""
        made = blake2b(digest_size=16)
        for sample in (*self.train, *self.held):
            made.update(np.array(sample.tokens, dtype=np.int64).tobytes())
            made.update(np.array(sample.spoken, dtype=np.bool_).tobytes())
        return made.hexdigest()


def read_sources(tuning: Tuning, reporter: Reporter) -> tuple[list[Chat], list[Chat]]:
    """The chats to train on and those to measure on, before any model is loaded.

    Raises `ChatAppError` naming lines that are none, unless they are to be left out.
    """
    complaints = Complaints()
    chats = read_chats(tuning.sources, complaints)
    held = read_chats(tuning.heldout, complaints) if tuning.heldout else []
    complaints.settle(tuning.skip_bad, reporter.say)
    apart = {chat.messages for chat in held}
    both = [chat for chat in chats if chat.messages in apart]
    if both:
        number = f"{len(both)} of the held-out chats {'is' if len(both) == 1 else 'are'}"
        reporter.say(f"{number} also among those to train on: not trained on.")
        chats = [chat for chat in chats if chat.messages not in apart]
    if not chats:
        raise ChatAppError("There are no chats to fine-tune on.", "All lines are left out.")
    Random(tuning.seed).shuffle(chats)  # noqa: S311 - order, no secret
    if tuning.heldout or len(chats) < _FEWEST:
        return chats, held
    count = min(_MOST, len(chats) // _SHARE or 1)
    return chats[count:], chats[:count]


def encode_chats(
    chats: Sequence[Chat], held: Sequence[Chat], base: Base, tuning: Tuning, reporter: Reporter
) -> Examples:
    """Tokens of all chats. Raises `ChatAppError` naming those that do not fit the model."""
    complaints = Complaints()
    most = min(tuning.context or base.model.args.block_size, base.model.args.block_size)
    made = _encode(chats, base, most, complaints)
    apart = _encode(held, base, most, complaints)
    complaints.settle(tuning.skip_bad, reporter.say)
    if not made:
        raise ChatAppError("There are no chats to fine-tune on.", "All lines are left out.")
    return Examples(made, apart)


def _encode(chats: Sequence[Chat], base: Base, most: int, complaints: Complaints) -> list[Sample]:
    samples = []
    for chat in chats:
        try:
            samples.append(_encode_one(chat, base, most))
        except BadLineError as reason:
            complaints.add(chat.path, chat.number, reason)
    return samples


def _encode_one(chat: Chat, base: Base, most: int) -> Sample:
    sample = base.encode(chat.messages)
    if len(sample.tokens) > most:
        raise BadLineError(f"has {len(sample.tokens)} tokens; the context is {most}")
    if not any(sample.spoken[1:]):
        raise BadLineError("has no answer that the chat template writes")
    return sample
