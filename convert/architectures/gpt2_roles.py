"""Which tensor plays which part in a hand-written GPT: by name and shape, with the evidence.

It promises one answer or an error that says what is missing: a matrix that could play two parts is
never given one in silence. Names are read word by word, so `W_query`, `q_proj` and `to_q` are one
thing; shapes decide what names leave open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

MASK = re.compile(r".*(?:mask|tril|causal|triu).*|.*\.attn\.(?:bias|masked_bias)", re.IGNORECASE)
_SCALES = ("weight", "gamma", "scale", "g", "w", "alpha", "a_2")
_SHIFTS = ("bias", "beta", "shift", "b", "b_2")
_LETTER = r"(?:^|[._])(?:w_?|to_)?{}(?:_?(?:proj|linear|lin|net|fc))?(?:$|[._])"
_QUERY = re.compile(_LETTER.format("q(?:uer(?:y|ies))?"), re.IGNORECASE)
_KEY = re.compile(_LETTER.format("k(?:eys?)?"), re.IGNORECASE)
_VALUE = re.compile(_LETTER.format("v(?:al(?:ues?)?)?"), re.IGNORECASE)
_POSITION = re.compile(r"wpe|pos|(?:^|\.)pe(?:$|\.)", re.IGNORECASE)
_TOKEN = re.compile(r"wte|tok|emb|vocab|(?:^|\.)w?e(?:$|\.)", re.IGNORECASE)
_ATTENTION = re.compile(r"att|(?:^|[._])sa(?:$|[._])|mha|heads", re.IGNORECASE)
_SECOND = re.compile(r"(?:^|[._a-z])2(?:$|[._])|mlp|ff|feed|post", re.IGNORECASE)
_FIRST = re.compile(r"(?:^|[._a-z])1(?:$|[._])|att|(?:^|[._])sa|input|pre", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """The stem of a weight and its bias, with the names they end in."""

    weight: str
    bias: str | None = None


@dataclass(frozen=True)
class Layer:
    """Names of one layer's tensors."""

    norm_1: Pair
    norm_2: Pair
    qkv: tuple[tuple[Pair, ...], ...]
    """One fused pair, or Q, K and V, each of one pair or of one a head."""
    proj: Pair
    up: Pair
    down: Pair


@dataclass(frozen=True)
class Roles:
    """Names of a whole GPT's tensors."""

    tokens: str
    positions: str
    layers: tuple[Layer, ...]
    norm: Pair
    head: Pair | None
    prefix: str
    """What stands before a layer's number."""

    @property
    def n_per_head(self) -> int:
        """Heads that have matrices of their own; 0 where they are together."""
        parts = self.layers[0].qkv[0]
        return len(parts) if len(parts) > 1 else 0


def looks_like_gpt(checkpoint: Checkpoint) -> bool:
    """Whether there are numbered layers, two embeddings and nothing of a Llama."""
    names = checkpoint.tensors
    if any(re.search(r"rotary|gate_proj|inv_freq|feed_forward\.w3|fc_2", name) for name in names):
        return False
    outside = [name for name in names if not re.search(r"\d+\.", name)]
    has_positions = any(_POSITION.search(name) for name in outside)
    return has_positions and _find_prefix(names) is not None


def find_roles(checkpoint: Checkpoint) -> Roles:
    """The parts of the GPT in `checkpoint`. Raises `ArchitectureError`."""
    return _Finder(checkpoint).roles()


def _find_prefix(names: Iterable[str]) -> str | None:
    """What stands before the layer's number, where the most tensors have one."""
    counts: dict[str, int] = {}
    for name in names:
        found = re.match(r"(.*?)(?<![^.])(\d{1,8})\.", name)
        if found:
            counts[found[1]] = counts.get(found[1], 0) + 1
    return max(counts, key=lambda prefix: counts[prefix]) if counts else None


class _Finder:
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._where = checkpoint.path.name
        self._tensors = {
            name: tensor for name, tensor in checkpoint.tensors.items() if not MASK.fullmatch(name)
        }

    def roles(self) -> Roles:
        prefix = _find_prefix(self._tensors)
        if prefix is None:
            raise self._missing("numbered layers")
        outside = {n: t for n, t in self._tensors.items() if not self._in_layer(prefix, n)}
        tokens, positions = self._embeddings(outside)
        width = self._tensors[tokens].shape[-1]
        n_layer = self._count(prefix)
        layers = tuple(self._layer(f"{prefix}{i}.", width) for i in range(n_layer))
        norms = self._norms(outside, width)
        if len(norms) != 1:
            seen = ", ".join(pair.weight for pair in norms) or "none"
            raise self._missing(
                f"one norm after the last layer (found: {seen[:200]})",
                "llama.cpp's GPT-2 has norms before attention, before the MLP, and one at the end.",
            )
        head = self._head(outside, tokens)
        return Roles(tokens, positions, layers, norms[0], head, prefix)

    def _in_layer(self, prefix: str, name: str) -> bool:
        return re.match(rf"{re.escape(prefix)}\d{{1,8}}\.", name) is not None

    def _count(self, prefix: str) -> int:
        pattern = re.compile(rf"{re.escape(prefix)}(\d{{1,8}})\.")
        found = {int(m[1]) for name in self._tensors if (m := pattern.match(name))}
        if found != set(range(len(found))) or len(found) > 512:
            raise ArchitectureError(
                f"The layers in {self._where} are not numbered 0 to n (n at most 511): "
                f"{len(found)} found, up to {max(found)}.",
                "The checkpoint is incomplete.",
            )
        return len(found)

    def _embeddings(self, outside: dict[str, Tensor]) -> tuple[str, str]:
        matrices = {n: t for n, t in outside.items() if len(_squeezed(t.shape)) == 2}
        positions = [name for name in matrices if _POSITION.search(name)]
        tokens = [
            n for n in matrices if _TOKEN.search(n) and n not in positions and not _is_head(n)
        ]
        if len(tokens) != 1:
            raise self._missing(f"one token embedding (found: {', '.join(tokens)[:200] or 'none'})")
        if len(positions) != 1:
            raise self._missing(
                f"one table of positions (found: {', '.join(positions)[:200] or 'none'})",
                "A model with rotary positions is no GPT-2: Llama or GPT-NeoX are nearest.",
            )
        return tokens[0], positions[0]

    def _head(self, outside: dict[str, Tensor], tokens: str) -> Pair | None:
        shape = self._tensors[tokens].shape
        heads = [n for n, t in outside.items() if t.shape == shape and n != tokens]
        heads = [name for name in heads if not _POSITION.search(name)]
        if len(heads) > 1:
            raise self._missing(f"one output head (found: {', '.join(heads)[:200]})")
        if not heads:
            return None
        bias = f"{_stem(heads[0])}.bias"
        return Pair(heads[0], bias if bias in outside else None)

    def _norms(self, inside: dict[str, Tensor], width: int) -> list[Pair]:
        matrices = {_stem(name) for name, t in inside.items() if len(t.shape) > 1}
        found: dict[str, dict[str, str]] = {}
        for name, tensor in inside.items():
            ending = name.rpartition(".")[2]
            if tensor.shape != (width,) or _stem(name) in matrices:
                continue
            kind = "scale" if ending in _SCALES else "shift" if ending in _SHIFTS else ""
            if kind:
                found.setdefault(_stem(name), {})[kind] = name
        return [
            Pair(names["scale"], names.get("shift")) for names in found.values() if "scale" in names
        ]

    def _layer(self, prefix: str, width: int) -> Layer:
        inside = {n: t for n, t in self._tensors.items() if n.startswith(prefix)}
        first, second = self._order_norms(self._norms(inside, width), prefix)
        matrices = {n.removeprefix(prefix): t for n, t in inside.items() if len(t.shape) == 2}
        qkv, rest = self._attention(prefix, matrices, inside, width)
        square = [n for n in rest if matrices[n].shape == (width, width)]
        attention = [n for n in square if _ATTENTION.search(n)] or square
        if len(attention) != 1:
            raise self._missing(f"attention's output matrix in {prefix}")
        fused = qkv[0][0].weight.removeprefix(prefix)
        conv = len(qkv) == 1 and matrices[fused].shape == (width, 3 * width)
        rest = [name for name in rest if name != attention[0]]
        up, down = self._mlp(prefix, matrices, rest, width, conv)

        def pair(name: str) -> Pair:
            return _with_bias(prefix + name, inside)

        return Layer(first, second, qkv, pair(attention[0]), pair(up), pair(down))

    def _order_norms(self, norms: list[Pair], prefix: str) -> tuple[Pair, Pair]:
        if len(norms) != 2:
            seen = ", ".join(pair.weight for pair in norms) or "none"
            raise self._missing(
                f"two norms in {prefix} (found: {seen[:200]})",
                "llama.cpp's GPT-2 has a norm before attention and one before the MLP.",
            )
        a, b = (_stem(pair.weight).removeprefix(prefix) for pair in norms)
        if _SECOND.search(a) and not _FIRST.search(a) and _FIRST.search(b):
            return norms[1], norms[0]
        return norms[0], norms[1]

    def _attention(
        self, prefix: str, matrices: dict[str, Tensor], inside: dict[str, Tensor], width: int
    ) -> tuple[tuple[tuple[Pair, ...], ...], list[str]]:
        groups = [[n for n in matrices if kind.search(n)] for kind in (_QUERY, _KEY, _VALUE)]
        if all(groups) and len({len(group) for group in groups}) == 1:
            taken = {name for group in groups for name in group}
            parts = tuple(
                tuple(_with_bias(prefix + name, inside) for name in sorted(group, key=_natural))
                for group in groups
            )
            return parts, [name for name in matrices if name not in taken]
        shapes = ((3 * width, width), (width, 3 * width))
        fused = [n for n, t in matrices.items() if t.shape in shapes and _is_fused(n)]
        if len(fused) != 1:
            raise self._missing(
                f"Q, K and V in {prefix}: neither three matrices by their names nor one of "
                f"{3 * width} rows",
                "Names with query, key and value, or qkv, are understood.",
            )
        parts = ((_with_bias(prefix + fused[0], inside),),)
        return parts, [name for name in matrices if name != fused[0]]

    def _mlp(
        self, prefix: str, matrices: dict[str, Tensor], names: list[str], width: int, conv: bool
    ) -> tuple[str, str]:
        """Names of the MLP's matrices; `conv` says that they are [in, out]."""
        if len(names) != 2:
            raise self._missing(f"two matrices of an MLP in {prefix}", _variants(names))
        a, b = names
        if matrices[a].shape != matrices[b].shape[::-1]:
            raise self._missing(f"two matrices of an MLP that fit one another in {prefix}")
        if matrices[a].shape[0] == matrices[a].shape[1]:
            return a, b  # square: in the order they were defined
        is_up = matrices[a].shape[1] == width
        return (a, b) if is_up != conv else (b, a)

    def _missing(self, what: str, hint: str = "") -> ArchitectureError:
        return ArchitectureError(
            f"{self._where} looks like a GPT, but it lacks {what}.",
            hint or "Rename the tensors as nanoGPT has them, or say what is what.",
        )


def _variants(names: list[str]) -> str:
    if len(names) > 2:
        return f"A gated MLP is no GPT-2's: {', '.join(names)[:200]}. Llama is nearest."
    return "A GPT-2 has an MLP of two matrices."


def _is_fused(name: str) -> bool:
    return re.search(r"qkv|attn|att|in_proj|kqv", name, re.IGNORECASE) is not None


def _is_head(name: str) -> bool:
    return re.search(r"head|unemb|out|decoder|logits", name, re.IGNORECASE) is not None


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _with_bias(name: str, inside: dict[str, Tensor]) -> Pair:
    if name.endswith("in_proj_weight"):  # nn.MultiheadAttention's
        bias = name.removesuffix("weight") + "bias"
    else:
        bias = f"{_stem(name)}.bias"
    return Pair(name, bias if bias in inside else None)


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
