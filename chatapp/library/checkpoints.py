"""Which files and folders are checkpoints: weights as a training saved them, not model files."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from chatapp.paths import sees_file, sees_folder

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_BESIDE = (".json", ".model", ".txt", ".pkl", ".jinja", ".yaml", ".yml")
"""What the converter reads beside the weights: configuration, tokenizer, template."""
_MAGIC = b"GGUF"


def is_checkpoint(path: Path) -> bool:
    """Whether the converter could know what to do with it: a weights file, or a folder with one."""
    if sees_folder(path):
        return any(map(_is_unconverted, _files(path)))
    return sees_file(path) and _is_unconverted(path)


def stamp_checkpoint(path: Path) -> str:
    """A hash that is another one when a file of the checkpoint is written: names, sizes and times
    of all in its folder, or of a single file and what may belong to it beside it."""
    if sees_folder(path):
        files = [*_files(path)]
    else:
        files = [path, *(file for file in _files(path.parent) if file.suffix.lower() in _BESIDE)]
    digest = hashlib.sha256(os.fsencode(os.path.realpath(path)))
    for file in sorted(set(files)):
        try:
            status = file.stat()
        except OSError:  # it vanished meanwhile
            continue
        facts = f"\0{status.st_size}\0{status.st_mtime_ns}\0"
        digest.update(os.fsencode(file.name) + facts.encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:
        return
    yield from (Path(entry.path) for entry in entries if sees_file(Path(entry.path)))


def _is_unconverted(path: Path) -> bool:
    """Whether a file is named like weights, and no model file under such a name."""
    if path.suffix.lower() not in _WEIGHTS:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) != _MAGIC
    except OSError:  # whoever reads it says what is the matter
        return True
