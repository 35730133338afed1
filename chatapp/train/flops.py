"""How many operations training takes, and how many the machine could do (MFU).

Source: Chowdhery et al. 2022 (PaLM), appendix B: six for each weight and token (four for a frozen
one), and twelve for each layer, width and position of attention.
"""

import time

import torch

from chatapp.train.device import autocast
from chatapp.train.language_model import LanguageModel

_PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "4090": 165e12,
    "3090": 71e12,
    "V100": 125e12,
    "T4": 65e12,
}
"""Operations a second in 16 bits without sparsity, by what the GPU's name holds; their makers'."""


def per_token(model: LanguageModel, length: int) -> float:
    """Operations of a step for each token, forward and backward, in rows of `length` tokens."""
    args = model.args
    table = args.block_size * args.n_embd if "transformer.wpe.weight" in model.state_dict() else 0
    weights, trained = model.count_parameters() - table, model.count_trained() - table
    return 4 * weights + 2 * max(0, trained) + 12 * args.n_layer * args.n_embd * length


def find_peak(device: torch.device) -> float:
    """Operations a second that the device can do: by its name, else by multiplying matrices."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for part, peak in _PEAKS.items():
            if part in name:
                return peak
    size = 512 if device.type == "cpu" else 4096
    left = torch.full((size, size), 0.5, device=device)  # no random number is used up
    best = 0.0
    with autocast(device), torch.no_grad():
        for _ in range(5):
            began = time.perf_counter()
            (left @ left).sum().item()  # asking for the sum waits for a GPU
            best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best
