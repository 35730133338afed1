"""Puts the checkpoint's weights into the author's model, all of them and nothing else.

A weight of the model that the checkpoint lacks would stay random, and one of the checkpoint's that
the model has no place for would be left out: both are errors that name them. Buffers, such as a
mask or a rotary table, the code makes itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convert.author.faults import AuthorError

_KEPT = ("running_mean", "running_var")  # buffers that training wrote
_SHOWN = 6


@dataclass(frozen=True)
class Places:
    """Where in the author's model the checkpoint's tensors go."""

    tensors: dict[str, torch.Tensor]
    """By the checkpoint's name, the model's own tensor."""
    missing: tuple[str, ...]
    """The model's weights that the checkpoint lacks."""
    unexpected: tuple[str, ...]
    """The checkpoint's weights that the model lacks."""
    misshapen: tuple[str, ...]
    """Sentences: both have it, in two shapes."""

    @property
    def fits(self) -> bool:
        """Whether every weight has its place."""
        return not (self.missing or self.unexpected or self.misshapen)

    @property
    def amiss(self) -> int:
        """How many tensors do not fit: missing, left over or misshapen."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)


def find_places(model: Any, shapes: Mapping[str, Sequence[int]], ignored: Iterable[str]) -> Places:
    """Which of the checkpoint's tensors goes where in `model`.

    `shapes` are those of the checkpoint's tensors by their names; the names may have one prefix
    more or less than the model's. `ignored` may be left without a place.
    """
    own = {name: tensor.data for name, tensor in model.state_dict(keep_vars=True).items()}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    parameters |= {name for name in own if name.endswith(_KEPT)}
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    renamed = _rename(list(shapes), own.keys() | buffers)
    tensors, misshapen, unexpected = dict[str, torch.Tensor](), list[str](), list[str]()
    for name, shape in shapes.items():
        target = renamed[name]
        if target not in own:
            if name not in set(ignored) and target not in buffers:
                unexpected.append(name)
        elif tuple(own[target].shape) == tuple(shape):
            if target in parameters or own[target].is_floating_point():
                tensors[name] = own[target]
        elif target in parameters:
            misshapen.append(
                f"{name} has shape {tuple(shape)}, in the code {tuple(own[target].shape)}"
            )
    given = {_place(tensor) for tensor in tensors.values()}
    names = set(renamed.values())
    missing = [
        name
        for name in own
        if name in parameters and name not in names and _place(own[name]) not in given
    ]
    return Places(tensors, tuple(missing), tuple(unexpected), tuple(misshapen))


def _place(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]]:
    """Equal for tied weights."""
    return tensor.data_ptr(), tuple(tensor.shape)


def _rename(names: list[str], own: Iterable[str]) -> dict[str, str]:
    """The checkpoint's names as the model has them: with the prefix that makes most of them fit."""
    places = set(own)
    prefixes = {""}
    for name in names[:1] + names[-1:]:
        prefixes |= {place.removesuffix(name) for place in places if place.endswith(f".{name}")}
    parts = names[0].split(".")[:-1] if names else []
    cut = {""} | {".".join(parts[:n]) + "." for n in range(1, len(parts) + 1)}
    best: dict[str, str] = {}
    most = -1
    for put in sorted(prefixes, key=len):
        for less in sorted(cut, key=len):
            tried = {name: put + name.removeprefix(less) for name in names}
            n_fitting = len(places.intersection(tried.values()))
            if n_fitting > most:
                best, most = tried, n_fitting
    return best


def refuse_misfit(places: Places, file: str, model: str) -> None:
    """Raise `AuthorError` naming what has no place."""
    if places.fits:
        return
    parts = []
    if places.misshapen:
        parts.append(f"{_list(places.misshapen)}")
    if places.missing:
        parts.append(f"the checkpoint lacks {_list(places.missing)}")
    if places.unexpected:
        parts.append(f"the code has no place for {_list(places.unexpected)}")
    raise AuthorError(
        f"The weights do not fit {file}'s {model}: {'; '.join(parts)}.",
        "Is it the code that trained them? Sizes and switches are given with --code-args k=v.",
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:160] for name in names[:_SHOWN]) + more


def settle(model: Any) -> None:
    """Float32 on the CPU, dropout off, no gradients."""
    model.float()
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def without_dropout() -> None:
    """Functions that drop at random do not: some code calls them whatever the mode."""
    functional = torch.nn.functional
    attention = functional.scaled_dot_product_attention

    def keep(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ARG001
        return x

    def attend(*args: Any, **kwargs: Any) -> torch.Tensor:
        if len(args) > 4:
            args = (*args[:4], 0.0, *args[5:])
        return attention(*args, **{**kwargs, **({"dropout_p": 0.0} if len(args) < 5 else {})})

    for name, instead in {"dropout": keep, "scaled_dot_product_attention": attend}.items():
        setattr(functional, name, instead)
