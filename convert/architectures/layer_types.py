"""Which layers of a decoder attend to a sliding window, and which to everything before them."""

from __future__ import annotations

from convert.architectures.settings import Settings
from convert.errors import ArchitectureError

FULL, SLIDING = "full_attention", "sliding_attention"


def sliding_layers(settings: Settings, n_layer: int, full_every: int) -> list[bool]:
    """Whether each layer slides, by `layer_types`, or else all but every `full_every`th.

    Raises `ArchitectureError` where `layer_types` names another kind, or another number of layers.
    """
    kinds = settings.raw("layer_types")
    if kinds is None:
        return [bool((layer + 1) % full_every) for layer in range(n_layer)]
    if not isinstance(kinds, list) or len(kinds) != n_layer:
        raise ArchitectureError(f"layer_types is {kinds!r:.60}, not a list of {n_layer} layers.")
    odd = next((kind for kind in kinds if kind not in (FULL, SLIDING)), None)
    if odd is not None:
        raise ArchitectureError(f"layer_types has {odd!r:.40}, neither {FULL} nor {SLIDING}.")
    return [kind == SLIDING for kind in kinds]
