"""What training keeps: the last checkpoint, to go on from, and the best one, to use.

Promises that a checkpoint which cannot be written leaves the one before it whole, and says so in
one sentence. `best/` is a folder of its own with the tokenizer, so that it opens in the chat; it
holds weights alone, without the optimizer's state.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from chatapp.errors import ChatAppError
from chatapp.gguf.seen import FILE
from chatapp.train.checkpoint import (
    CHECKPOINT_FILE,
    GENERATION_FILE,
    Checkpoint,
    save_checkpoint,
)
from chatapp.train.stopping import command_to_go_on

BEST_FOLDER = "best"
_BESIDE = (
    "tokenizer.json",
    "tokenizer_config.json",
    "meta.pkl",
    "config.json",
    GENERATION_FILE,
    FILE,
)


def keep(checkpoint: Checkpoint, folder: Path, home: Path) -> None:
    """Write the last checkpoint; raises `ChatAppError` when there is no room.

    `home` is the folder of the whole run, by which it is resumed.
    """
    _save(checkpoint, folder, home)


def keep_best(checkpoint: Checkpoint, folder: Path, home: Path) -> None:
    """Write the best checkpoint and what is read beside it; raises as `keep`."""
    best = folder / BEST_FOLDER
    _save(replace(checkpoint, optimizer={}, rng={}), best, home)
    for name in _BESIDE:
        if (folder / name).is_file():
            try:
                shutil.copyfile(folder / name, best / name)
            except OSError as error:
                raise ChatAppError(f"{best / name} cannot be written: {error.strerror}.") from error


def _save(checkpoint: Checkpoint, place: Path, home: Path) -> None:
    try:
        save_checkpoint(checkpoint, place)
    except (OSError, RuntimeError) as error:  # PyTorch's writer raises the latter on a full disk
        reason = getattr(error, "strerror", None) or "it could not be finished"
        free = f"{shutil.disk_usage(home).free / 1e6:,.0f} MB are free there"
        kept = (place / CHECKPOINT_FILE).is_file()
        raise ChatAppError(
            f"The checkpoint of step {checkpoint.iter_num} cannot be written into {place}: "
            f"{reason}; {free}.",
            ("The one before it is whole. " if kept else "")
            + f"Make room, then go on: {command_to_go_on(home)}",
        ) from error
