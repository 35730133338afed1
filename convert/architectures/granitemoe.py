"""Granite 3 MoE and Granite 4: experts beside an MLP that is always on, and hybrids with Mamba-2.

Of Granite 4 some are hybrids, whose layers mostly have a state space (Mamba-2) instead of
attention, and some are not; some have experts, and some the shared MLP alone. llama.cpp has an
architecture for each: granitehybrid, granitemoe, granite.
"""

import math
from dataclasses import replace

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader, count_experts
from convert.architectures.family import Family
from convert.architectures.granite import DECODER as GRANITE
from convert.architectures.granite import scales
from convert.architectures.model import HParam, Model
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import cut, minus_exp, reshape, zeros
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_MAMBA = ("mamba", "linear_attention")
_ATTENTION = ("attention", "full_attention")


def _kinds(settings: Settings, n_layer: int) -> list[str]:
    """What every layer is. Raises `ArchitectureError`."""
    kinds = settings.raw("layer_types", "layers_block_type")
    if kinds is None:
        hybrid = settings.raw("model_type") == "granitemoehybrid"
        kinds = [_MAMBA[0] if hybrid else _ATTENTION[0]] * n_layer
    if not isinstance(kinds, list) or len(kinds) != n_layer:
        raise ArchitectureError(f"layer_types does not name the kinds of {n_layer} layers.")
    return kinds


def _has_experts(settings: Settings) -> bool:
    return bool(settings.raw("num_local_experts") != 0)


def _shared_width(settings: Settings) -> int:
    """Of the MLP that is always on; 0: there is none, as in Granite 3 MoE."""
    if settings.raw("model_type") == "granitemoe" or settings.raw("shared_intermediate_size") == 0:
        return 0
    return settings.integer("shared_intermediate_size")


def _mixer(reader: LayerReader, layer: int) -> list[Tensor] | None:
    """Mamba-2, where the layer has it."""
    settings, n_embd = reader.settings, reader.shape.n_embd
    if _kinds(settings, reader.shape.n_layer)[layer] not in _MAMBA:
        return None
    source, name, taker = f"model.layers.{layer}.mamba", f"blk.{layer}.ssm", reader.taker
    n_head, groups = settings.integer("mamba_n_heads"), settings.integer("mamba_n_groups")
    width, length = 2 * n_embd, settings.integer("mamba_d_conv")
    n_conv = width + 2 * groups * settings.integer("mamba_d_state")
    kernel = taker.take(f"{source}.conv1d.weight", (n_conv, 1, length), "mamba_d_conv")
    bias = taker.take_if_there(f"{source}.conv1d.bias", (n_conv,)) or zeros("", (n_conv,))
    decay = minus_exp(taker.take(f"{source}.A_log", (n_head,)))
    skip = taker.take(f"{source}.D", (n_head,))
    norm = taker.take(f"{source}.norm.weight", (width,))
    return [
        *reader.linear(f"{source}.in_proj", f"{name}_in", (width + n_conv + n_head, n_embd)),
        reshape(kernel, (n_conv, length)).rename(f"{name}_conv1d.weight"),
        bias.rename(f"{name}_conv1d.bias"),
        taker.take(f"{source}.dt_bias", (n_head,)).rename(f"{name}_dt.bias"),
        reshape(decay, (n_head, 1)).rename(f"{name}_a"),
        reshape(skip, (n_head, 1)).rename(f"{name}_d"),
        reshape(norm, (groups, width // groups)).rename(f"{name}_norm.weight"),
        *reader.linear(f"{source}.out_proj", f"{name}_out", (n_embd, width)),
    ]


def _feed_forward(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name = f"model.layers.{layer}", f"blk.{layer}"
    has_experts, n_shared = _has_experts(reader.settings), _shared_width(reader.settings)
    found = _experts(reader, f"{source}.block_sparse_moe", name) if has_experts else []
    if n_shared:
        suffix, n_embd = "_shexp" if has_experts else "", reader.shape.n_embd
        both = reader.taker.take(f"{source}.shared_mlp.input_linear.weight", (2 * n_shared, n_embd))
        gate, up = cut(both, 0, n_shared), cut(both, n_shared, 2 * n_shared)
        found += [
            gate.rename(f"{name}.ffn_gate{suffix}.weight"),
            up.rename(f"{name}.ffn_up{suffix}.weight"),
            *reader.linear(
                f"{source}.shared_mlp.output_linear",
                f"{name}.ffn_down{suffix}",
                (n_embd, n_shared),
            ),
        ]
    return found


def _experts(reader: LayerReader, source: str, name: str) -> list[Tensor]:
    """As a checkpoint has them (`input_linear`), or as transformers 5 has them in memory."""
    taker, s, n = reader.taker, reader.shape, count_experts(reader.settings)
    saved = f"{source}.input_linear.weight" in taker
    words = ("input_linear.weight", "output_linear.weight", "router.layer.weight")
    if not saved:
        words = ("experts.gate_up_proj", "experts.down_proj", "router.weight")
    up, down, router = (f"{source}.{word}" for word in words)
    return [
        taker.take(router, (n, s.n_embd), "the experts").rename(f"{name}.ffn_gate_inp.weight"),
        *reader.split_experts(taker.take(up, (n, 2 * s.n_ff, s.n_embd), "the experts"), name),
        taker.take(down, (n, s.n_embd, s.n_ff), "the experts").rename(
            f"{name}.ffn_down_exps.weight"
        ),
    ]


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    keys, n_shared = scales(settings, shape), _shared_width(settings)
    if _has_experts(settings):
        keys["expert_count"] = count_experts(settings)
        keys["expert_used_count"] = settings.integer("num_experts_per_tok")
        if n_shared:
            keys["expert_shared_feed_forward_length"] = n_shared
    elif n_shared:
        keys["feed_forward_length"] = n_shared
    else:
        raise ArchitectureError("There are neither experts nor a shared MLP.")
    return keys


def _hybrid_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    because = "llama.cpp's Granite 4 has nothing of the kind"
    settings.require("mamba_expand", (2, 2.0), "llama.cpp's Granite 4 is twice as wide there")
    settings.require("mamba_proj_bias", (False,), because)
    limit = settings.raw("time_step_limit")
    if limit not in (None, [0.0, "Infinity"], [0.0, {"__float__": "Infinity"}], [0.0, math.inf]):
        raise ArchitectureError(f"time_step_limit is {limit!r:.60}: {because}.")
    n_head, groups = settings.integer("mamba_n_heads"), settings.integer("mamba_n_groups")
    if 2 * shape.n_embd % n_head or 2 * shape.n_embd % groups or n_head % groups:
        raise ArchitectureError(
            f"{n_head} heads in {groups} groups (mamba_n_heads, mamba_n_groups) do not divide the "
            f"width {2 * shape.n_embd}."
        )
    settings.require(
        "mamba_d_head", ("auto", 2 * shape.n_embd // n_head), "it is not the width by the heads"
    )
    kinds = _kinds(settings, shape.n_layer)
    return _own_keys(settings, shape) | {
        "attention.head_count_kv": [shape.n_head_kv * (kind in _ATTENTION) for kind in kinds],
        "ssm.conv_kernel": settings.integer("mamba_d_conv"),
        "ssm.inner_size": 2 * shape.n_embd,
        "ssm.state_size": settings.integer("mamba_d_state"),
        "ssm.time_step_rank": n_head,
        "ssm.group_count": groups,
    }


SPARSE = replace(
    GRANITE,
    arch="granitemoe",
    title="a Granite with experts",
    model_types=("granitemoe", "granitemoeshared", "granitemoehybrid"),
    biases=("q", "k", "v", "o"),
    layer_types=(*_ATTENTION, *_MAMBA),
    feed_forward=_feed_forward,
    own_keys=_own_keys,
)
HYBRID = replace(
    SPARSE,
    arch="granitehybrid",
    title="a Granite 4 hybrid",
    mixer=_mixer,
    own_keys=_hybrid_keys,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, SPARSE)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    model = read_decoder(checkpoint, _decoder(Settings(checkpoint)))
    if Settings(checkpoint).raw("model_type") != "granitemoehybrid":
        return model
    # config.json says "rope", "nope" or nothing; llama.cpp takes this key for the switch
    rotates = Settings(checkpoint).raw("position_embedding_type") == "rope"
    if not rotates and model.arch == "granitemoe":
        raise ArchitectureError(
            "position_embedding_type is not rope: a Granite with experts and without Mamba layers "
            "has positions in llama.cpp."
        )
    return replace(model, hparams={**model.hparams, "rope.scaling.finetuned": rotates})


def _decoder(settings: Settings) -> Decoder:
    """Which of llama.cpp's architectures has all that the configuration names."""
    kinds = _kinds(settings, settings.integer("num_hidden_layers"))
    if any(kind in _MAMBA for kind in kinds):
        return HYBRID
    if _has_experts(settings):
        return SPARSE
    return replace(SPARSE, arch="granite", title="a Granite 4")


FAMILY = Family("granitemoe", "Granite 4 and Granite 3 MoE", recognise, read)
