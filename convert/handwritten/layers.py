"""Tells the parts of one layer: attention, MLP and their norms, by names, shapes and order."""

from __future__ import annotations

from collections.abc import Mapping

from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.handwritten import names as words
from convert.handwritten.names import find_norms, natural, with_bias
from convert.handwritten.roles import Attention, Layer, Mlp, Pair


class LayerFinder:
    """The tensors of one layer, whose names begin with `prefix`."""

    def __init__(self, where: str, prefix: str, inside: Mapping[str, Tensor], width: int) -> None:
        self._where = where
        self._prefix = prefix
        self._inside = inside
        self._width = width
        self._matrices = {
            name.removeprefix(prefix): tensor
            for name, tensor in inside.items()
            if len(tensor.shape) == 2
        }

    def layer(self) -> tuple[Layer, bool]:
        """The layer, and whether its matrices are [in, out]. Raises `ArchitectureError`."""
        q_norm, k_norm = (self._named_norm(kind) for kind in (words.Q_NORM, words.K_NORM))
        norm_1, norm_2 = self._norms(q_norm, k_norm)
        parts, rest = self._qkv()
        out, rest = self._output(parts, rest)
        conv = self._is_conv(parts, rest)
        mlp = self._mlp(rest, conv)
        return Layer(norm_1, norm_2, Attention(parts, out, q_norm, k_norm), mlp), conv

    def _pair(self, name: str) -> Pair:
        return with_bias(self._prefix + name, self._inside)

    def _named_norm(self, kind: object) -> Pair | None:
        """A norm over Q or K: the vector that says so."""
        found = [
            name
            for name, tensor in self._inside.items()
            if len(tensor.shape) == 1 and kind.search(name.removeprefix(self._prefix))  # type: ignore[attr-defined]
        ]
        shifts = [name for name in found if name.endswith(("bias", "beta", "shift"))]
        scales = [name for name in found if name not in shifts]
        return Pair(scales[0], shifts[0] if shifts else None) if len(scales) == 1 else None

    def _norms(self, *taken: Pair | None) -> tuple[Pair, Pair | None]:
        names = {part for pair in taken if pair for part in (pair.weight, pair.bias)}
        inside = {name: t for name, t in self._inside.items() if name not in names}
        norms = find_norms(inside, self._width)
        if len(norms) == 1:
            return norms[0], None
        if len(norms) == 4:
            raise self._missing(
                "two norms a layer: it has four, before and behind attention and MLP",
                "Gemma 2 is nearest; llama.cpp has no graph for it in other shapes.",
            )
        if len(norms) != 2:
            seen = ", ".join(pair.weight for pair in norms) or "none"
            raise self._missing(
                f"two norms in {self._prefix} (found: {seen[:200]})",
                "A norm belongs to attention and one to the MLP; without weights of their own "
                "they cannot be told.",
            )
        a, b = (words.stem(p.weight).removeprefix(self._prefix) or p.weight for p in norms)
        if words.SECOND.search(a) and not words.FIRST.search(a) and words.FIRST.search(b):
            return norms[1], norms[0]
        return norms[0], norms[1]

    def _qkv(self) -> tuple[tuple[tuple[Pair, ...], ...], list[str]]:
        matrices, width = self._matrices, self._width
        groups = [
            [n for n in matrices if kind.search(n)]
            for kind in (words.QUERY, words.KEY, words.VALUE)
        ]
        if all(groups) and len({len(group) for group in groups}) == 1:
            taken = {name for group in groups for name in group}
            parts = tuple(
                tuple(self._pair(name) for name in sorted(group, key=natural)) for group in groups
            )
            return parts, [name for name in matrices if name not in taken]
        numbered = [n for n in matrices if words.ATTENTION.search(n) and words.NUMBERED.search(n)]
        if len(numbered) == 4 and {matrices[n].shape for n in numbered} == {(width, width)}:
            first = tuple((self._pair(name),) for name in sorted(numbered, key=natural)[:3])
            taken = {pair.weight.removeprefix(self._prefix) for (pair,) in first}
            return first, [name for name in matrices if name not in taken]
        fused = [n for n, t in matrices.items() if words.FUSED.search(n) and self._is_fused(t)]
        if len(fused) != 1:
            raise self._missing(
                f"Q, K and V in {self._prefix}: neither three matrices by their names nor one of "
                f"{3 * width} rows",
                "Names with query, key and value, or qkv, are understood.",
            )
        return ((self._pair(fused[0]),),), [name for name in matrices if name != fused[0]]

    def _is_fused(self, tensor: Tensor) -> bool:
        """Rows of Q, K and V together; fewer where K and V have fewer heads."""
        rows, columns = tensor.shape
        wide = max(rows, columns)
        return min(rows, columns) == self._width and self._width < wide <= 3 * self._width

    def _output(
        self, parts: tuple[tuple[Pair, ...], ...], rest: list[str]
    ) -> tuple[Pair | None, list[str]]:
        """Attention's output matrix, if it has one, and what is left."""
        width = self._width
        rows = width
        if len(parts) == 3:
            shapes = [self._inside[pair.weight].shape for pair in parts[0]]
            rows = sum(s[0] if s[1] == width else s[1] for s in shapes)
        shapes_of = {(width, rows), (rows, width)}
        fitting = [n for n in rest if self._matrices[n].shape in shapes_of]
        attention = [n for n in fitting if words.ATTENTION.search(n) and not _in_mlp(n)]
        if len(attention) != 1:
            attention = [n for n in fitting if not _in_mlp(n)] if len(rest) > 2 else attention
        if len(attention) > 1:
            attention = [n for n in attention if words.ATTENTION.search(n)]
        if len(attention) == 1:
            return self._pair(attention[0]), [name for name in rest if name != attention[0]]
        if len(rest) in (2, 3) and not attention:
            return None, rest
        raise self._missing(f"attention's output matrix in {self._prefix}")

    def _is_conv(self, parts: tuple[tuple[Pair, ...], ...], rest: list[str]) -> bool:
        """Whether matrices are [in, out]: told by the first that is not square."""
        width = self._width
        for pair in (part[0] for part in parts):
            rows, columns = self._inside[pair.weight].shape
            if rows != columns:
                return columns != width
        ups = [n for n in rest if words.UP.search(n) and not words.DOWN.search(n)] or rest[:1]
        for name in ups:
            rows, columns = self._matrices[name].shape
            if rows != columns:
                return columns != width
        return False

    def _mlp(self, rest: list[str], conv: bool) -> Mlp:
        width = self._width

        def shape(name: str) -> tuple[int, ...]:
            found = self._matrices[name].shape
            return found[::-1] if conv else found

        downs = [n for n in rest if shape(n)[0] == width]
        ups = [n for n in rest if shape(n)[1] == width]
        if len(rest) == 2:
            a, b = rest
            if shape(a)[0] == width == shape(a)[1]:  # square: by name, or as they were defined
                turned = words.DOWN.search(a) and not words.DOWN.search(b)
                up, down = (b, a) if turned else (a, b)
            else:
                up, down = (a, b) if a in ups else (b, a)
            fused = shape(up)[0] == 2 * shape(down)[1]
            if shape(down)[0] != width or shape(up)[1] != width:
                raise self._unfit()
            if not fused and shape(up)[0] != shape(down)[1]:
                raise self._unfit()
            return Mlp((self._pair(up),), self._pair(down), fused)
        if len(rest) == 3:
            n_square = sum(1 for n in rest if n in downs and n in ups)
            found = [n for n in rest if n in downs and n not in ups]
            if n_square:
                found = [n for n in rest if words.DOWN.search(n)] or [rest[-1]]
            if len(found) == 1:
                both = [n for n in rest if n != found[0]]
                if {shape(n) for n in both} == {shape(found[0])[::-1]}:
                    both.sort(key=lambda name: 0 if words.GATE.search(name) else 1)
                    return Mlp(tuple(map(self._pair, both)), self._pair(found[0]))
        raise self._missing(
            f"an MLP of two or three matrices in {self._prefix} (found: "
            f"{', '.join(rest)[:200] or 'none'})",
            "Experts, and anything beside attention and one MLP, are not read here.",
        )

    def _unfit(self) -> ArchitectureError:
        return self._missing(f"matrices of an MLP that fit one another in {self._prefix}")

    def _missing(self, what: str, hint: str = "") -> ArchitectureError:
        return lacks(self._where, what, hint)


def _in_mlp(name: str) -> bool:
    return words.MLP.search(name) is not None and not words.ATTENTION.search(name)


def lacks(where: str, what: str, hint: str = "") -> ArchitectureError:
    """The error for a part that is not there."""
    return ArchitectureError(
        f"{where} looks like a GPT, but it lacks {what}.",
        hint or "Rename the tensors as nanoGPT has them, or say what is what.",
    )
