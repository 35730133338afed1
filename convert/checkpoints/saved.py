"""From the object in a file of torch.save to a checkpoint: weights, facts and the model's config.

The model's own description may be nanoGPT's `model_args`, an `argparse.Namespace`, a dataclass,
Lightning's `hyper_parameters`, or numbers lying beside the weights.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.facts import Facts
from convert.checkpoints.state_dict import find_state_dict

# In this order: nanoGPT's `config` also holds the training's settings, so `model_args` goes first.
_CONFIG_KEYS = (
    *("model_args", "model_config", "model_cfg", "config", "hparams", "hyper_parameters"),
    *("args", "cfg", "params", "model_kwargs", "model_params", "opt"),
)
_INNER_KEYS = ("model_args", "model_config", "model", "config", "gpt", "transformer", "network")
# Two of these make a description of a model.
_SIGNS = frozenset(
    {"n_layer", "n_layers", "num_layers", "num_hidden_layers", "depth", "n_blocks", "num_blocks"}
    | {"n_head", "n_heads", "num_heads", "num_attention_heads", "nhead", "heads"}
    | {"n_embd", "n_embed", "dim", "d_model", "hidden_size", "embed_dim", "emb_dim", "embed_size"}
    | {"block_size", "context_length", "max_seq_len", "seq_len", "n_ctx", "context_size", "n_dim"}
    | {"vocab_size", "n_vocab", "max_position_embeddings", "sequence_length", "d_ff", "n_hidden"}
)


def as_checkpoint(path: Path, kind: str, root: Any, unknown: AbstractSet[str]) -> Checkpoint:
    """The checkpoint that `root`, from the pickle in `path`, describes. Raises `CheckpointError`.

    `unknown` names the classes in it that were left inert.
    """
    state = find_state_dict(root, path.name, unknown)
    facts = Facts(state.weights).walk(state.beside)
    notes = list(state.notes)
    strange = sorted(name for name in unknown if not name.startswith(("torch.nn.", "argparse.")))
    if strange:
        listed = ", ".join(strange[:8])
        notes.append(f"Objects of unknown classes are not made, only their values kept: {listed}.")
    return Checkpoint(path, kind, state.tensors, facts, tuple(notes), config=find_config(facts))


def find_config(facts: dict[str, Any]) -> dict[str, Any]:
    """What in `facts` describes the model; {} where nothing does."""
    named = [facts[key] for key in _CONFIG_KEYS if isinstance(facts.get(key), dict)]
    for value in [*named, *(value for value in facts.values() if isinstance(value, dict))]:
        found = _describes(value)
        if found:
            return found
    if len(_SIGNS & facts.keys()) > 1:
        return {key: value for key, value in facts.items() if not isinstance(value, dict | list)}
    return next((_texts(value) for value in named if value), {})


def _describes(value: dict[Any, Any]) -> dict[str, Any]:
    """`value` as a description, with one inside it laid over; {} when it is none."""
    for key in _INNER_KEYS:
        inner = value.get(key)
        if isinstance(inner, dict) and len(_SIGNS & inner.keys()) > 1:
            return _texts(value) | _texts(inner)
    return _texts(value) if len(_SIGNS & value.keys()) > 1 else {}


def _texts(value: dict[Any, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if isinstance(key, str)}
