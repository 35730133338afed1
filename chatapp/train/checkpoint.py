"""Checkpoints in nanoGPT's `ckpt.pt` layout, with what an exact resume needs besides.

Promises that a file under its final name is whole, and that loading runs nothing from a pickle
(`weights_only`). The surplus key `rng` is ours; readers of nanoGPT's format ignore it.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from chatapp.errors import ChatAppError, UsageError
from chatapp.gguf.replacing import replacement
from chatapp.train.language_model import LanguageModel
from chatapp.train.shapes import Args, class_of, make_model
from chatapp.train.tokenizer import identify

CHECKPOINT_FILE = "ckpt.pt"
GENERATION_FILE = "generation_config.json"
"""Hugging Face's name for how a model is best sampled; the converter carries it over."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that training had at one step."""

    model: dict[str, Any]
    optimizer: dict[str, Any]
    model_args: dict[str, Any]
    iter_num: int
    """Optimizer steps taken in this stage."""
    best_val_loss: float
    best_step: int = 0
    """Where that was."""
    config: dict[str, Any] = field(default_factory=dict)
    """The settings of the run, as plain values."""
    rng: dict[str, Any] = field(default_factory=dict)

    def restore_model(self, wanted: Args | None = None) -> LanguageModel:
        """The model these weights belong to; raises `ChatAppError` when they do not fit it.

        `wanted` is the same shape with another dropout.
        """
        args = self.read_args()
        model = make_model(wanted or args)
        model.load_state_dict(self.model)
        return model

    def check_tokenizer(self, tokenizer: Tokenizer, folder: Path) -> None:
        """Raise `ChatAppError` where the tokenizer in `folder` is not the model's own.

        Without a note of which one that is, its number of tokens has to be the model's, which some
        programs round up.
        """
        known, n_tokens = self.config.get("tokenizer"), tokenizer.get_vocab_size()
        n_rows = self.model_args.get("vocab_size")
        n_more = n_rows - n_tokens if isinstance(n_rows, int) else 0
        if n_more and not (isinstance(n_rows, int) and n_rows % 64 == 0 and 0 < n_more < _ROUNDED):
            said = f"has {n_tokens} tokens, the checkpoint's model {n_rows}"
        elif isinstance(known, str) and known != identify(tokenizer):
            said = f"has as many tokens as the checkpoint's model, {n_tokens}, and others"
        else:
            return
        raise ChatAppError(
            f"The tokenizer in {folder} {said}: they do not belong together.",
            "Put back the tokenizer that the model was trained with.",
        )

    def read_args(self) -> Args:
        """The model's shape; raises `ChatAppError` when it is not the shape of the weights."""
        wrong = "The checkpoint's weights do not fit its model:"
        try:
            chosen = class_of(self.model_args)
        except UsageError as error:
            raise ChatAppError(f"{wrong} {error.message}", DAMAGED) from error
        known = chosen.__dataclass_fields__
        for name, entry in known.items():
            kind = type(entry.default)
            value = self.model_args.get(name, entry.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise ChatAppError(f"{wrong} {name} is {value!r}.", DAMAGED)
        args = chosen(**{name: self.model_args.get(name, known[name].default) for name in known})
        layers = {found[1] for name in self.model if (found := _LAYER.match(name))}
        if len(layers) != args.n_layer:  # before as many are made
            raise ChatAppError(f"{wrong} {len(layers)} layers, not {args.n_layer}.", DAMAGED)
        with torch.device("meta"):  # shapes without memory
            expected = make_model(args).state_dict()
        for name in sorted(expected.keys() ^ self.model.keys()):
            said = "is missing" if name in expected else "is not known"
            raise ChatAppError(f"{wrong} {name} {said}.", DAMAGED)
        for name, tensor in expected.items():
            shape, wanted = list(self.model[name].shape), list(tensor.shape)
            if shape != wanted:
                raise ChatAppError(f"{wrong} {name} has shape {shape}, not {wanted}.", DAMAGED)
        return args


_LAYER = re.compile(r"(?:transformer\.h|model\.layers)\.(\d+)\.")
_ROUNDED = 512
"""Rows: to multiples of 64 to as many."""
DAMAGED = "Put a whole copy in its place, or remove it and train again."


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write `ckpt.pt` into `folder`; what was there stays until the new one is whole.

    Raises `OSError`, or PyTorch's `RuntimeError` when there is no room.
    """
    path = folder / CHECKPOINT_FILE
    folder.mkdir(parents=True, exist_ok=True)
    names = Checkpoint.__dataclass_fields__
    with replacement(path, mode=None) as part:
        torch.save({name: getattr(checkpoint, name) for name in names}, part)
    return path


def load_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`; raises `ChatAppError` when it is missing or not one of ours."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise ChatAppError(
            f"There is no checkpoint at {path}.", "Give the folder that training wrote."
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise ChatAppError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its readers of zips and pickles let out what damage does to them
        raise ChatAppError(f"{path} is no whole checkpoint.", DAMAGED) from error
    return _check(content, path)


_PARTS: dict[str, type | tuple[type, ...]] = {
    "model": dict,
    "optimizer": dict,
    "model_args": dict,
    "iter_num": int,
    "best_val_loss": (float, int, torch.Tensor),
}


def _check(content: Any, path: Path) -> Checkpoint:
    """What was loaded as a `Checkpoint`, if it has the parts of one."""
    if not isinstance(content, dict):
        raise ChatAppError(f"{path} is no checkpoint: it holds no parts by name.", DAMAGED)
    for name, kind in _PARTS.items():
        if name not in content:
            raise ChatAppError(f"{path} is no whole checkpoint: {name} is missing.", DAMAGED)
        if not isinstance(content[name], kind) or content[name] is True:
            raise ChatAppError(
                f"{path} is no whole checkpoint: {name} is of another kind.", DAMAGED
            )
    if not all(isinstance(tensor, torch.Tensor) for tensor in content["model"].values()):
        raise ChatAppError(f"{path} is no whole checkpoint: model holds no tensors.", DAMAGED)
    more = {name: content.get(name) for name in ("config", "rng")}
    step = content.get("best_step")
    return Checkpoint(
        best_step=step if type(step) is int else 0,
        model={str(name): tensor for name, tensor in content["model"].items()},
        optimizer=content["optimizer"],
        model_args=content["model_args"],
        iter_num=content["iter_num"],
        best_val_loss=float(content["best_val_loss"]),
        **{name: value for name, value in more.items() if isinstance(value, dict)},
    )
