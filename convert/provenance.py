"""Where a model file came from: what is written into its metadata, and whether it stayed the same.

The hash is the file's own sha256, as `sha256sum` prints it; over several files, that of all their
bytes in order.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from math import isfinite

from chatapp.gguf.seen import read_seen_file
from convert.checkpoints.checkpoint import Checkpoint
from convert.progress import Progress

_HASH_BLOCK = 4 << 20


def describe_source(checkpoint: Checkpoint, progress: Progress) -> dict[str, str | int | float]:
    """Provenance for the metadata: who converted what, and how far it was trained."""
    facts: dict[str, str | int | float] = {
        "version": _own_version(),
        "source.format": checkpoint.format,
        "source.sha256": _hash_files(checkpoint, progress),
    }
    iteration = checkpoint.fact("iter_num")
    if type(iteration) is int and 0 <= iteration < 1 << 32:
        facts["source.iteration"] = iteration
    loss = checkpoint.number("best_val_loss")
    if loss is not None and isfinite(loss) and abs(loss) < 1e30:
        facts["source.validation_loss"] = loss
    if seen := read_seen_file(checkpoint.path):
        facts["trained_on"] = seen
    return facts


def stamp(checkpoint: Checkpoint) -> tuple[tuple[int, int, int], ...]:
    """What changes when one of the weight files is written to or replaced."""
    statuses = [path.stat() for path in checkpoint.weight_files]
    return tuple((status.st_ino, status.st_size, status.st_mtime_ns) for status in statuses)


def _hash_files(checkpoint: Checkpoint, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    total = sum(path.stat().st_size for path in checkpoint.weight_files)
    for path in checkpoint.weight_files:
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK):
                digest.update(block)
                done += len(block)
                progress("progress", step="read", done=done, total=total)
    return digest.hexdigest()


def _own_version() -> str:
    try:
        return version("chatapp")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "source tree"
