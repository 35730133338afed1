"""Room on the disk: what a run will write, and whether there is as much before it begins."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from chatapp.errors import ChatAppError
from chatapp.train.plan import say_bytes

BEST = 4
"""Bytes a trained weight takes where weights are kept alone,"""
LAST = 12
"""and where AdamW's two moments are kept beside each;"""
_LAST_MUON = 8
"""Muon has one for most."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes a run writes, in all and beside that in passing."""

    kept: float
    """What is there at the end of the run."""
    passing: float
    """The largest file, which is written beside the one before."""

    def check(self, folder: Path) -> None:
        """Raise `ChatAppError` where `folder`, which holds a part of it when a run goes on, is on a
        disk with less room."""
        there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        needed = max(0.0, self.kept - there) + self.passing
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise ChatAppError(
                f"This run will write about {say_bytes(needed)} into {folder}, where "
                f"{say_bytes(free)} are free.",
                "Make room, take a folder on another disk, or a smaller model.",
            )


def room_for_stages(weights: int, packed: int, optimizers: list[str]) -> Room:
    """For a run from text of so many `packed` bytes: it, and the last and the best checkpoint of
    each stage, by its optimizer."""
    last = [(LAST if one == "adamw" else _LAST_MUON) * weights for one in optimizers]
    kept = packed + sum(last) + len(last) * BEST * weights
    return Room(kept, max(last))


def room_for_tuning(trained: int, written: float, *, apart: bool) -> Room:
    """For fine-tuning `trained` weights, which take `written` bytes in the form they are used in.

    `apart`: that form is kept beside the checkpoint to go on from, for the last and the best.
    """
    state = LAST * trained
    return Room(state + (2 if apart else 1) * written, max(state, written))
