"""A model's folder: configuration beside weights in one file or in shards.

It reads what Hugging Face (`config.json`, safetensors or `pytorch_model.bin`), litgpt
(`lit_model.pth`, `model_config.yaml`), Meta (`consolidated.NN.pth`, `params.json`) and torchtune
leave behind. Where several are there, the first of `LAYOUTS` is taken, and the others are named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.consolidated import check_numbers, join_shards
from convert.checkpoints.files import read_file
from convert.checkpoints.objects import load_object as load_object
from convert.checkpoints.shards import NUMBERED, complete, merge, read_index
from convert.errors import CheckpointError

_HF, _LITGPT, _META = "config.json", "model_config.yaml", "params.json"
# (pattern of the weight files, name of the format, its configuration), in order of preference,
# which for Hugging Face is that of transformers' from_pretrained.
LAYOUTS: tuple[tuple[str, str, str], ...] = (
    ("model.safetensors", "hf-safetensors", _HF),
    ("model.safetensors.index.json", "hf-safetensors", _HF),
    ("model-[0-9]*-of-[0-9]*.safetensors", "hf-safetensors", _HF),
    ("pytorch_model.bin", "hf-bin", _HF),
    ("pytorch_model.bin.index.json", "hf-bin", _HF),
    ("pytorch_model-[0-9]*-of-[0-9]*.bin", "hf-bin", _HF),
    ("lit_model.pth", "litgpt", _LITGPT),
    ("consolidated.[0-9][0-9].pth", "meta", _META),
    ("consolidated.safetensors", "meta", _META),
    ("ft-model-[0-9]*-of-[0-9]*.safetensors", "torchtune", _HF),
    ("ft-model-[0-9]*-of-[0-9]*.bin", "torchtune", _HF),
    ("hf_model_[0-9]*_[0-9]*.pt", "torchtune", _HF),
    ("meta_model_[0-9]*.pt", "torchtune", _META),
    ("torchtune_model_*.pt", "torchtune", _HF),
    ("torchtune_model_*.safetensors", "torchtune", _HF),
    ("model-[0-9]*-of-[0-9]*.pt", "torchtune", _HF),
    ("model-[0-9]*-of-[0-9]*.pth", "torchtune", _HF),
)
_CONFIGS = (_HF, _META, _LITGPT)
# torchtune keeps every epoch: hf_model_SHARD_EPOCH.pt, meta_model_EPOCH.pt.
_EPOCH = re.compile(r"(?:hf_model_\d+|meta_model|torchtune_model)_(\d{1,6})\.(?:pt|safetensors)")


def recognise(folder: Path) -> bool:
    """Whether `folder` holds weights under one of the names above."""
    return bool(_find(folder))


def belongs(path: Path) -> bool:
    """Whether `path` is one of the files that `read` would take from its folder as one model."""
    found = _find(path.parent)
    if not found or path.name in _CONFIGS:
        return bool(found)
    files = _newest(found[0][0])[0]
    by_index = files[0].name.endswith(".index.json") and NUMBERED.fullmatch(path.name) is not None
    return path.name.endswith(".index.json") or by_index or (len(files) > 1 and path in files)


def read(folder: Path) -> Checkpoint:
    """The model in `folder`. Raises `CheckpointError`."""
    found = _find(folder)
    if not found:
        raise CheckpointError(
            f"{folder.name} holds no weights under a name we know.", "Name the file to convert."
        )
    files, name, config_name = found[0]
    notes = [f"Also there, and not used: {other[0].name}." for other, *_ in found[1:3]]
    if files[0].name.endswith(".index.json"):
        notes = [note for note in notes if "-of-" not in note]
        files = read_index(files[0])
    files, older = _newest(files)
    notes += [f"Of several epochs the last is taken; not used: {older[0].name}."] if older else []
    parts = [read_file(path) for path in complete(files)]
    if files[0].match("consolidated.??.pth"):
        check_numbers(files)
        tensors = join_shards([part.tensors for part in parts])
    else:
        tensors = merge(parts)
    facts = {key: value for part in parts for key, value in part.facts.items()}
    notes = list(dict.fromkeys([*notes, *(note for part in parts for note in part.notes)]))
    own = next((part.config for part in parts if part.config), {})
    config = read_config(folder, config_name) or own
    return Checkpoint(folder, name, tensors, facts, tuple(notes), config, tuple(files))


def read_config(folder: Path, first: str = _HF) -> dict[str, Any]:
    """The model's own description in `folder`, from the file `first` if that is there; or {}."""
    for name in sorted(_CONFIGS, key=lambda name: name != first):
        if (folder / name).is_file():
            return load_object(folder / name)
    return {}


def config_name(path: Path) -> str:
    """The configuration that belongs to a single weight file."""
    return next((config for pattern, _, config in LAYOUTS if path.match(pattern)), _HF)


def _find(folder: Path) -> list[tuple[list[Path], str, str]]:
    """Weight files, format and configuration of every layout that is there."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    found = []
    for pattern, name, config in LAYOUTS:
        files = [folder / each for each in names if Path(each).match(pattern)]
        if files:
            found.append((files, name, config))
    return found


def _newest(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """The files of the last epoch, and the others."""
    epochs = {path: int(found[1]) for path in files if (found := _EPOCH.fullmatch(path.name))}
    if len(epochs) < len(files):
        return files, []
    last = max(epochs.values())
    return (
        [path for path in files if epochs[path] == last],
        [path for path in files if epochs[path] != last],
    )
