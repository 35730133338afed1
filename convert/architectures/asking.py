"""Questions that several families ask, with what the shapes tell or allow."""

from __future__ import annotations

import math
from dataclasses import replace

from convert.checkpoints.checkpoint import Checkpoint
from convert.questions import Choice, Question

_HEADS = ("num_attention_heads", "n_heads", "n_head")
_KV_HEADS = ("num_key_value_heads", "n_kv_heads", "n_kv_head", "n_kv_groups")
_TABLES = ("inv_freq", "freqs_cos")  # of rope, a column for each pair of a head

THETA = Question(
    "rope_theta",
    "The base of the rotary positions, as it was trained with; shapes cannot tell.",
    (
        Choice(10000.0, "Llama 1 and 2, llama2.c, most that is written by hand"),
        Choice(500000.0, "Llama 3"),
        Choice(1000000.0, "Mistral since 0.2, Qwen2 and 3"),
    ),
    others=True,
    names=("rope_base", "rotary_emb_base"),
)
EPSILON = Question(
    "rms_norm_eps",
    "What a norm adds to the mean square, so that it never divides by zero.",
    (Choice(1e-5, "Llama 2 and 3, Mistral"), Choice(1e-6, "Llama 1, Qwen, OLMo 2")),
    others=True,
    default=1e-5,
    names=("norm_eps", "layer_norm_eps"),
)
POSITIONS = Question(
    "max_position_embeddings",
    "The longest text it was trained on, in tokens; shapes cannot tell.",
    (Choice(2048), Choice(4096), Choice(8192)),
    others=True,
    names=("max_seq_len", "block_size", "context_length", "n_ctx"),
)


def head_choices(width: int) -> tuple[Choice, ...]:
    """Numbers of heads that divide `width`, those with heads near 64 first."""
    fitting = [n for n in range(1, width + 1) if width % n == 0]
    usual = sorted(fitting, key=lambda n: abs(math.log2(width / n / 64)))
    return tuple(Choice(n, f"heads of {width // n}") for n in usual)


def fill_heads(checkpoint: Checkpoint, q: str, k: str) -> dict[str, int]:
    """Heads and their width, as far as the matrices `q` and `k`, norms and tables tell what the
    configuration does not say; asks for the number of heads where nothing tells it."""
    q_rows, k_rows = (_rows(checkpoint, name) for name in (q, k))
    if not q_rows or not k_rows:
        return {}
    said, kv = _said(checkpoint, _HEADS), _said(checkpoint, _KV_HEADS)
    width = _said(checkpoint, ("head_dim",)) or _head_width(checkpoint, q_rows)
    found: dict[str, int] = {}
    if said is None and width and q_rows % width == 0:
        said = found["num_attention_heads"] = q_rows // width
    elif said is None:
        choices = tuple(
            replace(choice, meaning=f"{choice.meaning}{_shared(k_rows, q_rows, choice.value)}")
            for choice in head_choices(q_rows)
            if isinstance(choice.value, int)
            and k_rows % (q_rows // choice.value) == 0
            and q_rows // choice.value % 2 == 0
        )
        why = f"Attention heads: {q_rows} rows of Q and {k_rows} of K allow these."
        names = _HEADS[1:]
        asked = Question(_HEADS[0], why, choices, int, not choices, names=names, flag="--n-head")
        said = found["num_attention_heads"] = int(checkpoint.ask(asked))
    if q_rows % said == 0 and kv is None and k_rows % (q_rows // said) == 0:
        found["num_key_value_heads"] = k_rows // (q_rows // said)
    if q_rows % said == 0 and checkpoint.config.get("head_dim") is None:
        found["head_dim"] = q_rows // said
    return found


def _shared(k_rows: int, q_rows: int, n_head: object) -> str:
    assert isinstance(n_head, int)
    n_kv = k_rows // (q_rows // n_head)
    return "" if n_kv == n_head else f", {n_kv} of keys and values"


def _head_width(checkpoint: Checkpoint, q_rows: int) -> int | None:
    """What a norm over a head, or a table of rope's frequencies, tells."""
    for name, tensor in checkpoint.tensors.items():
        if name.endswith(".q_norm.weight") and tensor.shape != (q_rows,) and len(tensor.shape) == 1:
            return tensor.shape[0]
        if name.endswith(("inv_freq", "freqs_cos")) and tensor.shape:
            return 2 * tensor.shape[-1]
    return None


def _rows(checkpoint: Checkpoint, name: str) -> int:
    tensor = checkpoint.tensors.get(name)
    return tensor.shape[0] if tensor is not None and len(tensor.shape) == 2 else 0


def _said(checkpoint: Checkpoint, names: tuple[str, ...]) -> int | None:
    values = [checkpoint.config.get(name) for name in names]
    found = [value for value in values if type(value) is int and value > 0]
    return found[0] if found else None
