"""Rotary positions: from a Hugging Face configuration to llama.cpp's keys, and the order of rows.

Hugging Face rotates the two halves of a head, some of llama.cpp's graphs neighbouring pairs: for
those the rows of Q and K are reordered, which changes no logit. Scaling that llama.cpp computes
differently is refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures.asking import THETA
from convert.architectures.model import HParam
from convert.architectures.settings import Settings
from convert.checkpoints.operations import computed, gather
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError


@dataclass(frozen=True)
class Rope:
    """Keys and tensors for the model file, and how many positions they are good for."""

    hparams: dict[str, HParam]
    tensors: tuple[Tensor, ...] = ()
    n_ctx: int | None = None
    """Positions, where fewer than the configuration says."""
    notes: tuple[str, ...] = ()
    scaling: dict[str, Any] = field(default_factory=dict)


def interleave(tensor: Tensor, n_head: int) -> Tensor:
    """Rows of Q or K (or their biases) from halves [2, d/2] to pairs [d/2, 2] in every head."""
    order = np.arange(tensor.n_rows).reshape(n_head, 2, -1).swapaxes(1, 2).reshape(-1)
    return gather(tensor, order, key=("interleaved", n_head))


def rope_parameters(settings: Settings, layer_type: str | None = None) -> dict[str, Any]:
    """Base and scaling under their present names (`rope_parameters`) or the former ones.

    `layer_type` picks one where a model has several, as Gemma 3 does. Where both names are there,
    transformers takes the former one.
    """
    found = settings.raw("rope_scaling") or settings.raw("rope_parameters")
    values = dict(found) if isinstance(found, dict) else {}
    if layer_type is not None and isinstance(values.get(layer_type), dict):
        values = dict(values[layer_type])
    if "type" in values and "rope_type" not in values:
        values["rope_type"] = values["type"]
    theta = settings.raw("rope_theta", "rotary_emb_base")
    if values.get("rope_theta") is None and theta is not None:
        values["rope_theta"] = theta
    return values


def read_rope(
    settings: Settings,
    n_rot: int,
    n_ctx: int,
    default_base: float | None = None,
    layer_type: str | None = None,
) -> Rope:
    """What the configuration says of rope. Raises `ArchitectureError`.

    `default_base` is what the format itself means where it names no base; None: it is asked for.
    `layer_type` picks one rope where layers of different kinds have their own.
    """
    values = rope_parameters(settings, layer_type)
    notes: tuple[str, ...] = ()
    base = _number(values, "rope_theta")
    if base is None and default_base is not None and values.get("rope_theta") is None:
        base = default_base
        notes = (f"The configuration names no rope_theta: {base:g}, as transformers has it.",)
    if base is None:
        base = float(settings.ask(THETA))
    hparams: dict[str, HParam] = {"rope.dimension_count": n_rot, "rope.freq_base": base}
    kind = str(values.get("rope_type", "default"))
    if kind in {"llama3", "yarn"}:
        said = settings.raw("original_max_position_embeddings")
        original = said or values.get("original_max_position_embeddings") or n_ctx
        values["original_max_position_embeddings"] = original
    rope = Rope(hparams, notes=notes, scaling=values)
    if kind == "default":
        return rope
    if kind == "linear":
        hparams |= {"rope.scaling.type": "linear", "rope.scaling.factor": _need(values, "factor")}
        return rope
    if kind == "llama3":
        factors = llama3_factors(values, base, n_rot)
        return replace(rope, tensors=(computed("rope_freqs.weight", factors, "rope_parameters"),))
    if kind == "yarn":
        hparams |= _yarn(values, n_ctx)
        return rope
    if kind == "dynamic":
        return _dynamic(rope, n_ctx)
    if kind in ("longrope", "proportional"):
        return rope
    raise ArchitectureError(f"Rope scaling of type {kind!r:.40} is not in llama.cpp.")


def _dynamic(rope: Rope, n_ctx: int) -> Rope:
    """transformers scales the base only beyond the positions of the configuration."""
    original = rope.scaling.get("original_max_position_embeddings")
    known = n_ctx
    if isinstance(original, int) and not isinstance(original, bool) and 0 < original < n_ctx:
        known = original
    note = (
        f"Dynamic rope scaling changes nothing up to {known} positions; llama.cpp has no more "
        "of it, so the file is limited to these."
    )
    return replace(rope, n_ctx=known, notes=(*rope.notes, note))


def llama3_factors(values: dict[str, Any], base: float, n_rot: int) -> NDArray[np.float32]:
    """What each frequency is divided by [n_rot / 2] (Llama 3.1, "llama3" in transformers)."""
    factor, original = _need(values, "factor"), _need(values, "original_max_position_embeddings")
    low, high = _need(values, "low_freq_factor"), _need(values, "high_freq_factor")
    if high <= low:
        raise ArchitectureError("high_freq_factor must be above low_freq_factor.")
    waves = 2 * math.pi * base ** (np.arange(0, n_rot, 2, dtype=np.float64) / n_rot)
    smooth = np.clip((original / waves - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def longrope_tensors(rope: Rope, n_rot: int, n_ctx: int) -> Rope:
    """Phi-3's two sets of factors, one for short and one for long contexts."""
    values = rope.scaling
    original = int(_need(values, "original_max_position_embeddings"))
    if original < 2:
        raise ArchitectureError("original_max_position_embeddings is 1, which scales nothing.")
    tensors = []
    for name in ("long", "short"):
        factors = values.get(f"{name}_factor")
        if not isinstance(factors, list) or len(factors) != n_rot // 2:
            raise ArchitectureError(f"{name}_factor needs {n_rot // 2} numbers.")
        if not all(isinstance(factor, int | float) for factor in factors):
            raise ArchitectureError(f"{name}_factor holds what is no number.")
        array = np.array([float(factor) for factor in factors], np.float32)
        tensors.append(computed(f"rope_factors_{name}.weight", array, "rope_parameters"))
    scale = n_ctx / original
    factor = _number(values, "attention_factor")
    if factor is None:
        factor = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
    hparams = rope.hparams | {
        "rope.scaling.original_context_length": original,
        "rope.scaling.attn_factor": factor,
    }
    return Rope(hparams, tuple(tensors), scaling=values)


def _yarn(values: dict[str, Any], n_ctx: int) -> dict[str, HParam]:
    original = _need(values, "original_max_position_embeddings")
    factor = n_ctx / original if values.get("factor") is None else _need(values, "factor")
    for name, allowed in (("beta_fast", 32), ("beta_slow", 1)):
        if values.get(name) not in (None, allowed):
            raise ArchitectureError(f"YaRN with {name}={values[name]!r:.20} is not carried over.")
    said = _number(values, "attention_factor")
    usual = _yarn_scale(factor, 1.0)
    if values.get("truncate") is False:
        raise ArchitectureError("YaRN without truncation is not carried over.")
    if said is None and values.get("mscale") and values.get("mscale_all_dim"):
        whole = _yarn_scale(factor, _need(values, "mscale_all_dim"))
        said = _yarn_scale(factor, _need(values, "mscale")) / whole
    hparams: dict[str, HParam] = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": factor,
        "rope.scaling.original_context_length": int(original),
    }
    if said is not None and abs(said - usual) > 1e-6:
        hparams["rope.scaling.attn_factor"] = said / usual
    return hparams


def _yarn_scale(factor: float, mscale: float) -> float:
    """What YaRN multiplies cosine and sine with."""
    return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0


def _number(values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 < value < 1e12 else None


def _need(values: dict[str, Any], name: str) -> float:
    value = _number(values, name)
    if value is None:
        raise ArchitectureError(f"Rope scaling has no usable {name}: {values.get(name)!r:.40}.")
    return value
