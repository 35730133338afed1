"""Where a checkpoint's tokenizer may lie: beside it, in nanoGPT's data folder, two folders up.

It promises that a name written in the checkpoint never leads out of the data folder.
"""

from __future__ import annotations

from pathlib import Path

from convert.checkpoints.checkpoint import Checkpoint

_UP = 2  # project/out/run-1/ckpt.pt with the tokenizer in project/
_DATA_UP = 3


def beside(checkpoint: Checkpoint) -> list[Path]:
    """Folders that belong to the checkpoint: what lies there is its own."""
    folder = checkpoint.folder.resolve()
    return [folder, folder / "tokenizer"]


def around(checkpoint: Checkpoint) -> list[Path]:
    """Folders that may belong to others too: nanoGPT's `data/NAME`, then upwards."""
    folder = checkpoint.folder.resolve()
    names = [checkpoint.fact("config", "dataset"), checkpoint.config.get("dataset")]
    # a name that somebody else wrote: it may not leave the data folder
    sets = [name for name in names if isinstance(name, str) and Path(name).name == name != ".."]
    bases = (folder, *folder.parents[:_DATA_UP])
    data = [base / "data" / name for base in bases for name in sets[:1]]
    up = [place for base in folder.parents[:_UP] for place in (base, base / "tokenizer")]
    return [*data, *up]
