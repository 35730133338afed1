"""DeepSeek V2 and V3: keys and values compressed to one latent, experts beside shared ones.

llama.cpp absorbs the expansion of keys into the queries, so kv_b_proj becomes two stacks: its key
part turned, head by head, and its value part.
"""

import re
from dataclasses import replace

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader, count_experts
from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.rope import rope_parameters
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import cut, stack, transpose
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_SOFTMAX, _SIGMOID = 1, 2  # llama.cpp's llama_expert_gating_func_type
_WITHOUT_Q_LORA = (26, 27)  # numbers of layers at which llama.cpp does not look for q_a_proj
_LATER = re.compile(r"model\.layers\.(\d{1,8})\.")
_SWITCHES = (
    "kv_lora_rank",
    "first_k_dense_replace",
    "n_shared_experts",
    "routed_scaling_factor",
)


def _sizes(settings: Settings) -> tuple[int, int, int, int]:
    """(without rope, with rope, of a value, of the latent)."""
    return (
        settings.integer("qk_nope_head_dim"),
        settings.integer("qk_rope_head_dim"),
        settings.integer("v_head_dim"),
        settings.integer("kv_lora_rank"),
    )


def _mixer(reader: LayerReader, layer: int) -> list[Tensor]:
    """Multi-head latent attention."""
    s, taker, settings = reader.shape, reader.taker, reader.settings
    nope, rope, value, latent = _sizes(settings)
    source, name = f"model.layers.{layer}.self_attn", f"blk.{layer}.attn"
    q_rows, per_head = s.n_head * (nope + rope), nope + value
    if settings.has("q_lora_rank"):
        rank = settings.integer("q_lora_rank")
        found = [
            *reader.linear(f"{source}.q_a_proj", f"{name}_q_a", (rank, s.n_embd)),
            *reader.norm(f"{source}.q_a_layernorm", f"{name}_q_a_norm", rank),
            *reader.linear(f"{source}.q_b_proj", f"{name}_q_b", (q_rows, rank)),
        ]
    else:
        found = reader.linear(f"{source}.q_proj", f"{name}_q", (q_rows, s.n_embd))
    kv_a = f"{source}.kv_a_proj_with_mqa"
    found += reader.linear(kv_a, f"{name}_kv_a_mqa", (latent + rope, s.n_embd))
    found += reader.norm(f"{source}.kv_a_layernorm", f"{name}_kv_a_norm", latent)
    both = taker.take(f"{source}.kv_b_proj.weight", (s.n_head * per_head, latent))
    firsts = [head * per_head for head in range(s.n_head)]
    keys = [transpose(cut(both, first, first + nope)) for first in firsts]
    values = [cut(both, first + nope, first + per_head) for first in firsts]
    found += [stack(f"{name}_k_b.weight", keys), stack(f"{name}_v_b.weight", values)]
    return found + reader.linear(f"{source}.o_proj", f"{name}_output", (s.n_embd, s.n_head * value))


def _count_dense(settings: Settings) -> int:
    """Layers at the beginning that have an MLP and no experts."""
    v3 = settings.raw("model_type") == "deepseek_v3"
    if settings.raw("first_k_dense_replace") == 0:
        return 0
    return (
        settings.integer("first_k_dense_replace", default=3)
        if v3
        else settings.integer("first_k_dense_replace")
    )


def _feed_forward(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, settings = f"model.layers.{layer}", f"blk.{layer}", reader.settings
    if layer < _count_dense(settings):
        return reader.mlp(f"{source}.mlp", name, settings.integer("intermediate_size"))
    found = reader.experts(source, name)
    bias = f"{source}.mlp.gate.e_score_correction_bias"
    if settings.raw("model_type") == "deepseek_v3":
        taken = reader.taker.take(bias, (count_experts(settings),), "the number of experts")
        found.append(taken.rename(f"{name}.exp_probs_b.bias"))
    width = reader.shape.n_ff * settings.integer("n_shared_experts")
    return found + reader.mlp(f"{source}.mlp.shared_experts", name, width, "_shexp")


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    nope, rope, value, latent = _sizes(settings)
    v3 = settings.raw("model_type") == "deepseek_v3"
    if rope % 2:
        raise ArchitectureError(f"qk_rope_head_dim is {rope}, which rope cannot be: it is odd.")
    settings.require("rope_interleave", (True,), "llama.cpp's DeepSeek rotates neighbouring pairs")
    has_rank = settings.has("q_lora_rank")
    if has_rank and shape.n_layer in _WITHOUT_Q_LORA:
        raise ArchitectureError(
            f"With {shape.n_layer} layers llama.cpp takes it for a Lite, without q_lora_rank."
        )
    normalised = settings.flag("norm_topk_prob", default=v3)
    if normalised and not v3:
        raise ArchitectureError(
            "norm_topk_prob is true: transformers does not normalise the weights of V2's experts."
        )
    log_multiplier = 0.1 * settings.number("yarn_mscale", default=0.0)
    keys: dict[str, HParam] = {
        "vocab_size": shape.n_vocab,
        "attention.head_count_kv": 1,
        "attention.key_length": latent + rope,
        "attention.value_length": latent,
        "attention.key_length_mla": nope + rope,
        "attention.value_length_mla": value,
        "attention.kv_lora_rank": latent,
        "attention.q_lora_rank": settings.integer("q_lora_rank") if has_rank else 0,
        "feed_forward_length": settings.integer("intermediate_size"),
        "leading_dense_block_count": _count_dense(settings),
        "expert_feed_forward_length": shape.n_ff,
        "expert_shared_count": settings.integer("n_shared_experts"),
        "expert_weights_scale": settings.number("routed_scaling_factor", default=1.0),
        "expert_weights_norm": normalised,
        "expert_gating_func": _SIGMOID if v3 else _SOFTMAX,
        **_groups(settings, v3),
    }
    return keys | ({"rope.scaling.yarn_log_multiplier": log_multiplier} if log_multiplier else {})


def _groups(settings: Settings, v3: bool) -> dict[str, HParam]:
    """Groups of experts, of which a token sees the best few."""
    if not v3:
        because = "llama.cpp ranks groups by their two best experts, this by its best"
        settings.require("topk_method", ("greedy",), because)
        return {}
    groups = settings.integer("n_group", default=1)
    used = settings.integer("topk_group", default=groups)
    n = count_experts(settings)
    if groups == 1 or used == groups:
        return {}
    if used > groups or n % groups or n // groups < 2:
        raise ArchitectureError(
            f"{used} of {groups} groups (topk_group, n_group) do not fit {n} experts."
        )
    return {"expert_group_count": groups, "expert_group_used_count": used}


DECODER = Decoder(
    arch="deepseek2",
    title="a DeepSeek V2 or V3",
    model_types=("deepseek_v2", "deepseek_v3"),
    mixer=_mixer,
    experts="mlp",
    feed_forward=_feed_forward,
    default_theta=10000.0,
    n_rot=lambda settings, _: settings.integer("qk_rope_head_dim"),
    switches=_SWITCHES,
    own_keys=_own_keys,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, DECODER)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    settings = Settings(checkpoint)
    nope, rope, _, _ = _sizes(settings)
    n_head = settings.integer("num_attention_heads")
    config = checkpoint.config | {"head_dim": nope + rope, "num_key_value_heads": n_head}
    config |= _yarn(settings)
    tensors, ignored = dict(checkpoint.tensors), []
    if settings.raw("num_nextn_predict_layers", "num_mtp_layers"):
        n_layer = settings.integer("num_hidden_layers")
        for name in checkpoint.tensors:
            found = _LATER.match(name)
            if found and int(found[1]) >= n_layer:
                del tensors[name]
                ignored.append((name, "predicts a second token, which chatting does not need"))
    model = read_decoder(replace(checkpoint, config=config, tensors=tensors), DECODER)
    return replace(model, ignored=(*model.ignored, *ignored))


def _yarn(settings: Settings) -> dict[str, object]:
    """What is put into the configuration for rope: DeepSeek's YaRN scales attention as well."""
    values = rope_parameters(settings)
    kind = values.get("rope_type", "default")
    if kind == "default":
        return {}
    scale = values.pop("mscale", None)
    if kind != "yarn" or not scale or scale != values.pop("mscale_all_dim", None):
        raise ArchitectureError(
            f"Rope scaling of type {kind!r:.40}: llama.cpp's DeepSeek has YaRN with mscale and "
            "mscale_all_dim alike, and no other."
        )
    if values.get("attention_factor") is not None:
        raise ArchitectureError("YaRN with an attention_factor of its own is not carried over.")
    return {"rope_scaling": None, "rope_parameters": values, "yarn_mscale": scale}


FAMILY = Family("deepseek", "DeepSeek V2 and V3", recognise, read)
