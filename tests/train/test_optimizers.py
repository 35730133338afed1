"""What changes the weights changes them as PyTorch's own optimizers do."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from chatapp.train.optimizers import _Float32Muon, has_muon
from chatapp.train.settings import PretrainSettings

RATE = 0.01


@pytest.mark.skipif(not has_muon(), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("shape", [(32, 80), (80, 32), (40, 40)])
def test_muon_in_float32_is_pytorchs_own(shape: tuple[int, int]) -> None:
    """PyTorch makes its updates in bf16, which has three digits."""
    torch.manual_seed(0)
    start = torch.randn(shape)
    one, other = (nn.Parameter(start.clone()) for _ in range(2))
    settings = PretrainSettings(learning_rate=RATE, weight_decay=0.1)
    theirs = torch.optim.Muon([one], RATE, 0.1, adjust_lr_fn="match_rms_adamw")
    ours = _Float32Muon([other], settings)
    for _ in range(5):
        one.grad = torch.randn(shape)
        other.grad = one.grad.clone()
        theirs.step()
        ours.step()
    moved = (one - start).norm()
    assert moved > 0.1
    assert (one - other).norm() < 0.02 * moved
    kept = deepcopy(theirs.state_dict())
    theirs.load_state_dict(deepcopy(ours.state_dict()))
    ours.load_state_dict(kept)
    one.grad = torch.randn(shape)
    other.grad = one.grad.clone()
    theirs.step()
    ours.step()
    assert (one - other).norm() < 0.02 * moved
