"""Which files and folders are checkpoints: weights as a training saved them, not model files."""

import hashlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from chatapp.paths import sees_file, sees_folder

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_BESIDE = (".json", ".model", ".txt", ".pkl", ".jinja", ".yaml", ".yml")
"""What the converter reads beside the weights: configuration, tokenizer, template."""
_ABOVE = (
    *("tokenizer", "vocab", "merges", "spiece", "special_tokens", "added_tokens", "qwen."),
    *("meta.", "char", "stoi.", "itos.", "alphabet.", "train.", "val."),
)
"""How the names begin of what the converter also takes from the folders above: tokenizers, and the
data that a model was trained on. Others are of other programs."""
_LOGS = (".jsonl", ".log", ".csv", ".png", ".out", ".err", ".tmp", ".part", ".lock")
_NOTES = ("run.json", "finetune.json", "trainer_state.json", "events.out.tfevents")
_STATES = ("optimizer.", "scheduler.", "scaler.", "rng_state", "training_args.")
"""What training programs, ours and others, write beside a model for themselves: how the names of
their files end or begin."""
_OWN_FOLDERS = ("training", "best")
"""Folders in a run of ours: what going on needs, and another model."""
_RECORDS = ("run.json", "finetune.json")
_MAGIC = b"GGUF"
_UP, _DOWN = 3, 3
"""Folders above and below a checkpoint in which the converter looks."""
_MOST = 4096
"""Files that are looked at; more are no model's."""


def is_checkpoint(path: Path) -> bool:
    """Whether the converter could know what to do with it: a weights file, or a folder with one."""
    if sees_folder(path):
        return any(map(_is_unconverted, _files(path)))
    return sees_file(path) and _is_unconverted(path)


def stamp_checkpoint(path: Path) -> str:
    """A hash that is another one when a file is written that the converter may read with it.

    These are names, sizes and times of all in its folder and below (`1_Pooling`, `tokenizer`,
    `transformer`), or of a single file and what may belong to it there, and of tokenizers and data
    in the folders above. Logs and other things that a training program writes for itself do not
    count, so that a run goes on while its model stays what it is.
    """
    real = Path(os.path.realpath(path))
    if sees_folder(real):
        folder, files = real, [*islice(_below(real, _DOWN), _MOST)]
    else:
        folder, near = real.parent, islice(_below(real.parent, _DOWN), _MOST)
        files = [real, *(file for file in near if file.suffix.lower() in _BESIDE)]
    files += islice(_above(folder), _MOST)
    digest = hashlib.sha256(os.fsencode(real))
    for file in sorted(set(files)):
        if file != real and _is_for_itself(file):
            continue
        try:
            status = file.stat()
        except OSError:  # it vanished meanwhile
            continue
        facts = f"\0{status.st_size}\0{status.st_mtime_ns}\0"
        digest.update(os.fsencode(file) + facts.encode())
    return digest.hexdigest()


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """The files in a folder, then those in the folders in it, to a depth."""
    yield from _files(folder)
    if depth:
        is_run = any(sees_file(folder / name) for name in _RECORDS)
        for inner in _folders(folder):
            if is_run and inner.name in _OWN_FOLDERS:
                continue
            yield from _below(inner, depth - 1)


def _above(folder: Path) -> Iterator[Path]:
    """What may be the checkpoint's in the folders above its own."""
    for base in folder.parents[:_UP]:
        data = base / "data"
        for place in (base, base / "tokenizer", data, *_folders(data)):
            yield from (file for file in _files(place) if file.name.startswith(_ABOVE))


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder; none where it cannot be read."""
    yield from filter(sees_file, _entries(folder))


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in a folder; no links, which may lead around in circles."""
    yield from (e for e in _entries(folder) if sees_folder(e) and not e.is_symlink())


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as listing:
            return sorted(Path(entry.path) for entry in listing)
    except OSError:
        return []


def _is_for_itself(file: Path) -> bool:
    """Whether a training program keeps a file for itself, or is writing it."""
    name = file.name.lower()
    return name.startswith((".", *_NOTES, *_STATES)) or name.endswith(_LOGS)


def _is_unconverted(path: Path) -> bool:
    """Whether a file is named like weights, and no model file under such a name."""
    if path.suffix.lower() not in _WEIGHTS:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) != _MAGIC
    except OSError:  # whoever reads it says what is the matter
        return True
