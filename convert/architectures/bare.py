"""A state dict under transformers' names without a config.json: what its shapes tell, and what not.

Rows of Q and K, norms of a head and rope's tables tell heads and their width, matrices tell the
MLP's; the rest is asked for. Several families share these names and differ in switches that no
shape shows (SmolLM3 leaves out positions, Granite scales): which it is, is asked too, and a family
whose switches would all be guesses is refused for want of its config.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from convert.architectures.asking import EPSILON, POSITIONS, THETA, fill_heads
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.questions import Choice, Question

_HAS_CONFIG = "Put the model's config.json beside the weights: it answers all of this."


@dataclass(frozen=True)
class _Kind:
    """A family that a bare state dict may be."""

    name: str
    meaning: str
    layer: frozenset[str]
    """What a layer has, without the ending `.weight`; further biases are looked at apart."""
    switches: Mapping[str, tuple[float, str]]
    """Numbers of its configuration that no shape shows: an example and what they do."""
    epsilon: float = 1e-5


_ATTENTION = {f"self_attn.{letter}_proj" for letter in "qkvo"}
_MLP = {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}
_PLAIN = frozenset({*_ATTENTION, *_MLP, "input_layernorm", "post_attention_layernorm"})
_QK_NORMS = {"self_attn.q_norm", "self_attn.k_norm"}
_SCALES = {
    "embedding_multiplier": (12.0, "embeddings are multiplied with it"),
    "attention_multiplier": (0.015625, "attention scores are multiplied with it"),
    "residual_multiplier": (0.22, "the output of every sublayer is multiplied with it"),
    "logits_scaling": (8.0, "logits are divided by it"),
}
_KINDS = (
    _Kind("llama", "Llama 1 to 3 and what is built like it", _PLAIN, {}),
    _Kind("mistral", "the same with a sliding window", _PLAIN, {"sliding_window": (4096, "")}),
    _Kind("smollm3", "every fourth layer without positions", _PLAIN, {}, 1e-6),
    _Kind("granite", "four scales, which are asked for then", _PLAIN, _SCALES),
    _Kind("qwen3", "a norm over each head of Q and K", _PLAIN | _QK_NORMS, {}, 1e-6),
    _Kind("qwen2", "biases on Q, K and V", _PLAIN, {}, 1e-6),
    _Kind(
        "olmo2",
        "norms behind attention and MLP, and over Q and K",
        (_PLAIN - {"input_layernorm"}) | _QK_NORMS | {"post_feedforward_layernorm"},
        {},
        1e-6,
    ),
)


def is_bare(checkpoint: Checkpoint) -> bool:
    """Whether `checkpoint` has transformers' names for decoders and no description of its own."""
    described = checkpoint.config.get("model_type") or checkpoint.config.get("architectures")
    return not described and _layer(checkpoint) != {}


def complete(checkpoint: Checkpoint, arch: str | None) -> Checkpoint:
    """`checkpoint` with a configuration as far as its shapes tell; the rest is asked for.

    Any other checkpoint comes back as it is. `arch`: the family, where the user names it. Raises
    `ArchitectureError` where its config.json is needed.
    """
    if not is_bare(checkpoint):
        return checkpoint
    kind = _choose(checkpoint, arch)
    root = "model." if any(name.startswith("model.layers.") for name in checkpoint.tensors) else ""
    tensors = checkpoint.tensors
    layer = f"{root}layers.0."
    config = dict(checkpoint.config) | fill_heads(
        checkpoint, f"{layer}self_attn.q_proj.weight", f"{layer}self_attn.k_proj.weight"
    )
    gate = tensors.get(f"{layer}mlp.gate_proj.weight")
    if gate is not None and len(gate.shape) == 2:
        config["intermediate_size"], config["hidden_size"] = gate.shape
    config |= {"tie_word_embeddings": "lm_head.weight" not in tensors}
    asked = replace(checkpoint, config=config)
    config["max_position_embeddings"] = asked.ask(POSITIONS)
    if not (config.get("rope_parameters") or config.get("rope_scaling")):
        config["rope_theta"] = asked.ask(THETA)
    config["rms_norm_eps"] = asked.ask(replace(EPSILON, default=kind.epsilon))
    for name, (example, meaning) in kind.switches.items():
        why = f"A number in {kind.name}'s config.json{f': {meaning}' if meaning else ''}."
        choice = Choice(example, f"for example, of a {kind.name}")
        config[name] = asked.ask(Question(name, why, (choice,), type(example), others=True))
    if kind.name == "llama":
        config["rope_interleave"] = asked.ask(_PAIRS)
        return replace(checkpoint, config=config)
    biases = {name for name in tensors if name.startswith(layer) and name.endswith(".bias")}
    config["attention_bias"] = f"{layer}self_attn.o_proj.bias" in biases
    config["mlp_bias"] = f"{layer}mlp.down_proj.bias" in biases
    prefixed = {
        (name if root or name.startswith("lm_head.") else f"model.{name}"): tensor
        for name, tensor in tensors.items()
    }
    # under transformers' own keys, so that its model can be made for the proof
    embedding = prefixed.get("model.embed_tokens.weight")
    config["vocab_size"] = None if embedding is None else embedding.n_rows
    config["num_hidden_layers"] = len({m[1] for n in prefixed if (m := _NUMBER.match(n))})
    config = {key: value for key, value in config.items() if value is not None}
    note = (
        f"Without a config.json it is taken for a {kind.name}, with the values of its first "
        "release where nothing is said."
    )
    return replace(
        checkpoint,
        # transformers' SmolLM3 pads with a token that smaller vocabularies have not
        config={**config, "model_type": kind.name, "pad_token_id": None},
        tensors={name: replace(tensor, name=name) for name, tensor in prefixed.items()},
        notes=(*checkpoint.notes, note),
    )


_NUMBER = re.compile(r"model\.layers\.(\d{1,8})\.")
_PAIRS = Question(
    "rope_interleave",
    "Whether rope rotates neighbouring pairs. transformers rotates the halves of a head; code "
    "written by hand may do either under the same names.",
    (Choice(False, "halves, as transformers"), Choice(True, "neighbouring pairs, as Meta")),
    default=False,
)


def _layer(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The first layer's tensors without its prefix; {} where names are not transformers'."""
    for root in ("model.layers.0.", "layers.0."):
        if f"{root}self_attn.q_proj.weight" in checkpoint.tensors:
            return {
                name.removeprefix(root): tensor
                for name, tensor in checkpoint.tensors.items()
                if name.startswith(root)
            }
    return {}


def _choose(checkpoint: Checkpoint, arch: str | None) -> _Kind:
    """The family: as said, as only its tensors are, or asked for."""
    layer = _layer(checkpoint)
    parts = {name.removesuffix(".weight") for name in layer if name.endswith(".weight")}
    parts -= {name for name in parts if name.endswith("rotary_emb.inv_freq")}
    q_alone = "self_attn.q_proj.bias" in layer and "self_attn.o_proj.bias" not in layer
    fitting = [kind for kind in _KINDS if kind.layer == parts]
    fitting = [kind for kind in fitting if (kind.name == "qwen2") <= q_alone]
    where = checkpoint.path.name
    if arch is not None:
        named = next((kind for kind in _KINDS if kind.name == arch.lower()), None)
        if named is None:
            raise ArchitectureError(
                f"{where} is a state dict without a config.json, and what a {arch:.40} computes "
                "is not in its shapes alone.",
                _HAS_CONFIG,
            )
        return named
    if not fitting:
        odd = ", ".join(sorted(parts - _PLAIN))[:200] or "no MLP or norms of theirs"
        raise ArchitectureError(
            f"{where} has transformers' names and no config.json; its layers are none of "
            f"{', '.join(kind.name for kind in _KINDS)} ({odd}).",
            _HAS_CONFIG,
        )
    if len(fitting) == 1:
        return fitting[0]
    if q_alone:
        return next(kind for kind in fitting if kind.name == "qwen2")
    why = f"Families share these names and shapes. {_HAS_CONFIG}"
    choices = tuple(Choice(kind.name, kind.meaning) for kind in fitting)
    checkpoint.questions.ask(Question("arch", why, choices, flag="--arch"), {})
    return fitting[0]
