"""What people call the parts of a GPT or a Llama.

Names are read word by word, so `W_query`, `q_proj` and `to_q` are one thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from convert.checkpoints.tensor import FLOATS, Tensor
from convert.handwritten.roles import Pair

MASK = re.compile(r".*(?:mask|tril|causal|triu).*|.*\.attn\.(?:bias|masked_bias)", re.IGNORECASE)
ROPE_TABLE = re.compile(
    r".*(?:inv_freq|freqs|rotary|rope)[^.]*|(?:.*[._])?(?:cos|sin)(?:_\w*|$)", re.IGNORECASE
)
_LETTER = (
    r"(?:^|[._])(?:w_?|to_|c_|lin_|linear_|proj_|fc_)?{}"
    r"(?:_?(?:proj|projection|linear|lin|net|fc|layer|mat|matrix|weight|w))?(?:$|[._])"
)
QUERY = re.compile(_LETTER.format("q(?:uer(?:y|ies))?"), re.IGNORECASE)
KEY = re.compile(_LETTER.format("k(?:eys?)?"), re.IGNORECASE)
VALUE = re.compile(_LETTER.format("v(?:al(?:ues?)?)?"), re.IGNORECASE)
FUSED = re.compile(r"[qkv]{3}|attn|att|in_proj", re.IGNORECASE)
Q_NORM = re.compile(r"(?:^|[._])(?:q(?:uery)?_?(?:norm|ln)|(?:norm|ln)_?q)", re.IGNORECASE)
K_NORM = re.compile(r"(?:^|[._])(?:k(?:ey)?_?(?:norm|ln)|(?:norm|ln)_?k)", re.IGNORECASE)
NUMBERED = re.compile(r"\.[0-3]\.weight$")  # linears.0 to linears.3: Q, K, V and the output
POSITION = re.compile(r"wpe|pos|(?:^|\.)pe(?:$|\.)", re.IGNORECASE)
TOKEN = re.compile(r"wte|tok|emb|vocab|(?:^|\.)w?e(?:$|\.)", re.IGNORECASE)
HEAD = re.compile(r"head|unemb|out|decoder|logits|classif", re.IGNORECASE)
EMBEDDING_NORM = re.compile(r"emb", re.IGNORECASE)
ATTENTION = re.compile(
    r"att|(?:^|[._])sa(?:$|[._])|mha|heads|(?:^|[._])w_?o(?:$|[._])|o_proj|to_out", re.IGNORECASE
)
MLP = re.compile(
    r"mlp|ff|feed|(?:^|[._])(?:fc|w|lin|linear|dense)_?[123](?:$|[._])|gate|(?:^|[._])(?:up|down)"
    r"|swiglu|glu",
    re.IGNORECASE,
)
SECOND = re.compile(r"(?:^|[._a-z])2(?:$|[._])|mlp|ff|feed|post", re.IGNORECASE)
FIRST = re.compile(r"(?:^|[._a-z])1(?:$|[._])|att|(?:^|[._])sa|input|pre", re.IGNORECASE)
UP = re.compile(
    r"(?:^|[._])(?:c_fc|up|in|expand|[a-z_]*1|0)(?:_?(?:proj|layer|lin))?(?:$|[._])|h_to_4h",
    re.IGNORECASE,
)
DOWN = re.compile(
    r"(?:^|[._])(?:c_proj|down|out|contract|proj|output)(?:_?(?:proj|layer|lin))?(?:$|[._])"
    r"|4h_to_h",
    re.IGNORECASE,
)
GATE = re.compile(r"gate|(?:^|[._])(?:w|fc|lin|linear)_?1(?:$|[._])", re.IGNORECASE)
_SCALES = ("weight", "gamma", "scale", "g", "w", "alpha", "a_2", "gain")
_SHIFTS = ("bias", "beta", "shift", "b", "b_2", "offset")
_NORM = re.compile(r"norm|ln|(?:^|[._])rms", re.IGNORECASE)


def is_buffer(name: str, tensor: Tensor) -> bool:
    """Whether it is no weight: a mask, a table of rope, anything of integers."""
    if MASK.fullmatch(name) or tensor.dtype not in FLOATS:
        return True
    return ROPE_TABLE.fullmatch(name) is not None and not name.endswith((".weight", ".bias"))


def find_prefix(names: Iterable[str]) -> str | None:
    """What stands before the layer's number, where the most tensors have one."""
    counts: dict[str, int] = {}
    for name in names:
        found = re.match(r"(.*?)(?<![^.])(\d{1,8})\.", name)
        if found:
            counts[found[1]] = counts.get(found[1], 0) + 1
    return max(counts, key=lambda prefix: counts[prefix]) if counts else None


def stem(name: str) -> str:
    """A name without its last word."""
    return name.rpartition(".")[0]


def find_norms(inside: Mapping[str, Tensor], width: int) -> list[Pair]:
    """Every norm over `width` among the tensors `inside`, in their order."""
    matrices = {stem(name) for name, t in inside.items() if len(t.shape) > 1}
    biases = {with_bias(name, inside).bias for name, t in inside.items() if len(t.shape) > 1}
    found: dict[str, dict[str, str]] = {}
    for name, tensor in inside.items():
        if tensor.shape != (width,) or name in biases:
            continue
        if name.endswith((".weight", ".bias")) and stem(name) in matrices:
            continue
        whose, kind = _norm_part(name)
        if kind:
            found.setdefault(whose, {})[kind] = name
    return [Pair(part["scale"], part.get("shift")) for part in found.values() if "scale" in part]


def _norm_part(name: str) -> tuple[str, str]:
    """The norm that a vector belongs to, and its part in it: "scale", "shift", or "" for none."""
    for kind, endings in (("scale", _SCALES), ("shift", _SHIFTS)):
        for ending in endings:
            if name.endswith((f".{ending}", f"_{ending}")):
                return name[: -len(ending) - 1], kind
    if _NORM.search(name.rpartition(".")[2]):  # a parameter without a module
        return name, "scale"
    return name, ""


def with_bias(name: str, inside: Mapping[str, Tensor]) -> Pair:
    """A matrix with its bias, if it has one: `weight` and `bias`, `Wq` and `bq`, `W1` and `b1`."""
    head, dot, last = name.rpartition(".")
    guesses = [re.sub(r"(?i)weight|kernel", "bias", last)]
    if last[:1] in "wW":
        guesses += [("b" if last[0] == "w" else "B") + last[1:], "b" + last[1:]]
    guesses += [f"{last}_bias", f"{last}_b"]
    for guess in guesses:
        other = head + dot + guess
        if guess != last and other in inside and len(inside[other].shape) == 1:
            return Pair(name, other)
    return Pair(name)


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts 10 after 9."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
