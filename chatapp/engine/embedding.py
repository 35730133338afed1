"""What is said on the pipe about embeddings: texts go in, a vector for each comes out."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from chatapp.errors import ModelError

Pooling = Literal["", "auto", "mean", "cls", "last"]
"""How the vectors of a text's tokens become one: their mean, the first token's, the last one's;
`auto` as the model file says. Empty: no embeddings are made, but text."""


class Embed(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """Make an embedding of each text. The model must have been loaded for that."""

    request_id: str = ""
    texts: list[str]
    normalize: bool = True
    """Vectors of length 1."""


class Embedded(msgspec.Struct, frozen=True, kw_only=True, tag="embedded"):
    """The embeddings, in the order of the texts."""

    request_id: str
    vectors: list[list[float]]
    tokens: list[int] = []
    """Tokens of each text that were read, the model's own at its ends included; none where a server
    counts only all together."""
    total_tokens: int = 0
    cut: list[int] = []
    """Tokens of each text that were left out because the model takes no more."""


def refuse_chat(path: Path, condition: str = "") -> ModelError:
    """What is raised where a model that makes embeddings was loaded for text. `condition`: on what
    it depends whether embeddings can be made."""
    hint = f'chatapp embed --model {shlex.quote(str(path))} "TEXT" uses it{condition}.'
    return ModelError(f"{path} cannot chat: it makes embeddings.", hint)


def normalized(vector: Sequence[float]) -> list[float]:
    """`vector` with the length 1; one of zeros stays as it is."""
    length = math.sqrt(math.fsum(x * x for x in vector))
    return [x / length for x in vector] if length else list(vector)
