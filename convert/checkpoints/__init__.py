"""How the bytes are stored: from a path to a checkpoint, whichever format it is in.

The formats of single files are a registry in `files.py`, the layouts of folders one in `folder.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convert.checkpoints import folder
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.files import FORMATS, Format, read_file
from convert.checkpoints.leftovers import refuse_quantised
from convert.checkpoints.prefixes import strip_shared
from convert.checkpoints.source import locate, others_beside
from convert.errors import CheckpointError

__all__ = ["FORMATS", "Format", "locate", "open_checkpoint", "others_beside", "read_file"]


def open_checkpoint(path: Path) -> Checkpoint:
    """Open `path`, a file or a model's folder, lazily. Raises `CheckpointError`.

    A single file without a description of its own gets the one that lies beside it.
    """
    try:
        if path.is_dir():
            return refuse_quantised(folder.read(path))
        checkpoint = strip_shared(read_file(path))
        if not checkpoint.config:
            config = folder.read_config(path.parent, folder.config_name(path))
            checkpoint = replace(checkpoint, config=config)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}.", "Check its permissions."
        ) from error
    return refuse_quantised(checkpoint)
