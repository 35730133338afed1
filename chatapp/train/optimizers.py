"""What changes the weights: AdamW alone, or Muon for the matrices of the layers beside it.

Promises one `state_dict`: AdamW's own, as nanoGPT stores it, or a list under `parts`.
Sources: Loshchilov and Hutter 2019 (AdamW); Jordan et al. 2024 (Muon), its steps scaled to the size
of AdamW's as in Liu et al. 2025, so that one learning rate serves both.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from chatapp.errors import ChatAppError
from chatapp.train.checkpoint import DAMAGED
from chatapp.train.device import has_bf16
from chatapp.train.language_model import LanguageModel
from chatapp.train.parallel import scatter
from chatapp.train.settings import PretrainSettings

_MUON = {
    "momentum": 0.95,
    "nesterov": True,
    "ns_coefficients": (3.4445, -4.775, 2.0315),
    "eps": 1e-7,
    "ns_steps": 5,
    "adjust_lr_fn": "match_rms_adamw",
}
"""As PyTorch's own keeps them, with the coefficients of Jordan et al. 2024: either goes on from a
state of the other."""


def has_muon() -> bool:
    """Whether this PyTorch has Muon (2.9 and newer)."""
    return hasattr(torch.optim, "Muon")


class Optimizers:
    """One optimizer, or two for different weights, as if they were one."""

    def __init__(self, model: LanguageModel, settings: PretrainSettings) -> None:
        weights = [one for one in model.parameters() if one.requires_grad]
        hidden: set[int] = set()
        self.parts: list[Optimizer] = []
        if settings.optimizer == "muon" and has_muon():
            matrices = [one for one in model.blocks().parameters() if one.dim() == 2]
            hidden = {id(one) for one in matrices}
            if has_bf16(matrices[0].device):
                muon: Optimizer = torch.optim.Muon(
                    matrices,
                    lr=settings.learning_rate,
                    weight_decay=settings.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            else:
                muon = _Float32Muon(matrices, settings)
            self.parts.append(muon)
        self.parts.append(_adamw([one for one in weights if id(one) not in hidden], settings))

    def step(self, rate: float) -> None:
        """Change the weights by their gradients, and forget these."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradients of all weights, of either optimizer."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs."""
        states = [part.state_dict() for part in self.parts]
        return states[0] if len(states) == 1 else {"parts": states}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`; raises `ChatAppError` when it is not that of these weights."""
        try:
            states = state["parts"] if len(self.parts) > 1 else [state]
            for part, one in zip(self.parts, states, strict=True):
                part.load_state_dict(one)
                for weight, kept in part.state.items():
                    for name in kept:
                        kept[name] = scatter(kept[name], weight)
            whole = all(map(_is_whole, self.parts))
        except Exception:  # noqa: BLE001 -- PyTorch raises whatever it meets in a state that is not whole
            whole = False
        if not whole:
            raise ChatAppError(
                "The checkpoint's optimizer state is not that of its model.", DAMAGED
            )


class _Float32Muon(Optimizer):
    """Muon for a CPU without bf16 instructions, with PyTorch's defaults and `state_dict`.

    PyTorch's own makes its updates in bf16, which such a CPU emulates: 70 of 100 seconds of
    training a model of 9 million parameters on two cores of an AMD EPYC Milan.
    """

    def __init__(self, matrices: Sequence[Tensor], settings: PretrainSettings) -> None:
        rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        super().__init__(matrices, rates | _MUON)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                moved = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
                update = _orthogonalise(weight.grad.lerp(moved, group["momentum"]), group)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape) ** 0.5)


def _orthogonalise(matrix: Tensor, group: Mapping[str, Any]) -> Tensor:
    """The nearest matrix whose singular values are about 1, by Newton and Schulz's iteration."""
    a, b, c = group["ns_coefficients"]
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = wide @ wide.T
        gram = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        wide = torch.addmm(wide, gram, wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def _adamw(weights: Iterable[Tensor], settings: PretrainSettings) -> AdamW:
    """AdamW with weight decay on matrices only, betas as in GPT-3 (0.9, 0.95) unless told."""
    weights = list(weights)
    groups = [
        {
            "params": [weight for weight in weights if weight.dim() >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.beta2), fused=True)


def _is_whole(part: Optimizer) -> bool:
    """Whether every weight has its moments, in its own shape."""
    names = ("exp_avg", "exp_avg_sq") if isinstance(part, AdamW) else ("momentum_buffer",)
    return all(
        state[name].shape == weight.shape for weight, state in part.state.items() for name in names
    )
