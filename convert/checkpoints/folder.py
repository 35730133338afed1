"""A model's folder: configuration beside weights in one file or in shards.

It reads what Hugging Face (`config.json`, safetensors or `pytorch_model.bin`), litgpt
(`lit_model.pth`, `model_config.yaml`), Meta (`consolidated.NN.pth`, `params.json`) and torchtune
leave behind. A shard's name comes from an index that somebody else wrote: it may not leave the
folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from convert.checkpoints import safetensors, torch_zip
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.consolidated import join_shards
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

MAX_CONFIG = 64 << 20  # bytes; an index of 100,000 tensors takes 10 MB

# (pattern of the weight files, name of the format), in order of preference.
LAYOUTS: tuple[tuple[str, str], ...] = (
    ("model.safetensors.index.json", "hf-safetensors"),
    ("model.safetensors", "hf-safetensors"),
    ("model-?????-of-?????.safetensors", "hf-safetensors"),
    ("pytorch_model.bin.index.json", "hf-bin"),
    ("pytorch_model.bin", "hf-bin"),
    ("lit_model.pth", "litgpt"),
    ("consolidated.[0-9][0-9].pth", "meta"),
    ("consolidated.safetensors", "meta"),
    ("ft-model-?????-of-?????.safetensors", "torchtune"),
    ("hf_model_????_?.pt", "torchtune"),
    ("meta_model_?.pt", "torchtune"),
    ("torchtune_model_*.pt", "torchtune"),
    ("torchtune_model_*.safetensors", "torchtune"),
)
_CONFIGS = ("config.json", "params.json", "model_config.yaml")


def recognise(folder: Path) -> bool:
    """Whether `folder` holds weights under one of the names above."""
    return _find(folder) is not None


def read(folder: Path) -> Checkpoint:
    """The model in `folder`. Raises `CheckpointError`."""
    found = _find(folder)
    if found is None:
        raise CheckpointError(f"{folder.name} holds no weights under a name we know.")
    files, name = found
    if files[0].name.endswith(".index.json"):
        files = _read_index(files[0])
    parts = [_read_part(path) for path in files]
    tensors = join_shards([part.tensors for part in parts]) if name == "meta" else _merge(parts)
    facts = {key: value for part in parts for key, value in part.facts.items()}
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    config = next((part.config for part in parts if part.config), {}) | read_config(folder)
    return Checkpoint(folder, name, tensors, facts, notes, config, tuple(files))


def add_config(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` from a single file, with the configuration that lies beside it."""
    beside = read_config(checkpoint.folder)
    return replace(checkpoint, config=checkpoint.config | beside) if beside else checkpoint


def read_config(folder: Path) -> dict[str, Any]:
    """The first of the configurations we know in `folder`; {} where there is none."""
    for name in _CONFIGS:
        if (folder / name).is_file():
            return load_object(folder / name)
    return {}


def load_object(path: Path) -> dict[str, Any]:
    """The JSON or YAML object in `path`. Raises `CheckpointError`."""
    try:
        if path.stat().st_size > MAX_CONFIG:
            raise CheckpointError(f"{path.name} has more than {MAX_CONFIG >> 20} MB.")
        text = path.read_text(encoding="utf-8")
        value = _load_yaml(text) if path.suffix == ".yaml" else json.loads(text)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is damaged: {str(error)[:120]}.") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} holds no object.", "Copy it from the original model.")
    return value


def _load_yaml(text: str) -> Any:
    yaml: Any = import_module("yaml")  # only litgpt writes it

    if text.count("&") or len(text) > 1 << 20:  # an alias of aliases grows without end
        raise ValueError("a model_config.yaml has no anchors and is short")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _find(folder: Path) -> tuple[list[Path], str] | None:
    for pattern, name in LAYOUTS:
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
        if files:
            return files, name
    return None


def _read_index(path: Path) -> list[Path]:
    weight_map = load_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path.name} has no weight_map.", "Copy it from the original model.")
    names = sorted({str(name) for name in weight_map.values()})
    outside = [name for name in names if Path(name).name != name or name in {"", ".", ".."}]
    if outside:
        raise CheckpointError(f"{path.name} names a file outside the folder: {outside[0][:80]!r}.")
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of {len(names)} shards are missing: {', '.join(missing[:4])[:300]}.",
            "Download the whole model.",
        )
    return [path.parent / name for name in names]


def _read_part(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        head = file.read(64)
    if safetensors.recognise(path, head):
        return safetensors.read(path)
    if torch_zip.recognise(path, head):
        return torch_zip.read(path)
    from convert.checkpoints import diagnose  # the registry imports this module

    raise diagnose(path, head)


def _merge(parts: Iterable[Checkpoint]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for part in parts:
        twice = tensors.keys() & part.tensors.keys()
        if twice:
            raise CheckpointError(
                f"{part.path.name} holds {min(twice)[:80]} again, which another shard has too.",
                "Keep the files of one model in the folder.",
            )
        tensors |= part.tensors
    return tensors
