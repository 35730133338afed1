"""LoRA by peft: small matrices beside those of the layers, which alone are trained.

Promises an adapter folder in peft's own names. Source: Hu et al. 2021; Kalajdzievski 2023 (rsLoRA).
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import save_file
from torch import Tensor, nn

from chatapp.train.bases import TEMPLATE_FILE, Base
from chatapp.train.pretrained import Pretrained, writing
from chatapp.train.tuning_settings import LoraSettings

ADAPTER_FILE = "adapter_model.safetensors"
_NAME = "default"
_ROUTERS = ("gate", "router", "shared_expert_gate")
"""Matrices that choose among experts: few numbers, which everything depends on."""


class Lora:
    """The adapter of one model."""

    def __init__(self, base: Base, settings: LoraSettings) -> None:
        """Freeze the model and put an adapter, which changes nothing yet, on all matrices of its
        layers."""
        self._base, model = base, base.model
        inside: nn.Module = model.body if isinstance(model, Pretrained) else model
        names = _find_targets(inside, model.blocks())
        turned = any(type(one).__name__ == "Conv1D" for one in inside.modules())
        self._config = peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha or 2 * settings.rank,  # type: ignore[arg-type]
            lora_dropout=settings.dropout,
            target_modules=names,
            fan_in_fan_out=turned,
            base_model_name_or_path=str(base.path.absolute()),
            task_type="CAUSAL_LM",
        )
        model.requires_grad_(requires_grad=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft reads names that transformers no longer likes
            peft.inject_adapter_in_model(self._config, inside, adapter_name=_NAME)
        for name, weight in model.named_parameters():
            weight.requires_grad_(".lora_" in name)
            if ".lora_" in name:
                weight.data = weight.data.float()

    def write(self, state: Mapping[str, Tensor], folder: Path) -> None:
        """Write the adapter whose weights `state` holds. Raises `ChatAppError`."""
        weights = {_rename(name): one.cpu().contiguous() for name, one in state.items()}
        with writing(folder) as place:
            save_file(weights, place / ADAPTER_FILE, metadata={"format": "pt"})
            config: Any = self._config
            config.inference_mode = True
            config.save_pretrained(str(place))
            config.inference_mode = False
            if self._base.template:
                (place / TEMPLATE_FILE).write_text(self._base.template, "utf-8")


def _find_targets(inside: nn.Module, blocks: nn.ModuleList) -> list[str]:
    """The names of all matrices in the layers, by their last part."""
    kinds = ("Linear", "Conv1D")
    found = {
        name.rpartition(".")[2]
        for name, module in blocks.named_modules()
        if type(module).__name__ in kinds
    } - set(_ROUTERS)
    # no matrix outside of the layers, as the output is, may be called like one in them
    within = {id(module) for module in blocks.modules()}
    outside = {
        name.rpartition(".")[2]
        for name, module in inside.named_modules()
        if type(module).__name__ in kinds and id(module) not in within
    }
    return sorted(found - outside)


def _rename(name: str) -> str:
    plain = name.removeprefix("body.").replace(f".{_NAME}.", ".")
    return f"base_model.model.{plain}"
