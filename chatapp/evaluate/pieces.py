"""A text in pieces that two models read alike, so that their likelihoods can be compared in pairs.

The pieces end at lines and have about the same length in characters, whatever the vocabulary; each
is scored by itself. What is compared is bits for each byte of text, which does not depend on how
a model cuts words into tokens.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chatapp.engine.scoring import Score
from chatapp.evaluate.metrics import Statistics
from chatapp.evaluate.perplexity import DEFAULT_N_CTX

if TYPE_CHECKING:
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import ModelDescription

SIZE = 2000
"""Characters of a piece: about as many tokens as a window of llama-perplexity."""
_LEAST = 200
"""What is shorter, at the end, belongs to the piece before."""


def cut_pieces(text: str, size: int = SIZE) -> list[str]:
    """The pieces of a text; a line that is longer than one is cut."""
    pieces: list[str] = [""]
    for line in text.splitlines(keepends=True):
        for begin in range(0, len(line), size):
            part = line[begin : begin + size]
            if pieces[-1] and len(pieces[-1]) + len(part) > size:
                pieces.append("")
            pieces[-1] += part
    if len(pieces) > 1 and len(pieces[-1]) < _LEAST:
        last = pieces.pop()
        pieces[-1] += last
    return [piece for piece in pieces if piece.strip()]


async def score_pieces(
    client: "EngineClient",
    model: "ModelDescription",
    pieces: Sequence[str],
    on_piece: Callable[[int, int], None],
) -> Statistics:
    """Bits for each byte, by piece. Raises what the engine raises."""
    n_ctx = min(DEFAULT_N_CTX, model.n_ctx, model.n_ctx_train or DEFAULT_N_CTX)
    rows = []
    for number, piece in enumerate(pieces):
        on_piece(number, len(pieces))
        request = Score(text=piece, n_ctx=n_ctx, stride=max(1, n_ctx // 2))
        found = await client.score(request)
        rows.append([-found.logprob / math.log(2), float(found.n_bytes)])
    return bits_per_byte(rows)


def bits_per_byte(rows: list[list[float]]) -> Statistics:
    """Statistics whose rows are bits and bytes."""

    def divide(sums: Sequence[float]) -> float:
        return sums[0] / max(sums[1], 1.0)

    return Statistics(name="bits_per_byte", rows=rows, score=divide, score_one=divide, digits=4)
