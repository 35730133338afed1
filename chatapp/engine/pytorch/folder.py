"""A folder that transformers has saved, or one with a `ckpt.pt`, before transformers sees it.

Promises: nothing in the folder is run. What would make transformers import, download or compile
something of somebody else's is refused by name, or left out of the configuration that it is given.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chatapp.engine.pytorch.characters import META_FILE
from chatapp.engine.pytorch.checkpoint import find_checkpoint, read_checkpoint
from chatapp.errors import ModelError
from chatapp.gguf.naming import name_source

_MOST_BYTES = 4 << 20
"""A configuration is a few kilobytes."""
_MOST_LAYERS = 4096
_DEEPEST = 16
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_FLOATS = ("Infinity", "-Infinity", "NaN")
"""Numbers that JSON lacks, as transformers writes them."""
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
_LEFT_OUT = (
    "_implementation",
    "_implementation_internal",
    "auto_map",
    "fusion_config",
    "kernel_config",
    "distributed_config",
    "custom_pipelines",
    "transformers_weights",
    "name_or_path",
)
"""Ends of keys: these name code, or places where code or weights are fetched from."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder says of its model."""

    path: Path
    config: dict[str, Any]
    """`config.json`, without what names code."""
    model_type: str
    architecture: str
    """The class that saved it; empty where it does not say."""
    brings_code: bool
    """It names Python files of its own."""
    name: str
    """What the model is called."""
    size_bytes: int
    """Of the weights."""
    fingerprint: str
    state: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """Weights of a checkpoint, by transformers' names; None: they lie in transformers' files."""


def read_folder(path: Path) -> Folder:
    """Look at a folder, or at the folder that holds the weights file `path`. Raises `ModelError`,
    which says what transformers would not load."""
    folder = path if path.is_dir() else path.parent
    has_weights = path == folder and any((folder / name).is_file() for name in _WEIGHTS)
    if not has_weights and (file := find_checkpoint(path)):
        return _read_checkpoint(path, file)
    if path != folder and path.name not in _WEIGHTS and not _SHARD.fullmatch(path.name):
        raise ModelError(
            f"{path.name} is a bare checkpoint, and transformers loads folders that it has saved.",
            "`chatapp convert` reads it, and says what it needs to know.",
        )
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{folder.name} holds an adapter, which is no model by itself.",
            "`chatapp convert` merges it into its base.",
        )
    config = _read_config(folder)
    named = config.get("model_type")
    if not isinstance(named, str) or not named:
        raise ModelError(f"{folder.name}/config.json does not say which model_type it is.")
    if config.get("quantization_config"):
        raise ModelError(
            f"The weights of {folder.name} are quantised already, which PyTorch runs only with "
            "libraries of its maker's.",
            "Take the model it was made from, or a GGUF of it.",
        )
    weights = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not weights:
        raise ModelError(
            f"{folder.name} holds no weights that transformers would load.",
            f"It looks for {' or '.join(_WEIGHTS[::2])}.",
        )
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(
            f"{folder.name} holds no tokenizer.",
            "Save it beside the weights: tokenizer.save_pretrained(FOLDER).",
        )
    _check_sentencepiece(folder)
    classes = config.get("architectures")
    first = classes[0] if isinstance(classes, list) and classes else ""
    return Folder(
        folder,
        _clean(config),
        named,
        first if isinstance(first, str) else "",
        "auto_map" in config,
        name_source(path, config.get("_name_or_path")),
        _weigh(folder, weights[0]),
        _fingerprint(folder),
    )


def _read_checkpoint(path: Path, file: Path) -> Folder:
    """What a `ckpt.pt` says, with a tokenizer or nanoGPT's characters beside it."""
    folder = file.parent
    if not any((folder / name).is_file() for name in (*_TOKENIZERS, META_FILE)):
        raise ModelError(
            f"{folder.name} holds no tokenizer, and no characters ({META_FILE}).",
            "Put beside the checkpoint what it was trained with. `chatapp convert` also looks in "
            "other folders.",
        )
    config, state = read_checkpoint(file)
    config = _clean(config)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{file} does not say which kind of model it is.",
            "`chatapp convert` reads more kinds of checkpoints, and says what it needs to know.",
        )
    size = sum(tensor.nbytes for tensor in state.values())
    name, print_ = name_source(path, None), _fingerprint(folder)
    return Folder(folder, config, config["model_type"], "", False, name, size, print_, state)


def _check_sentencepiece(folder: Path) -> None:
    """transformers' own words about a missing library speak of another one."""
    pieces = [name for name in _TOKENIZERS if name.endswith(".model") and (folder / name).is_file()]
    if not pieces or (folder / _TOKENIZERS[0]).is_file():
        return
    missing = [name for name in ("sentencepiece", "google.protobuf") if not _is_installed(name)]
    if missing:
        names = " ".join(name.removeprefix("google.") for name in missing)
        raise ModelError(
            f"{folder.name} has its tokenizer in {pieces[0]}, for which transformers needs "
            f"{' and '.join(names.split())}.",
            f"pip install {names}",
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # nor the package it is in
        return False


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
        config = json.loads(data) if len(data) <= _MOST_BYTES else None
    except FileNotFoundError:
        raise ModelError(
            f"{folder.name} has no config.json: transformers cannot tell which model it is.",
            "`chatapp convert` reads more kinds of checkpoints, and says what it needs to know.",
        ) from None
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{file} is no configuration of a model.")
    return config


def _clean(value: Any, depth: int = 0) -> Any:
    """`value` without what names code, at any depth."""
    if depth > _DEEPEST:
        raise ModelError("The configuration of the model is nested too deeply.")
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if [*value] == ["__float__"] and value["__float__"] in _FLOATS:
        return float(value["__float__"])
    for key, item in value.items():
        names_layers = "layers" in key or key.endswith("layer")
        if names_layers and isinstance(item, int) and item > _MOST_LAYERS:
            raise ModelError(f"The configuration speaks of {item:,} layers ({key}).")
    return {
        key: _clean(item, depth + 1) for key, item in value.items() if not key.endswith(_LEFT_OUT)
    }


def _weigh(folder: Path, first: Path) -> int:
    """Bytes of the weights; of files in several parts, all that are of the first one's kind. The
    same weights in another form, such as Mistral's consolidated.safetensors, are none of them."""
    if not first.name.endswith(".index.json"):
        return first.stat().st_size
    kind = ".safetensors" if ".safetensors" in first.name else ".bin"
    parts = [file for file in folder.iterdir() if file.suffix == kind]
    named = [file for file in parts if _SHARD.fullmatch(file.name)]
    return sum(file.stat().st_size for file in named or parts)


def _fingerprint(folder: Path) -> str:
    """New whenever a file in the folder is written: stored tokens are valid as long as it stays."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file():
            status = file.stat()
            digest.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:32]
