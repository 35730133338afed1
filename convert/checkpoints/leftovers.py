"""Recognises weights that another tool has quantised, before anything is made of them.

They hold codes and scales where a model's weights should be; taken as weights they would give a
file full of noise. A config.json that speaks of quantisation while the weights are whole is what
merging a QLoRA leaves behind: that is a note, not an error.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import CheckpointError

_MXFP4 = re.compile(r".*_proj_(?:blocks|scales)")
# (what the names of its tensors look like, the tool)
_SIGNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r".*\.(?:absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..*|SCB|CB"
            r"|weight_format)"
        ),
        "bitsandbytes",
    ),
    (re.compile(r".*\.(?:qweight|qzeros|g_idx)"), "GPTQ or AWQ"),
    (re.compile(r".*\.(?:weight_packed|weight_shape|weight_zero_point)"), "compressed-tensors"),
    (
        re.compile(r".*\.(?:weight_scale_inv|weight_scale|input_scale|weight_scale_2)"),
        "an FP8 tool",
    ),
    (_MXFP4, "MXFP4"),
    (re.compile(r".*\._packed_params(?:\..*)?"), "PyTorch"),
    (re.compile(r".*\.(?:W_q|quantizers\..*)"), "HQQ"),
    (re.compile(r".*\.weight\.?_(?:qdata|tensor_impl.*|data|scale)"), "torchao or quanto"),
)
_CONFIG_KEYS = ("quantization_config", "compression_config", "quantization")
_CODES = frozenset({"I8", "U8", "I16", "U16", "I32", "U32"})


def refuse_quantised(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint`, or a `CheckpointError` naming the tool that quantised it.

    gpt-oss is published in MXFP4, which llama.cpp has too: its codes and scales are read.
    """
    known = checkpoint.config.get("model_type") == "gpt_oss"
    said = next(
        (value for key in _CONFIG_KEYS if isinstance(value := checkpoint.config.get(key), dict)), {}
    )
    method: Any = said.get("quant_method") or said.get("quant_algo") or "a tool it does not name"
    if any(name.endswith("flat_param") for name in checkpoint.tensors):
        raise CheckpointError(
            f"{checkpoint.path.name} holds the flat parameters of FSDP, in which nothing has "
            "its shape.",
            "Save with StateDictType.FULL_STATE_DICT, or with get_model_state_dict.",
        )
    for name, tensor in checkpoint.tensors.items():
        if known and _MXFP4.fullmatch(name):
            said = {}
            continue
        for pattern, tool in _SIGNS:
            if pattern.fullmatch(name):
                raise _error(checkpoint, tool, f"it holds {name[:100]}")
        if tensor.dtype.startswith("F8_"):
            raise _error(checkpoint, "an FP8 tool", f"{name[:100]} is stored as {tensor.dtype}")
        if said and len(tensor.shape) > 1 and tensor.dtype in _CODES:
            raise _error(checkpoint, str(method)[:40], "its config.json says so")
    if not said:
        return checkpoint
    note = (
        f"config.json speaks of quantisation by {str(method)[:40]}, but the weights are whole: "
        "converted as they are."
    )
    return replace(checkpoint, notes=(*checkpoint.notes, note))


def _error(checkpoint: Checkpoint, tool: str, evidence: str) -> CheckpointError:
    return CheckpointError(
        f"{checkpoint.path.name} was quantised by {tool}: {evidence}.",
        "Convert the 16-bit model it was made from; merge a LoRA into that one first.",
    )
