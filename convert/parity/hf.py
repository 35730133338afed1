"""A Hugging Face folder's model, run by transformers.

It promises that nothing is fetched and no code of the folder is run: the class is transformers' own
for the configuration's `model_type`, and the weights are the ones that we read, under the names
they have in the file. Attention is the eager one: others leave out soft capping.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from importlib import import_module
from math import inf, nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS
from convert.parity.references import Unavailable
from convert.witness import TRANSFORMERS


def load(checkpoint: Checkpoint, model: Model) -> HuggingFace:  # noqa: ARG001  (the contract)
    """The model that `checkpoint.config` describes. Raises `Unavailable`."""
    return HuggingFace(checkpoint)


class HuggingFace:
    """A causal language model of transformers, in float32 on the CPU."""

    against, notes = TRANSFORMERS, ()

    def __init__(self, checkpoint: Checkpoint) -> None:
        network, version = build(checkpoint, "AutoModelForCausalLM")
        self.name = f"transformers {version}"
        self._network = network
        try:
            self.logits([0])
        except Exception as error:  # noqa: BLE001  (a foreign library on a foreign configuration)
            raise Unavailable(f"{self.name} cannot run it: {str(error)[:200]}") from None

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows] after each of `ids`."""
        result: NDArray[np.float32] = self._network(torch.tensor([list(ids)])).logits[0].numpy()
        return result


def build(checkpoint: Checkpoint, auto: str, unused: str = "\0") -> tuple[Any, str]:
    """(model, version of transformers), by transformers' class `auto`. Raises `Unavailable`.

    Weights whose names begin with `unused` may be missing: their output is not looked at.
    """
    try:
        transformers: Any = import_module("transformers")
    except ImportError:
        raise Unavailable("transformers is not installed") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = {
        name: _number(value)
        for name, value in checkpoint.config.items()
        if name not in ("auto_map", "quantization_config", "dtype", "torch_dtype")
    }
    weights = {
        name: torch.from_numpy(tensor.float32())
        for name, tensor in checkpoint.tensors.items()
        if tensor.dtype in FLOATS
    }
    try:
        weights |= _unpacked(checkpoint)
        with contextlib.redirect_stdout(io.StringIO()):
            described = transformers.AutoConfig.for_model(**config)
            described._attn_implementation = "eager"
            kind = _class_for(transformers, auto, described)
            network, report = kind.from_pretrained(
                None,
                config=described,
                state_dict=weights,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # noqa: BLE001  (a foreign library on foreign data: any of them)
        raise Unavailable(
            f"transformers {transformers.__version__} cannot load it: {str(error)[:200]}"
        ) from None
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(unused))
    if missing:
        raise Unavailable(f"transformers misses weights that it would invent: {missing[0][:100]}")
    return network.eval(), transformers.__version__


_FLOATS = {"Infinity": inf, "-Infinity": -inf, "NaN": nan}


def _number(value: Any) -> Any:
    """`value` with infinities as numbers: transformers writes them as {"__float__": "Infinity"}."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict) and list(value) == ["__float__"]:
        return _FLOATS.get(str(value["__float__"]), value)
    return value


def _class_for(transformers: Any, auto: str, config: Any) -> Any:
    """The class by `auto`, or the one that sees pictures where a language model lies in that."""
    seeing = transformers.AutoModelForImageTextToText._model_mapping
    if auto == "AutoModelForCausalLM" and type(config) in seeing:
        return seeing[type(config)]
    return getattr(transformers, auto)._model_mapping[type(config)]


def _unpacked(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Experts in MXFP4 as transformers itself unpacks them."""
    found = {}
    for name, tensor in checkpoint.tensors.items():
        stem = name.removesuffix("_blocks")
        if tensor.dtype == "U8" and stem != name and f"{stem}_scales" in checkpoint.tensors:
            unpack = import_module("transformers.integrations.mxfp4").convert_moe_packed_tensors
            parts = (tensor, checkpoint.tensors[f"{stem}_scales"])
            codes = (torch.from_numpy(part.float32()).to(torch.uint8) for part in parts)
            found[stem] = unpack(*codes, dtype=torch.float32)
    return found
