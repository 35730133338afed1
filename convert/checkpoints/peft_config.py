"""`adapter_config.json` as peft writes it: what is merged, how strongly, and what is refused.

It promises that a setting which changes the computation is either understood or refused by name,
also one that a later version of peft invents. Some ways to start the training change the base
model too (PiSSA, OLoRA): their adapters do not fit the model as it lies on the disk.
Sources: Hu et al. 2021, Kalajdzievski 2023 (rsLoRA), the behaviour of peft 0.21.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from convert.checkpoints.objects import load_object
from convert.checkpoints.peft_patterns import match
from convert.errors import CheckpointError

CONFIG = "adapter_config.json"
BY_PEFT = "Merge it with peft (merge_and_unload), save the model, and convert that."
# Variants of LoRA that compute something else.
_VARIANTS: dict[str, str] = {
    "alora_invocation_tokens": "aLoRA, which is switched on by certain tokens",
    "arrow_config": "Arrow, which chooses among adapters",
    "kasa_config": "KaSA",
    "layer_replication": "layers that are repeated",
    "megatron_config": "Megatron's parallel layers",
    "monteclora_config": "MonteCLoRA",
    "target_parameters": "LoRA on bare parameters",
    "use_bdlora": "BD-LoRA, whose factors are block-diagonal",
    "use_qalora": "QALoRA, which pools the inputs",
    "velora_config": "VeLoRA",
}
# How A and B begin, where that leaves the base model as it is.
_STARTS = ("gaussian", "eva", "orthogonal", "mica")
# Settings that do not change what a merged model computes, or are read here.
_KNOWN = frozenset(
    {"alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config"}
    | {"ensure_weight_tying", "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode"}
    | {"init_lora_weights", "layers_pattern", "layers_to_transform", "loftq_config", "lora_alpha"}
    | {"lora_bias", "lora_dropout", "lora_ga_config", "megatron_core", "modules_to_save"}
    | {"peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern", "revision"}
    | {"target_modules", "task_type", "trainable_token_indices", "use_dora", "use_rslora"}
    | {"ephemeral_gpu_offload", "runtime_config", "modules_to_tie", "target_modules_to_tie"}
)


@dataclass(frozen=True)
class Strength:
    """What B A is multiplied with for one module."""

    rank: int
    alpha: float
    scale: float

    def __str__(self) -> str:
        return f"r={self.rank} alpha={self.alpha:g} scale {self.scale:.4g}"


class AdapterConfig:
    """The configuration in one adapter's folder, checked."""

    def __init__(self, folder: Path) -> None:
        """Read and check it. Raises `CheckpointError` naming what is not merged."""
        self.where = folder.name
        self._values = load_object(folder / CONFIG)
        self._refuse()
        self.is_dora = self._flag("use_dora")
        self.is_rslora = self._flag("use_rslora")
        self.is_turned = self._flag("fan_in_fan_out")
        self.keeps_ties = self._flag("ensure_weight_tying")
        strange = sorted(key for key, value in self._values.items() if value and key not in _KNOWN)
        self.notes = tuple(
            f"{CONFIG} has {key[:60]}, which is not understood and left out." for key in strange[:4]
        )

    @property
    def kind(self) -> str:
        """What the adapter is called: "LoRA", "rsLoRA", "DoRA" or "rsDoRA"."""
        return ("rs" if self.is_rslora else "") + ("DoRA" if self.is_dora else "LoRA")

    def _flag(self, key: str) -> bool:
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise CheckpointError(f"{self.where} has {key}={value!r:.40}, neither true nor false.")
        return bool(value)

    def _refuse(self) -> None:
        kind = self._values.get("peft_type")
        if kind != "LORA":
            raise CheckpointError(
                f"{self.where} is a PEFT adapter of type {str(kind)[:40]}, not LoRA.", BY_PEFT
            )
        for key, value in self._values.items():
            if not value or key in _KNOWN:
                continue
            if key in _VARIANTS or key.startswith("use_") or key.endswith("_config"):
                what = _VARIANTS.get(key, "something that came after peft 0.21")
                raise CheckpointError(f"{self.where} uses {key[:60]}: {what}.", BY_PEFT)
        start = self._values.get("init_lora_weights")
        if not (start is None or isinstance(start, bool) or start in _STARTS):
            raise CheckpointError(
                f"{self.where} was started as {str(start)[:40]!r} (init_lora_weights), which "
                "changes the base model too: the adapter does not fit the model on the disk.",
                "Save it with peft's path_initial_model_for_weight_conversion, or merge it there.",
            )

    def strengths(self, modules: Sequence[str], ranks: Sequence[int]) -> list[Strength]:
        """The strength for each of `modules`, whose factors have `ranks`.

        Raises `CheckpointError` where the configuration says another rank than there is.
        """
        said = self._by_pattern("rank_pattern", "r", modules)
        alphas = self._by_pattern("alpha_pattern", "lora_alpha", modules)
        found = []
        for module, rank, expected, alpha in zip(modules, ranks, said, alphas, strict=True):
            if type(expected) is not int or expected != rank or rank < 1:
                raise misfit(module, f"its rank is {rank}, the configuration says {expected!r:.20}")
            if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not isfinite(alpha):
                raise misfit(module, f"its alpha is {alpha!r:.20}, no number")
            scale = alpha / (sqrt(rank) if self.is_rslora else rank)
            found.append(Strength(rank, alpha, scale))
        return found

    def _by_pattern(self, key: str, default: str, modules: Sequence[str]) -> list[Any]:
        patterns = self._values.get(key) or {}
        if not isinstance(patterns, dict):
            raise CheckpointError(f"{self.where} has a {key} that is no object.")
        values = [*patterns.values(), self._values.get(default)]
        return [values[i] for i in match(list(patterns), modules, key)]

    def token_ids(self, module: str) -> list[int]:
        """The rows of the embedding `module` that were trained. Raises `CheckpointError`."""
        said = self._values.get("trainable_token_indices")
        if isinstance(said, dict):
            ends = [ids for name, ids in said.items() if f".{module}".endswith(f".{name}")]
            said = ends[0] if len(ends) == 1 else None
        if not isinstance(said, list) or not all(type(i) is int and i >= 0 for i in said):
            raise misfit(module, "trainable_token_indices does not list its tokens")
        if len(set(said)) != len(said):
            raise misfit(module, "trainable_token_indices has a token twice")
        return said


def misfit(module: str, detail: str) -> CheckpointError:
    """The adapter and the model do not belong together at `module`."""
    return CheckpointError(
        f"The adapter does not fit {module[:100]}: {detail}.",
        "The adapter belongs to another model, or was damaged.",
    )
