"""Finds the parts of a model that somebody wrote by hand, by names, shapes and order.

It promises one answer or an error that says what is missing or ambiguous: roles are never given in
silence.
"""

from __future__ import annotations

import re

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.handwritten import names as words
from convert.handwritten.layers import LayerFinder, lacks
from convert.handwritten.names import find_norms, find_prefix, is_buffer, with_bias
from convert.handwritten.roles import Layer, Pair, Roles

_MAX_LAYERS = 512  # llama.cpp's LLAMA_MAX_LAYERS


def looks_hand_written(checkpoint: Checkpoint) -> bool:
    """Whether there are numbered layers with attention in them, and an embedding outside."""
    names = {n: t for n, t in checkpoint.tensors.items() if not is_buffer(n, t)}
    prefix = find_prefix(names)
    if prefix is None:
        return False
    pattern = re.compile(rf"{re.escape(prefix)}\d{{1,8}}\.")
    inside = [name for name in names if pattern.match(name)]
    outside = [n for n, t in names.items() if not pattern.match(n) and len(_squeezed(t)) == 2]
    first = [pattern.sub("", name) for name in inside]
    kinds = (words.QUERY, words.KEY, words.VALUE)
    apart = all(any(kind.search(name) for name in first) for kind in kinds)
    fused = any(words.FUSED.search(name) for name in first)
    return bool(outside) and (apart or fused)


def find_roles(checkpoint: Checkpoint) -> Roles:
    """The parts of the model in `checkpoint`. Raises `ArchitectureError`."""
    return _Finder(checkpoint).roles()


class _Finder:
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._where = checkpoint.path.name
        self._all = checkpoint.tensors
        self._tensors = {n: t for n, t in self._all.items() if not is_buffer(n, t)}

    def roles(self) -> Roles:
        prefix = find_prefix(self._tensors)
        if prefix is None:
            raise lacks(self._where, "numbered layers")
        pattern = re.compile(rf"{re.escape(prefix)}(\d{{1,8}})\.")
        outside = {n: t for n, t in self._tensors.items() if not pattern.match(n)}
        tokens, positions = self._embeddings(outside)
        n_vocab, width = self._tensors[tokens].shape
        layers: list[Layer] = []
        convs = set()
        for i in range(self._count(pattern)):
            start = f"{prefix}{i}."
            inside = {n: t for n, t in self._tensors.items() if n.startswith(start)}
            layer, conv = LayerFinder(self._where, start, inside, width).layer()
            if layers and _parts(layer, start) != _parts(layers[0], f"{prefix}0."):
                raise lacks(self._where, f"in {start[:-1]} the parts that are in {prefix}0")
            layers.append(layer)
            convs.add(conv)
        if len(convs) != 1:
            raise lacks(self._where, "matrices that all lie the same way round")
        head, head_conv = self._head(outside, tokens)
        n_ff, q_rows, kv_rows = self._sizes(layers[0], conv)
        return Roles(
            tokens=tokens,
            positions=positions,
            layers=tuple(layers),
            norm=self._last_norm(outside, width),
            head=head,
            prefix=prefix,
            conv=conv,
            head_conv=head_conv,
            n_vocab=n_vocab,
            n_embd=width,
            n_positions=self._n_positions(positions, width),
            n_ff=n_ff,
            q_rows=q_rows,
            kv_rows=kv_rows,
        )

    def _sizes(self, layer: Layer, conv: bool) -> tuple[int, int, int]:
        """Rows of the MLP, of Q, and of K (0 where fused)."""

        def rows(*pairs: Pair) -> int:
            return sum(self._tensors[pair.weight].shape[int(conv)] for pair in pairs)

        down = self._tensors[layer.mlp.down.weight].shape
        n_ff = down[0] if conv else down[1]
        parts = layer.attention.parts
        if len(parts) == 1:
            return n_ff, self._tensors_width(layer, conv), 0
        return n_ff, rows(*parts[0]), rows(*parts[1])

    def _tensors_width(self, layer: Layer, conv: bool) -> int:
        """Columns of the output matrix: what all heads are wide together."""
        out = layer.attention.out
        if out is None:
            return self._tensors[layer.attention.parts[0][0].weight].shape[int(conv)] // 3
        shape = self._tensors[out.weight].shape
        return shape[0] if conv else shape[1]

    def _count(self, pattern: re.Pattern[str]) -> int:
        found = {int(m[1]) for name in self._tensors if (m := pattern.match(name))}
        if found != set(range(len(found))) or len(found) > _MAX_LAYERS:
            raise ArchitectureError(
                f"The layers in {self._where} are not numbered 0 to n (n at most "
                f"{_MAX_LAYERS - 1}): {len(found)} found, up to {max(found)}.",
                "The checkpoint is incomplete.",
            )
        return len(found)

    def _embeddings(self, outside: dict[str, Tensor]) -> tuple[str, str | None]:
        matrices = {n: t for n, t in outside.items() if len(_squeezed(t)) == 2}
        positions = [name for name in matrices if words.POSITION.search(name)]
        free = [n for n in matrices if n not in positions and len(matrices[n].shape) == 2]
        tokens = [n for n in free if words.TOKEN.search(n) and not words.HEAD.search(n)]
        tokens = tokens or [n for n in free if words.TOKEN.search(n)] or free[:1]
        if len(tokens) != 1:
            raise lacks(
                self._where, f"one token embedding (found: {', '.join(tokens)[:200] or 'none'})"
            )
        if len(positions) > 1:
            raise lacks(
                self._where, f"one table of positions (found: {', '.join(positions)[:200]})"
            )
        return tokens[0], positions[0] if positions else None

    def _n_positions(self, positions: str | None, width: int) -> int | None:
        if positions is not None:
            table = self._tensors[positions]
            if table.n_weights % width or _squeezed(table)[-1] != width:
                raise ArchitectureError(
                    f"{positions[:80]} has shape {table.shape}, but the model is {width} wide.",
                    "The positions do not belong to these tokens.",
                )
            return table.n_weights // width
        masks = [t.shape for n, t in self._all.items() if words.MASK.fullmatch(n)]
        square = [s[-1] for s in masks if len(s) >= 2 and s[-1] == s[-2]]
        return square[0] if square else None

    def _head(self, outside: dict[str, Tensor], tokens: str) -> tuple[Pair | None, bool]:
        shape = self._tensors[tokens].shape
        fitting = {shape: False, shape[::-1]: True}
        heads = [
            n
            for n, t in outside.items()
            if t.shape in fitting and n != tokens and not words.POSITION.search(n)
        ]
        if len(heads) > 1:
            heads = [n for n in heads if words.HEAD.search(n)] or heads
        if len(heads) > 1:
            raise lacks(self._where, f"one output head (found: {', '.join(heads)[:200]})")
        biases = [n for n, t in outside.items() if t.shape == shape[:1] and _is_head_bias(n)]
        if not heads:
            if len(biases) == 1:
                return Pair(tokens, biases[0]), False
            return None, False
        pair = with_bias(heads[0], outside)
        if pair.bias is None and len(biases) == 1:
            pair = Pair(heads[0], biases[0])
        return pair, fitting[outside[heads[0]].shape]

    def _last_norm(self, outside: dict[str, Tensor], width: int) -> Pair | None:
        norms = find_norms(outside, width)
        of_embeddings = [n for n in norms if words.EMBEDDING_NORM.search(n.weight)]
        if of_embeddings and len(norms) > 1:
            raise lacks(
                self._where,
                f"a graph: {of_embeddings[0].weight[:80]} is a norm on the embeddings",
                "llama.cpp's GPT-2 and Llama have none there.",
            )
        if len(norms) > 1:
            seen = ", ".join(pair.weight for pair in norms)
            raise lacks(
                self._where,
                f"one norm after the last layer (found: {seen[:200]})",
                "llama.cpp's GPT-2 has norms before attention, before the MLP, and one at the end.",
            )
        return norms[0] if norms else None


def _is_head_bias(name: str) -> bool:
    return words.HEAD.search(name) is not None and "bias" in name.lower()


def _parts(layer: Layer, start: str) -> str:
    """The parts of a layer without its number: those of two layers are compared."""
    return repr(layer).replace(f"'{start}", "'")


def _squeezed(tensor: Tensor) -> tuple[int, ...]:
    return tuple(n for n in tensor.shape if n != 1)
