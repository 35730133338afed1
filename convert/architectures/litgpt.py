"""litgpt's checkpoints: one set of names for many families, told apart by model_config.yaml.

Q, K and V are one matrix. Since 0.5.4 it is called `attn.qkv` and holds all of Q, then K, then V;
before, `attn.attn` held them group by group.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from convert.architectures.settings import Settings
from convert.architectures.taking import by_new_name
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import cut, gather
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_SIGNS = ("transformer.h.0.attn.qkv.weight", "transformer.h.0.attn.attn.weight")
_LLAMA = {
    "transformer.wte.weight": "model.embed_tokens.weight",
    "transformer.ln_f.weight": "model.norm.weight",
    "lm_head.weight": "lm_head.weight",
}
_LLAMA_LAYER = {
    "attn.proj": "self_attn.o_proj",
    "mlp.fc_1": "mlp.gate_proj",
    "mlp.fc_2": "mlp.up_proj",
    "mlp.proj": "mlp.down_proj",
    "norm_1": "input_layernorm",
    "norm_2": "post_attention_layernorm",
}
_NEOX = {
    "transformer.wte.weight": "gpt_neox.embed_in.weight",
    "transformer.ln_f.weight": "gpt_neox.final_layer_norm.weight",
    "transformer.ln_f.bias": "gpt_neox.final_layer_norm.bias",
    "lm_head.weight": "embed_out.weight",
}
_NEOX_LAYER = {
    "attn.proj": "attention.dense",
    "mlp.fc": "mlp.dense_h_to_4h",
    "mlp.proj": "mlp.dense_4h_to_h",
    "norm_1": "input_layernorm",
    "norm_2": "post_attention_layernorm",
}


def is_llama(checkpoint: Checkpoint) -> bool:
    """Whether the names are litgpt's and the MLP is a Llama's."""
    return _is_litgpt(checkpoint) and "transformer.h.0.mlp.fc_1.weight" in checkpoint.tensors


def is_neox(checkpoint: Checkpoint) -> bool:
    """Whether the names are litgpt's and the MLP is GPT-NeoX's."""
    return _is_litgpt(checkpoint) and "transformer.h.0.mlp.fc.weight" in checkpoint.tensors


def _is_litgpt(checkpoint: Checkpoint) -> bool:
    return any(sign in checkpoint.tensors for sign in _SIGNS)


def as_llama(checkpoint: Checkpoint) -> Checkpoint:
    """Under Hugging Face's names for a Llama. Raises `ArchitectureError`."""
    settings = Settings(checkpoint)
    settings.require("norm_class_name", ("RMSNorm",), "a Llama has RMSNorm")
    settings.require("mlp_class_name", ("LLaMAMLP",), "a Llama's MLP is gated by SiLU")
    settings.require("parallel_residual", (False,), "a Llama's MLP follows its attention")
    settings.require("rotary_percentage", (1, 1.0), "a Llama rotates whole heads")
    _refuse_variants(settings)
    tensors: list[tuple[str, Tensor]] = []
    for name, tensor in checkpoint.tensors.items():
        layer, part = _split_name(name)
        if part.startswith(("attn.qkv.", "attn.attn.")):
            ending = part.rpartition(".")[2]
            for letter, piece in zip("qkv", split_qkv(settings, tensor, part), strict=True):
                ours = f"model.layers.{layer}.self_attn.{letter}_proj.{ending}"
                tensors.append((ours, piece))
        else:
            ours = _rename(name, layer, part, _LLAMA, _LLAMA_LAYER, "model.layers")
            tensors.append((ours, tensor))
    config = {
        **_shared_config(settings, checkpoint),
        "model_type": "llama",
        "num_key_value_heads": settings.raw("n_query_groups"),
        "head_dim": settings.raw("head_size"),
        "rms_norm_eps": settings.raw("norm_eps"),
        "rope_parameters": _rope(settings),
    }
    return replace(checkpoint, tensors=by_new_name(tensors), config=checkpoint.config | config)


def as_neox(checkpoint: Checkpoint) -> Checkpoint:
    """Under Hugging Face's names for a GPT-NeoX, Q, K and V in a row. Raises."""
    settings = Settings(checkpoint)
    settings.require("norm_class_name", ("LayerNorm",), "a GPT-NeoX has LayerNorm")
    settings.require("mlp_class_name", ("GptNeoxMLP",), "a GPT-NeoX has a plain MLP")
    _refuse_variants(settings)
    tensors: list[tuple[str, Tensor]] = []
    for name, tensor in checkpoint.tensors.items():
        layer, part = _split_name(name)
        if part.startswith(("attn.qkv.", "attn.attn.")):
            ours = f"gpt_neox.layers.{layer}.attention.query_key_value.{part.rpartition('.')[2]}"
            grouped = part.startswith("attn.attn.")
            tensors.append((ours, _ungroup(settings, tensor) if grouped else tensor))
        else:
            ours = _rename(name, layer, part, _NEOX, _NEOX_LAYER, "gpt_neox.layers")
            tensors.append((ours, tensor))
    config = {
        **_shared_config(settings, checkpoint),
        "model_type": "gpt_neox",
        "qkv_in_a_row": True,
        "rotary_pct": settings.raw("rotary_percentage"),
        "layer_norm_eps": settings.raw("norm_eps"),
        "use_parallel_residual": settings.raw("parallel_residual"),
        "hidden_act": "gelu" if settings.raw("gelu_approximate") != "tanh" else "gelu_new",
        "rope_parameters": _rope(settings),
    }
    return replace(checkpoint, tensors=by_new_name(tensors), config=checkpoint.config | config)


def split_qkv(settings: Settings, tensor: Tensor, part: str) -> tuple[Tensor, Tensor, Tensor]:
    """Q, K and V of a fused matrix or bias, in whichever order it holds them."""
    n_head = settings.integer("n_head")
    groups = settings.integer("n_query_groups", default=n_head)
    size = tensor.shape[0] // (n_head + 2 * groups)
    if size * (n_head + 2 * groups) != tensor.shape[0]:
        raise ArchitectureError(
            f"{tensor.name[:80]} has {tensor.shape[0]} rows, which {n_head} heads and {groups} "
            "groups do not divide."
        )
    whole = _ungroup(settings, tensor) if part.startswith("attn.attn.") else tensor
    q, k = n_head * size, groups * size
    return cut(whole, 0, q), cut(whole, q, q + k), cut(whole, q + k, q + 2 * k)


def _ungroup(settings: Settings, tensor: Tensor) -> Tensor:
    """Rows from [group, its queries + key + value, size] to all of Q, then K, then V."""
    n_head = settings.integer("n_head")
    groups = settings.integer("n_query_groups", default=n_head)
    each = n_head // groups
    if n_head % groups or tensor.shape[0] % (groups * (each + 2)):
        raise ArchitectureError(f"{tensor.name[:80]} cannot be split into {groups} groups.")
    rows = np.arange(tensor.shape[0]).reshape(groups, each + 2, -1)
    order = [rows[:, :each].reshape(-1), rows[:, each].reshape(-1), rows[:, each + 1].reshape(-1)]
    return gather(tensor, np.concatenate(order), key=("ungrouped", groups))


def _split_name(name: str) -> tuple[str, str]:
    found = re.fullmatch(r"transformer\.h\.(\d{1,8})\.(.+)", name)
    return (found[1], found[2]) if found else ("", "")


def _rename(
    name: str, layer: str, part: str, names: dict[str, str], layer_names: dict[str, str], root: str
) -> str:
    stem, _, ending = part.rpartition(".")
    if stem in layer_names:
        return f"{root}.{layer}.{layer_names[stem]}.{ending}"
    return names.get(name, name)


def _shared_config(settings: Settings, checkpoint: Checkpoint) -> dict[str, Any]:
    first = "transformer.h.0.mlp.fc"
    gate = checkpoint.tensors.get(f"{first}_1.weight") or checkpoint.tensors.get(f"{first}.weight")
    rows = gate.n_rows if gate is not None else None
    return {
        "num_attention_heads": settings.raw("n_head"),
        "num_hidden_layers": settings.raw("n_layer"),
        "max_position_embeddings": settings.raw("block_size"),
        "intermediate_size": settings.raw("intermediate_size") or rows,
        "tie_word_embeddings": None,
        "sliding_window": settings.raw("sliding_window_size"),
    }


def _rope(settings: Settings) -> dict[str, Any]:
    parameters: dict[str, Any] = {"rope_theta": settings.raw("rope_base")}
    extra = settings.raw("rope_adjustments")
    if isinstance(extra, dict):
        original = extra.get("original_max_seq_len")
        parameters |= extra | {
            "rope_type": "llama3" if "low_freq_factor" in extra else "linear",
            "original_max_position_embeddings": original,
        }
    elif settings.raw("rope_condense_ratio") not in (None, 1):
        factor = settings.number("rope_condense_ratio")
        parameters |= {"rope_type": "linear", "factor": factor}
    return parameters


def _refuse_variants(settings: Settings) -> None:
    for name in ("norm_qk", "scale_embeddings", "post_attention_norm", "post_mlp_norm"):
        settings.require(name, (False,), "the family named by its MLP has no such thing")
    for name in (
        "attention_logit_softcapping",
        "final_logit_softcapping",
        "latent_attention",
        "rope_local_base_freq",
    ):
        settings.require(name, (), "the family named by its MLP has no such thing")
    for name in ("norm_1", "norm_2"):
        settings.require(name, (True,), "llama.cpp wants two norms a layer")
    size = settings.raw("head_size")
    settings.require("attention_scores_scalar", (size,), "llama.cpp scales by the head's size")
    settings.require("shared_attention_norm", (False,), "llama.cpp wants two norms a layer")
    settings.require("rope_interleave", (False,), "only half-split rotation is read from litgpt")
    settings.require("lm_head_bias", (False,), "llama.cpp has no bias on the output")
