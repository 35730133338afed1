"""Recognises weights that another tool has quantised, before anything is made of them.

They hold codes and scales where a model's weights should be; taken as weights they would give a
file full of noise.
"""

from __future__ import annotations

import re
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import CheckpointError

# (what the names of its tensors look like, the tool)
_SIGNS: tuple[tuple[str, str], ...] = (
    (r".*\.(?:absmax|quant_map|nested_absmax|quant_state\..*|SCB|weight_format)", "bitsandbytes"),
    (r".*\.(?:qweight|qzeros|g_idx)", "GPTQ or AWQ"),
    (r".*\.weight_packed", "compressed-tensors"),
    (r".*\.(?:weight_scale_inv|weight_scale|input_scale)", "an FP8 tool"),
    (r".*_blocks", "MXFP4"),
)


def refuse_quantised(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint`, or a `CheckpointError` naming the tool that quantised it."""
    said = checkpoint.config.get("quantization_config")
    if isinstance(said, dict):
        method: Any = said.get("quant_method", "a tool it does not name")
        raise _error(checkpoint, str(method)[:40], "its config.json says so")
    for name in checkpoint.tensors:
        for pattern, tool in _SIGNS:
            if re.fullmatch(pattern, name):
                raise _error(checkpoint, tool, f"it holds {name[:100]}")
    return checkpoint


def _error(checkpoint: Checkpoint, tool: str, evidence: str) -> CheckpointError:
    return CheckpointError(
        f"{checkpoint.path.name} was quantised by {tool}: {evidence}.",
        "Convert the 16-bit model it was made from; merge a LoRA into that one first.",
    )
