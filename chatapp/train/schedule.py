"""The learning rate over a run."""

import math


def learning_rate(step: int, steps: int, peak: float, floor: float, warmup: int) -> float:
    """Linear warm-up to `peak`, then half a cosine down to `floor` at the last step.

    Source: Loshchilov and Hutter 2017 (SGDR), without restarts, as nanoGPT's `get_lr`.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * done))
