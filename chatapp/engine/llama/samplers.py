"""The sampler chain of one alternative, built from `SamplingParams` in llama.cpp's own order.

Source of the order: `common_sampler_init` in llama.cpp's `common/sampling.cpp`: logit bias,
penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature, then the draw.
`params.samplers` may say another order between bias and draw, or fewer of them.
A grammar or schema is kept beside the chain as there: a sampled token is checked against it first,
and only when it does not fit is the whole vocabulary filtered and sampled again.
"""

import ctypes
from collections import defaultdict
from collections.abc import Iterator, Sequence

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from chatapp.engine.llama.binding import Binding, Constraint
from chatapp.engine.llama.grammar import TOKEN_DATA, Grammar, view
from chatapp.engine.llama.named import Named
from chatapp.engine.llama.vocab import Vocab
from chatapp.errors import UsageError
from chatapp.sampling import BAN, Sampling, SamplingParams

_MIN_KEEP = 1
_MIROSTAT_M = 100
_COLDEST = 1e-6
"""A lower temperature is 0: logits divided by it would leave the range of a float."""


class Sampler:
    """Chooses the next token of one alternative. `close` frees the C side.

    A grammar or schema holds from the first token on. With `is_free` it holds from `bind` on; with
    `opening`, the tokens of the mark that opens a thought, the answer may begin with that mark
    instead, and is then free until `bind`. `names` are all that an answer may name, and `told` the
    facts that it may say behind their marks, if there is neither.
    """

    def __init__(
        self,
        vocab: Vocab,
        params: SamplingParams,
        seed: int,
        n_ctx: int,
        *,
        is_free: bool = False,
        opening: tuple[int, ...] = (),
        names: list[str] | None = None,
        told: Sequence[str] = (),
    ) -> None:
        filled = params.filled()
        self._vocab = vocab
        self._bias = _Bias(vocab, filled.logit_bias)
        self._ngrams = _NGrams(filled.no_repeat_ngram_size) if filled.no_repeat_ngram_size else None
        self._binding: Binding | None = None
        self._has_memory = _has_memory(filled)
        self._is_over = False
        self.dead_end = ""
        """Why `sample` gave nothing, when the answer is not whole."""
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        try:
            for sampler in _make_samplers(vocab, filled, seed, n_ctx):
                lib.llama_sampler_chain_add(self._chain, sampler)
            if constraint := _make_constraint(vocab, filled, n_ctx, names, told):
                self._binding = Binding(constraint, is_free=is_free, opening=opening)
        except BaseException:  # whatever it was, nobody else knows of the C side
            self.close()
            raise

    def bind(self, said: str = "") -> None:
        """From here on the grammar or schema holds: the thought is over.

        `said` is the answer that the last token has begun already, for instance `{` behind a mark.
        Calling it again does nothing.
        """
        if self._binding and self._binding.is_free:
            self._binding.bind()
            for token in self._vocab.tokenize(said.lstrip(), special=False) if said.strip() else ():
                if not self._binding.fits(token):
                    self._is_over = True
                    self.dead_end = (
                        "The answer ends here: what was written with the end of the thought does "
                        "not fit what was asked for."
                    )
                    return
                self._binding.accept(token)

    def accept_prompt(self, tokens: list[int]) -> None:
        """Let penalties and n-gram blocking know what came before the answer."""
        for token in tokens:
            self._accept(token)

    def accept_answer(self, tokens: list[int], n_thought: int = 0) -> None:
        """Take over the beginning of an answer that is continued; the grammar or schema follows it.

        The first `n_thought` of them are a thought with its marks, and bind to nothing.
        """
        for index, token in enumerate(tokens):
            if index == n_thought and n_thought:
                self.bind()
            if index >= n_thought:
                self._follow(token, tokens[: index + 1])
            elif self._binding:
                self._binding.is_free = True
            self._accept(token)

    def accept_forced(self, token: int) -> None:
        """Take over a token that was not drawn and binds to nothing."""
        self._accept(token)

    def sample(self, context: int, row: int) -> int | None:
        """Draw from logits row `row` of the last decode, and accept what was drawn.

        None when no token is allowed: the grammar has come to its end and the model has no token
        for that, or `dead_end` says what forbids them all.
        """
        if self._is_over:
            return None
        binding = self._binding if self._binding and not self._binding.is_free else None
        banned = self._find_banned()
        only = binding.only_token() if binding and not (banned or self._bias) else None
        if binding and only is not None:
            self._accept(only)
            binding.accept(only)
            return only
        if not (banned or self._bias or (binding and self._has_memory)):
            token: int = lib.llama_sampler_sample(self._chain, context, row)
            if binding is None or binding.fits(token):
                self._remember(token)
                if binding:
                    binding.accept(token)
                return token
        logits = np.ctypeslib.as_array(
            lib.llama_get_logits_ith(context, row), shape=(self._vocab.n_tokens,)
        ).copy()  # other alternatives may draw from the same row
        self._bias.apply(logits)
        logits[banned] = -np.inf
        drawn = self._draw_bound(binding, logits) if binding else self._draw(logits)
        if drawn is None:
            self.dead_end = self._explain()
            return None
        self._accept(drawn)
        if binding:
            binding.accept(drawn)
        return drawn

    def close(self) -> None:
        """Free the C side. The sampler cannot be used afterwards."""
        lib.llama_sampler_free(self._chain)
        if self._binding:
            self._binding.close()

    def _follow(self, token: int, said: list[int] | str) -> None:
        """The grammar or schema goes on behind a token that is not ours to choose."""
        binding = self._binding
        if binding is None or binding.is_free:
            return
        if not binding.fits(token):
            if not isinstance(said, str):
                said = self._vocab.detokenize(said).decode("utf-8", "replace")
            raise UsageError(
                f"The answer's beginning does not fit the grammar: …{said[-40:]!r}.",
                "Go on without the grammar or schema, or regenerate the answer.",
            )
        binding.accept(token)

    def _accept(self, token: int) -> None:
        lib.llama_sampler_accept(self._chain, token)
        self._remember(token)

    def _remember(self, token: int) -> None:
        if self._ngrams:
            self._ngrams.add(token)

    def _find_banned(self) -> list[int]:
        """Ends of turn stay allowed: a turn must be able to end as the last one did."""
        if not self._ngrams:
            return []
        return [token for token in self._ngrams.banned() if not self._vocab.is_end(token)]

    def _draw_bound(self, binding: Binding, logits: NDArray[np.float32]) -> int | None:
        """Most tokens fit as they are drawn; the whole vocabulary is filtered for the others."""
        if self._has_memory:
            token = self._draw(logits)
            if token is None or binding.fits(token):
                return token
        logits = binding.filter(logits)
        while (token := self._draw(logits)) is not None:
            if binding.filters_exactly or binding.fits(token):
                return token
            logits[token] = -np.inf
        return None

    def _draw(self, logits: NDArray[np.float32]) -> int | None:
        """A token by the chain, of those above -inf. The others are left out: to samplers that
        take logarithms, a probability of zero is not a number."""
        allowed = np.flatnonzero(logits > -np.inf)
        if not len(allowed):
            return None
        rows = np.empty(len(allowed), dtype=TOKEN_DATA)
        rows["id"], rows["logit"], rows["p"] = allowed, logits[allowed], 0.0
        candidates = view(rows)
        lib.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def _explain(self) -> str:
        if self._binding is None or self._binding.is_free:
            return "The answer ends here: every token is banned."
        if self._binding.is_complete:
            return ""
        return "The answer ends here: no token that is allowed fits the grammar."


class _Bias:
    """What is added to the logits before all else."""

    def __init__(self, vocab: Vocab, biases: tuple[tuple[int, float], ...]) -> None:
        for token, _bias in biases:
            if not 0 <= token < vocab.n_tokens:
                raise UsageError(
                    f"logit_bias names token {token}; this model has 0 to {vocab.n_tokens - 1}."
                )
        self._tokens = np.array([token for token, _ in biases], dtype=np.intp)
        self._values = np.array([bias for _, bias in biases], dtype=np.float32)
        self._values[self._values <= BAN] = -np.inf

    def __bool__(self) -> bool:
        return len(self._tokens) > 0

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Add every bias; a token that is named twice gets both."""
        np.add.at(logits, self._tokens, self._values)


def _make_samplers(vocab: Vocab, params: Sampling, seed: int, n_ctx: int) -> Iterator[int]:
    """One after the other, so that each has an owner before the next can fail.

    The likeliest token and mirostat need no truncation.
    """
    greedy = params.temperature < _COLDEST
    for name in params.samplers:
        if name in ("penalties", "dry"):
            yield from _make_penalty(name, vocab, params, n_ctx)
        elif name == "temperature" and not greedy:
            yield lib.llama_sampler_init_temp_ext(
                params.temperature, params.dynatemp_range, params.dynatemp_exponent
            )
        elif not (greedy or params.mirostat):
            yield from _make_truncation(name, params, seed)
    tau, eta = params.mirostat_tau, params.mirostat_eta
    if greedy:
        yield lib.llama_sampler_init_greedy()
    elif params.mirostat == 1:
        yield lib.llama_sampler_init_mirostat(vocab.n_tokens, seed, tau, eta, _MIROSTAT_M)
    elif params.mirostat == 2:
        yield lib.llama_sampler_init_mirostat_v2(seed, tau, eta)
    else:
        yield lib.llama_sampler_init_dist(seed)


def _make_penalty(name: str, vocab: Vocab, params: Sampling, n_ctx: int) -> Iterator[int]:
    last_n = _look_back(params.repeat_last_n, n_ctx)
    penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
    if name == "penalties" and last_n and penalties != (1.0, 0.0, 0.0):
        yield lib.llama_sampler_init_penalties(vocab.n_tokens, last_n, *penalties)
    if name == "dry" and params.dry_multiplier and params.dry_penalty_last_n:
        breakers = [text.encode("utf-8", "replace") for text in params.dry_sequence_breakers]
        yield lib.llama_sampler_init_dry(
            vocab.handle,
            params.dry_multiplier,
            params.dry_base,
            params.dry_allowed_length,
            _look_back(params.dry_penalty_last_n, n_ctx),
            (ctypes.c_char_p * len(breakers))(*breakers),
            len(breakers),
        )


def _look_back(n: int, n_ctx: int) -> int:
    """Tokens that are remembered: memory is taken for all of them at once."""
    return n_ctx if n < 0 else min(n, n_ctx)


def _make_truncation(name: str, params: Sampling, seed: int) -> Iterator[int]:
    if name == "top_n_sigma" and params.top_n_sigma > 0:
        yield lib.llama_sampler_init_top_n_sigma(params.top_n_sigma)
    elif name == "top_k" and params.top_k > 0:
        yield lib.llama_sampler_init_top_k(params.top_k)
    elif name == "typ_p" and params.typical_p < 1:
        yield lib.llama_sampler_init_typical(params.typical_p, _MIN_KEEP)
    elif name == "top_p" and params.top_p < 1:
        yield lib.llama_sampler_init_top_p(params.top_p, _MIN_KEEP)
    elif name == "min_p" and params.min_p > 0:
        yield lib.llama_sampler_init_min_p(params.min_p, _MIN_KEEP)
    elif name == "xtc" and params.xtc_probability > 0:
        yield lib.llama_sampler_init_xtc(
            params.xtc_probability, params.xtc_threshold, _MIN_KEEP, seed
        )


def _make_constraint(
    vocab: Vocab, params: Sampling, n_ctx: int, names: list[str] | None, told: Sequence[str]
) -> Constraint | None:
    if (
        params.json_schema
    ):  # a longer text than the context has tokens would leave no room beside it
        return vocab.schemas.compile(params.json_schema, n_ctx)
    if params.grammar:
        return Grammar(vocab, params.grammar)
    return None if names is None else Named(vocab, names, told)


def _has_memory(params: Sampling) -> bool:
    """Whether the chain looks back at tokens: then one that is only tried may not be accepted."""
    penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
    is_plain = penalties == (1.0, 0.0, 0.0) and not params.dry_multiplier and not params.mirostat
    return not is_plain


class _NGrams:
    """Which tokens would repeat an n-gram; one dictionary lookup a token.

    Source: `NoRepeatNGramLogitsProcessor` of Hugging Face transformers; the prompt counts too.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._recent: tuple[int, ...] = ()
        self._next: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)

    def add(self, token: int) -> None:
        if len(self._recent) == self._size - 1:
            self._next[self._recent].add(token)
        self._recent = (*self._recent, token)[-(self._size - 1) :] if self._size > 1 else ()

    def banned(self) -> set[int]:
        return self._next.get(self._recent, set())
