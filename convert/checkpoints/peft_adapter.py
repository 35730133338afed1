"""A LoRA folder as PEFT writes it, merged into the model it was trained on.

It promises peft's own arithmetic (W + s B A; rsLoRA's s = alpha / sqrt(r); DoRA's magnitudes),
block of rows by block of rows, and that nothing of the adapter is left out in silence: what is not
understood is refused by name. Sources: Hu et al. 2021, Kalajdzievski 2023, Liu et al. 2024, and the
behaviour of peft 0.21.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints import safetensors, torch_zip
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.folder import load_object
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError, UsageError

CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Variants of LoRA that compute something else, with the values that mean "not used".
_UNUSED: dict[str, tuple[Any, ...]] = {
    "use_qalora": (False,),
    "use_bdlora": (False,),
    "alora_invocation_tokens": ([],),
    "arrow_config": ({},),
    "layer_replication": ([],),
    "megatron_config": ({},),
    "target_parameters": ([],),
    "trainable_token_indices": ([], {}),
    "velora_config": ({},),
    "monteclora_config": ({},),
    "kasa_config": ({},),
}
_PART = re.compile(
    r"(.+)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?:\.(?!weight|bias)[\w-]+)?(?:\.(weight|bias))?"
)


@dataclass
class _Delta:
    """What the adapter has for one module."""

    parts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def is_embedding(self) -> bool:
        return "lora_embedding_A" in self.parts

    def get(self, letter: str) -> Tensor | None:
        return self.parts.get(f"lora_{letter}") or self.parts.get(f"lora_embedding_{letter}")


def recognise(folder: Path) -> bool:
    """Whether `folder` is a PEFT adapter."""
    return (folder / CONFIG).is_file()


def find_base(folder: Path) -> Path:
    """The model's folder that the adapter names, if it is on this disk. Raises `UsageError`."""
    name = load_object(folder / CONFIG).get("base_model_name_or_path")
    if isinstance(name, str) and name and Path(name).exists():
        return Path(name)
    raise UsageError(
        f"{folder.name} is a LoRA adapter; the model under it, {str(name)[:80]!r}, is not here.",
        f"Give the model, and the adapter with it: chatapp convert MODEL --lora {folder}.",
    )


def merge(base: Checkpoint, folder: Path) -> Checkpoint:
    """`base` with the adapter in `folder` merged into its weights. Raises `CheckpointError`."""
    if not recognise(folder):
        raise UsageError(f"{folder} holds no {CONFIG}.", "Give the folder that peft saved.")
    return _Merge(base, folder).checkpoint()


class _Merge:
    def __init__(self, base: Checkpoint, folder: Path) -> None:
        self._base, self._folder = base, folder
        self._config = load_object(folder / CONFIG)
        self._check_config()
        self._path, self._found = self._read()
        self._tensors = dict(base.tensors)
        self._notes: list[str] = []
        self._scales: set[str] = set()

    def _check_config(self) -> None:
        kind = self._config.get("peft_type")
        if kind != "LORA":
            raise CheckpointError(
                f"{self._folder.name} is a PEFT adapter of type {str(kind)[:40]}, not LoRA.",
                "Merge it with peft (merge_and_unload), save the model, and convert that.",
            )
        for name, unused in _UNUSED.items():
            value = self._config.get(name)
            if value is not None and value not in unused:
                raise CheckpointError(
                    f"{self._folder.name} uses {name}, a variant of LoRA that is not merged here.",
                    "Merge it with peft (merge_and_unload), save the model, and convert that.",
                )

    def _read(self) -> tuple[Path, dict[str, Tensor]]:
        for name in _WEIGHTS:
            path = self._folder / name
            if path.is_file():
                reader = safetensors if path.suffix == ".safetensors" else torch_zip
                return path, reader.read(path).tensors
        raise CheckpointError(
            f"{self._folder.name} holds no weights: looked for {' and '.join(_WEIGHTS)}.",
            "Copy the whole folder that peft saved.",
        )

    def checkpoint(self) -> Checkpoint:
        deltas, others = self._sort()
        replaced = [self._replace(name, tensor) for name, tensor in others.items()]
        for module, delta in deltas.items():
            self._merge_module(module, delta)
        kind = "DoRA" if self._config.get("use_dora") else "LoRA"
        if self._config.get("use_rslora"):
            kind = f"rs{kind}"
        notes = [f"{len(deltas)} weights merged: {kind}, {', '.join(sorted(self._scales))}."]
        if replaced:
            notes.append(f"{len(replaced)} weights replaced: {', '.join(sorted(replaced)[:4])}.")
        return replace(
            self._base,
            tensors=self._tensors,
            notes=(*self._base.notes, *notes, *self._notes),
            files=(*self._base.weight_files, self._path),
        )

    def _sort(self) -> tuple[dict[str, _Delta], dict[str, Tensor]]:
        deltas: dict[str, _Delta] = {}
        others: dict[str, Tensor] = {}
        for name, tensor in self._found.items():
            short = name.removeprefix("base_model.model.")
            found = _PART.fullmatch(short)
            if found is None:
                others[short] = tensor
                continue
            part = found[2] + (".bias" if found[3] == "bias" else "")
            deltas.setdefault(found[1], _Delta()).parts[part] = tensor
        return deltas, others

    def _base_name(self, name: str) -> str | None:
        """The base's name of `name`, which may lack or have the model's own prefix."""
        if name in self._tensors:
            return name
        ends = [
            key for key in self._tensors if name.endswith(f".{key}") or key.endswith(f".{name}")
        ]
        return ends[0] if len(ends) == 1 else None

    def _merge_module(self, module: str, delta: _Delta) -> None:
        name = self._base_name(f"{module}.weight")
        a, b = delta.get("A"), delta.get("B")
        if name is None or a is None or b is None:
            raise CheckpointError(
                f"{self._folder.name} adapts {module[:100]}, which the model does not have whole.",
                "The adapter belongs to another model.",
            )
        weight, scale = self._tensors[name], self._scale(module, a)
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            raise self._misfit(module, f"ranks {a.shape} and {b.shape}")
        left, right = a.float32(), b.float32()  # [r, in], [out, r]: thin
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            raise CheckpointError(f"{module[:100]} of {self._folder.name} is not finite.")
        turned = delta.is_embedding or self._is_turned(weight, left, right)
        expected = (left.shape[1], right.shape[0]) if turned else (right.shape[0], left.shape[1])
        if weight.shape != expected:
            raise self._misfit(module, f"{weight.shape} in the model, {expected} in the adapter")
        rows, cols = (left.T, right.T) if turned else (right, left)
        merged = _add_product(weight, rows, cols, scale)
        magnitude = delta.parts.get("lora_magnitude_vector")
        if magnitude is not None:
            merged = _with_magnitude(merged, magnitude.float32().reshape(-1), by_row=not turned)
        elif self._config.get("use_dora"):
            raise CheckpointError(f"{module[:100]} lacks the magnitudes that DoRA has.")
        if delta.is_embedding:
            self._untie(name)
        self._tensors[name] = merged
        self._merge_bias(module, delta, scale)

    def _merge_bias(self, module: str, delta: _Delta, scale: float) -> None:
        extra = delta.parts.get("lora_B.bias")
        if extra is None:
            return
        name = self._base_name(f"{module}.bias")
        if name is None:
            raise CheckpointError(f"{module[:100]} gets a bias that the model does not have.")
        column = extra.float32().reshape(-1, 1)
        one = np.ones((1, 1), np.float32)
        self._tensors[name] = _add_product(self._tensors[name], column, one, scale)

    def _is_turned(self, weight: Tensor, a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
        """Whether the weight is [in, out], as GPT-2's Conv1D keeps it; a square one cannot tell."""
        straight, turned = (b.shape[0], a.shape[1]), (a.shape[1], b.shape[0])
        if straight == turned:
            return bool(self._config.get("fan_in_fan_out"))
        return weight.shape == turned

    def _scale(self, module: str, a: Tensor) -> float:
        rank = a.shape[0]
        said = self._pattern("rank_pattern", module, self._config.get("r"))
        alpha = self._pattern("alpha_pattern", module, self._config.get("lora_alpha"))
        if (
            isinstance(alpha, bool)
            or not isinstance(alpha, int | float)
            or said != rank
            or not rank
        ):
            raise self._misfit(
                module, f"rank {said!r:.20} and alpha {alpha!r:.20} said, rank {rank}"
            )
        scale = alpha / (sqrt(rank) if self._config.get("use_rslora") else rank)
        self._scales.add(f"r={rank} alpha={alpha:g} scale {scale:.3g}")
        return scale

    def _pattern(self, key: str, module: str, default: Any) -> Any:
        """The value for `module` in a pattern: the first regular expression that ends its name."""
        patterns = self._config.get(key)
        for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
            if len(pattern) > 200 or re.search(r"[*+{].*[*+{]", pattern):
                raise CheckpointError(f"{key} has an expression too intricate: {pattern[:60]!r}.")
            try:
                if re.match(rf"(.*\.)?({pattern})$", module):
                    return value
            except re.error:
                raise CheckpointError(f"{key} has no expression in {pattern[:60]!r}.") from None
        return default

    def _replace(self, name: str, tensor: Tensor) -> str:
        """A weight that was trained whole: modules_to_save, or a bias."""
        original = name
        name = re.sub(r"\.(?:base_layer|modules_to_save(?:\.[\w-]+)?|original_module)\.", ".", name)
        target = self._base_name(name)
        if target is None and name not in ("lm_head.weight", "embed_out.weight"):
            raise CheckpointError(
                f"{self._folder.name} holds {name[:100]}, which the model does not have.",
                "The adapter belongs to another model.",
            )
        target = target or name
        before = self._tensors.get(target)
        if before is not None and before.shape[1:] != tensor.shape[1:]:
            raise self._misfit(name, f"{before.shape} in the model, {tensor.shape} in the adapter")
        if _is_embedding(target) and ".base_layer." not in original:
            self._untie(target)
        self._tensors[target] = replace(tensor, name=target, origin=name)
        return target

    def _untie(self, name: str) -> None:
        """Keep the output as it was when only the embedding was trained."""
        head = "lm_head.weight"
        tied = self._base.config.get("tie_word_embeddings", True) is not False
        if self._config.get("ensure_weight_tying") or not tied:
            return
        if any(key.startswith("base_model.model.lm_head.") for key in self._found):
            return
        self._tensors[head] = replace(self._base.tensors[name], name=head, origin=name)
        self._notes.append("Only the embedding was trained: the output is no longer tied to it.")

    def _misfit(self, module: str, detail: str) -> CheckpointError:
        return CheckpointError(
            f"The adapter does not fit {module[:100]}: {detail}.",
            "The adapter belongs to another model.",
        )


def _is_embedding(name: str) -> bool:
    return name.endswith(("embed_tokens.weight", "wte.weight", "embed_in.weight"))


def _add_product(
    weight: Tensor, rows: NDArray[np.float32], cols: NDArray[np.float32], scale: float
) -> Tensor:
    """`weight + scale * rows @ cols`, with rows [n, r] and cols [r, m]."""
    scaled = cols * np.float32(scale)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return weight.read(start, stop) + rows[start:stop] @ scaled

    return replace(
        weight, dtype="F32", read=read, identity=(*weight.identity, "merged"), origin=weight.name
    )


def _with_magnitude(weight: Tensor, magnitude: NDArray[np.float32], *, by_row: bool) -> Tensor:
    """DoRA: every output's weights at the length `magnitude` says."""
    if len(magnitude) != (weight.n_rows if by_row else weight.n_cols):
        raise CheckpointError(f"{weight.name[:100]} has {len(magnitude)} magnitudes.")
    cache: list[NDArray[np.float32]] = []

    def factors() -> NDArray[np.float32]:
        # by column the whole matrix is read once, when the first rows are wanted
        squares = np.zeros(weight.n_cols)
        for block in weight.blocks():
            squares += np.einsum("ij,ij->j", block, block, dtype=np.float64)
        return (magnitude / np.sqrt(squares)).astype(np.float32)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        block = weight.read(start, stop)
        if by_row:
            norm = np.linalg.norm(block, axis=1).astype(np.float32)
            by_rows: NDArray[np.float32] = block * (magnitude[start:stop] / norm)[:, None]
            return by_rows
        if not cache:
            cache.append(factors())
        scaled: NDArray[np.float32] = block * cache[0]
        return scaled

    return replace(weight, read=read, identity=(*weight.identity, "magnitude"))
