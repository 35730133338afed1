"""The perplexity of a text to a model: how many tokens it hesitates between, on average.

It is e to the mean negative log-likelihood of the scored tokens. Perplexities can be compared
between models that have the same vocabulary; between others, bits for each byte of text can.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatapp.engine.scoring import Score, Scored, ScoreProgress
from chatapp.gguf.header import is_gguf
from chatapp.library.headers import read_info

if TYPE_CHECKING:
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import ModelDescription

DEFAULT_N_CTX = 512
"""Tokens of a window, as in llama-perplexity."""
_MOST = 700.0
"""e to this is nearly the largest float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """The perplexity of a model on a text, and all that is kept with it."""

    perplexity: float
    stderr: float
    """Standard error of `perplexity`, as llama-perplexity has it: the tokens taken as independent,
    which they are not, so it is rather small. 0 with one token."""
    tokens: int
    """Tokens that were scored."""
    n_ctx: int
    stride: int
    """0: llama-perplexity's windows."""
    windows: int
    text_tokens: int
    """Tokens of the whole text."""
    bytes: int
    """Bytes of the scored tokens."""
    bits_per_byte: float
    unknown_share: float
    """Of the text's bytes, those that no token stands for: they are neither read nor scored."""
    tokens_per_second: float
    """Tokens read, not only scored."""

    def as_json(self) -> dict[str, Any]:
        """The fields by name, as `--json` prints them."""
        return asdict(self)


async def measure_perplexity(
    client: "EngineClient",
    model: "ModelDescription",
    text: str,
    *,
    n_ctx: int = 0,
    stride: int = 0,
    most_windows: int = 0,
    on_progress: Callable[[ScoreProgress], None] | None = None,
) -> Perplexity:
    """The perplexity of `text` to the loaded `model`.

    `n_ctx` 0: `DEFAULT_N_CTX`, or what the model was trained for if that is less. Raises what the
    engine raises; a text that is too short is a `UsageError`.
    """
    window = n_ctx or min(DEFAULT_N_CTX, model.n_ctx, model.n_ctx_train or DEFAULT_N_CTX)
    request = Score(text=text, n_ctx=window, stride=stride, most_windows=most_windows)
    return summarise(await client.score(request, on_progress), request)


def choose_load_ctx(model: Path, n_ctx: int) -> int:
    """The context that a model is loaded with where windows are `n_ctx` long (0: by default): no
    longer than one, where that is known; else 0."""
    if n_ctx or not is_gguf(model):
        return n_ctx
    trained = read_info(model).n_ctx_train
    return min(DEFAULT_N_CTX, trained or DEFAULT_N_CTX)


def summarise(scored: Scored, request: Score) -> Perplexity:
    """The perplexity from the engine's sums, of at least one token."""
    n = scored.n_scored
    mean = -scored.logprob / n
    variance = max(0.0, scored.squares / n - mean * mean)
    perplexity = math.exp(min(mean, _MOST))
    return Perplexity(
        perplexity=perplexity,
        stderr=perplexity * math.sqrt(variance / (n - 1)) if n > 1 else 0.0,
        tokens=n,
        n_ctx=request.n_ctx,
        stride=request.stride,
        windows=len(scored.windows),
        text_tokens=scored.n_text,
        bytes=scored.n_bytes,
        bits_per_byte=-scored.logprob / math.log(2) / max(1, scored.n_bytes),
        unknown_share=max(0.0, 1 - scored.n_text_bytes / max(1, len(request.text.encode()))),
        tokens_per_second=scored.n_read / max(scored.seconds, 1e-9),
    )
