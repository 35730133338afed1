"""What is said on the pipe about how likely a text is, and how it is cut into windows.

By llama.cpp's way (`llama-perplexity`) a text is cut into windows that do not overlap; each begins
with the token that the vocabulary begins a text with, if it has one, and only the second half of
each is scored, so that every token that counts has half a window before it. By Hugging Face's way
(`stride`) windows overlap, the text begins once, and each of its tokens but the first is scored,
in the first window that holds it.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from chatapp.errors import UsageError

LEAST_CTX = 4
"""Tokens of the shortest window: two are read and one is scored."""


class Score(msgspec.Struct, frozen=True, kw_only=True, tag="score"):
    """Say how likely a text is to the model. Nothing of it is read as a control token."""

    request_id: str = ""
    text: str
    n_ctx: int
    """Tokens of a window."""
    stride: int = 0
    """Tokens that each window moves on; 0: windows do not overlap, and half of each is scored."""
    most_windows: int = 0
    """Windows that are scored, from the text's beginning; 0: all."""
    wants_logprobs: bool = False
    """Say the log-probability of every token that was scored, too."""


class ScoreProgress(msgspec.Struct, frozen=True, kw_only=True, tag="score_progress"):
    """How much of a text has been read, and what is scored so far."""

    request_id: str
    done: int
    """Tokens that were read, those that two windows share twice."""
    total: int
    n_scored: int
    logprob: float
    """The sum over what was scored so far."""


class WindowScore(msgspec.Struct, frozen=True):
    """One window: comparable between models that have the same vocabulary."""

    n_scored: int
    logprob: float
    """Sum of the natural logarithms of its tokens' probabilities."""


class Scored(msgspec.Struct, frozen=True, kw_only=True, tag="scored"):
    """How likely the text is. Sums are of float64, logarithms natural."""

    request_id: str
    n_text: int = 0
    """Tokens of the whole text, the one that begins it included."""
    n_text_bytes: int = 0
    """Bytes that all of them stand for: fewer than the text has where the vocabulary lacks some."""
    n_scored: int = 0
    n_bytes: int = 0
    """Bytes of text that the scored tokens stand for, by which vocabularies can be compared."""
    logprob: float = 0.0
    squares: float = 0.0
    """Sum of the squares of the tokens' log-probabilities."""
    windows: list[WindowScore] = []
    logprobs: list[float] = []
    n_read: int = 0
    """Tokens that went through the model."""
    seconds: float = 0.0
    is_cancelled: bool = False
    """It was stopped: this is what there was."""


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens `begin` to `end` of a text; those from `first` on are scored."""

    begin: int
    end: int
    first: int

    @property
    def n_tokens(self) -> int:
        """How many tokens the model reads for this window."""
        return self.end - self.begin

    @property
    def n_scored(self) -> int:
        """How many tokens of this window are scored."""
        return self.end - self.first


def cut_windows(n_text: int, request: Score, most: int) -> list[Window]:
    """The windows of a text of `n_text` tokens, its beginning included; a model takes `most`.

    Raises `UsageError` where they cannot be cut, or the text is shorter than one.
    """
    n_ctx, stride = request.n_ctx, request.stride
    if n_ctx > most:
        raise UsageError(
            f"A window of {n_ctx} tokens is longer than the context, which is {most}.",
            f"Shorten it: --n-ctx {most}",
        )
    if n_ctx < LEAST_CTX:
        raise UsageError(f"A window of {n_ctx} tokens is too short: {LEAST_CTX} are the least.")
    if not 0 <= stride <= n_ctx:
        raise UsageError(
            f"The stride is {stride}, and a window is {n_ctx} tokens.",
            "It is at most as long as a window.",
        )
    windows = _cut_strided(n_text, n_ctx, stride) if stride else _cut_halved(n_text, n_ctx)
    if not windows:
        way = " or score all of it with --stride N" if n_text > 1 else ""
        raise UsageError(
            f"The text is too short: {n_text} tokens, and a window is {n_ctx}.",
            f"Give more of it, shorten the window with --n-ctx{way}.",
        )
    return windows[: request.most_windows or None]


def _cut_halved(n_text: int, n_ctx: int) -> list[Window]:
    # The token behind the half is the first that llama-perplexity scores: 255 of 512.
    first = n_ctx // 2 + 1
    return [Window(at, at + n_ctx, at + first) for at in range(0, n_text - n_ctx + 1, n_ctx)]


def _cut_strided(n_text: int, n_ctx: int, stride: int) -> list[Window]:
    windows: list[Window] = []
    known = 0
    for begin in range(0, n_text, stride):
        end = min(begin + n_ctx, n_text)
        first = max(known, begin + 1)  # what begins a window has nothing before it
        if first < end:
            windows.append(Window(begin, end, first))
        known = max(known, end)
        if end == n_text:
            break
    return windows


class Tally:
    """The sums of a request that runs."""

    def __init__(self, request: Score, tokens: Sequence[int], windows: Sequence[Window]) -> None:
        self._request, self._tokens, self._windows = request, tokens, windows
        self._started = time.perf_counter()
        self._found: dict[int, list[float]] = {}
        """Log-probabilities of each window, by its number."""
        self._read = self._n_scored = 0
        self._sum = 0.0
        self._total = sum(window.n_tokens for window in windows)

    def add(self, window: int, logprobs: Sequence[float]) -> None:
        """Log-probabilities of the next scored tokens of window number `window`."""
        self._found.setdefault(window, []).extend(logprobs)
        self._n_scored += len(logprobs)
        self._sum += math.fsum(logprobs)

    def add_read(self, n: int) -> ScoreProgress:
        """So many more tokens were read."""
        self._read += n
        return ScoreProgress(
            request_id=self._request.request_id,
            done=self._read,
            total=self._total,
            n_scored=self._n_scored,
            logprob=self._sum,
        )

    def finish(self, piece: Callable[[int], bytes], *, is_cancelled: bool) -> Scored:
        """The end: windows that are whole count. `piece`: the bytes that a token stands for."""
        whole = {
            number: found
            for number, found in sorted(self._found.items())
            if len(found) == self._windows[number].n_scored
        }
        every = [logprob for found in whole.values() for logprob in found]
        size_of = functools.cache(lambda token: len(piece(token)))
        scored = (self._windows[number] for number in whole)
        return Scored(
            request_id=self._request.request_id,
            n_text=len(self._tokens),
            n_text_bytes=sum(map(size_of, self._tokens)),
            n_scored=len(every),
            n_bytes=sum(sum(map(size_of, self._tokens[w.first : w.end])) for w in scored),
            logprob=math.fsum(every),
            squares=math.fsum(logprob * logprob for logprob in every),
            windows=[WindowScore(len(found), math.fsum(found)) for found in whole.values()],
            logprobs=every if self._request.wants_logprobs else [],
            n_read=self._read,
            seconds=time.perf_counter() - self._started,
            is_cancelled=is_cancelled,
        )
