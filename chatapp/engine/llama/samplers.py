"""The sampler chain of one alternative, built from `SamplingParams` in llama.cpp's own order.

Source of the order: `common_sampler_init` in llama.cpp's `common/sampling.cpp`: logit bias,
penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature, then the draw.
A grammar is kept beside the chain as there: a sampled token is checked against it first, and only
when it does not fit is the whole vocabulary filtered and sampled again.
"""

import ctypes
import json
from collections import defaultdict

import llama_cpp.llama_cpp as lib
import numpy as np

from chatapp.engine.llama import native
from chatapp.engine.llama.vocab import Vocab
from chatapp.errors import UsageError
from chatapp.sampling import SamplingParams

_MIN_KEEP = 1
_MIROSTAT_M = 100
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Sampler:
    """Chooses the next token of one alternative. `close` frees the C side."""

    def __init__(self, vocab: Vocab, params: SamplingParams, seed: int, n_ctx: int) -> None:
        self._vocab = vocab
        self._ngrams = _NGrams(params.no_repeat_ngram_size) if params.no_repeat_ngram_size else None
        self._grammar = _make_grammar(vocab, params)
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for sampler in _make_samplers(vocab, params, seed, n_ctx):
            lib.llama_sampler_chain_add(self._chain, sampler)

    def accept_prompt(self, tokens: list[int]) -> None:
        """Let penalties and n-gram blocking know what came before the answer."""
        for token in tokens:
            lib.llama_sampler_accept(self._chain, token)
            self._remember(token)

    def accept_answer(self, tokens: list[int]) -> None:
        """Take over the beginning of an answer that is continued; the grammar follows it."""
        for token in tokens:
            lib.llama_sampler_accept(self._chain, token)
            self._remember(token)
            if self._grammar:
                lib.llama_sampler_accept(self._grammar, token)

    def sample(self, context: int, row: int) -> int:
        """Draw from logits row `row` of the last decode, and accept what was drawn."""
        if self._ngrams:
            self._block(context, row)
        if self._grammar:
            token = self._sample_in_grammar(context, row)
        else:
            token = lib.llama_sampler_sample(self._chain, context, row)
        self._remember(token)
        return token

    def close(self) -> None:
        """Free the C side. The sampler cannot be used afterwards."""
        lib.llama_sampler_free(self._chain)
        if self._grammar:
            lib.llama_sampler_free(self._grammar)

    def _remember(self, token: int) -> None:
        if self._ngrams:
            self._ngrams.add(token)

    def _block(self, context: int, row: int) -> None:
        """Ends of turn stay allowed: a turn must be able to end as the last one did."""
        assert self._ngrams
        logits = lib.llama_get_logits_ith(context, row)
        for token in self._ngrams.banned():
            if not self._vocab.is_end(token):
                logits[token] = float("-inf")

    def _sample_in_grammar(self, context: int, row: int) -> int:
        logits = np.ctypeslib.as_array(
            lib.llama_get_logits_ith(context, row), shape=(self._vocab.n_tokens,)
        )
        token = self._draw(logits)
        single = np.array([(token, 1.0, 0.0)], dtype=_TOKEN_DATA)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(_view(single)))
        if np.isneginf(single["logit"][0]):
            token = self._draw(logits, filtered=True)
        lib.llama_sampler_accept(self._chain, token)
        lib.llama_sampler_accept(self._grammar, token)
        return token

    def _draw(
        self, logits: "np.ndarray[tuple[int], np.dtype[np.float32]]", *, filtered: bool = False
    ) -> int:
        rows = np.empty(len(logits), dtype=_TOKEN_DATA)
        rows["id"], rows["logit"], rows["p"] = np.arange(len(logits)), logits, 0.0
        candidates = _view(rows)
        if filtered:
            lib.llama_sampler_apply(self._grammar, ctypes.byref(candidates))
        lib.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)


def _view(rows: "np.ndarray[tuple[int], np.dtype[np.void]]") -> lib.llama_token_data_array:
    pointer = rows.ctypes.data_as(lib.llama_token_data_p)
    return lib.llama_token_data_array(data=pointer, size=len(rows), selected=-1, sorted=False)


def _make_samplers(vocab: Vocab, params: SamplingParams, seed: int, n_ctx: int) -> list[int]:
    made = _make_adjusters(vocab, params, n_ctx)
    if params.temperature == 0:
        return [*made, lib.llama_sampler_init_greedy()]
    temperature = lib.llama_sampler_init_temp_ext(
        params.temperature, params.dynatemp_range, params.dynatemp_exponent
    )
    tau, eta = params.mirostat_tau, params.mirostat_eta
    if params.mirostat == 1:
        surprise = lib.llama_sampler_init_mirostat(vocab.n_tokens, seed, tau, eta, _MIROSTAT_M)
        return [*made, temperature, surprise]
    if params.mirostat == 2:
        return [*made, temperature, lib.llama_sampler_init_mirostat_v2(seed, tau, eta)]
    made += _make_truncations(params, seed)
    return [*made, temperature, lib.llama_sampler_init_dist(seed)]


def _make_adjusters(vocab: Vocab, params: SamplingParams, n_ctx: int) -> list[int]:
    made = []
    if params.logit_bias:
        for token, _bias in params.logit_bias:
            if not 0 <= token < vocab.n_tokens:
                raise UsageError(
                    f"logit_bias names token {token}; this model has 0 to {vocab.n_tokens - 1}."
                )
        rows = (lib.llama_logit_bias * len(params.logit_bias))(
            *(lib.llama_logit_bias(token, bias) for token, bias in params.logit_bias)
        )
        made.append(lib.llama_sampler_init_logit_bias(vocab.n_tokens, len(rows), rows))
    last_n = n_ctx if params.repeat_last_n < 0 else params.repeat_last_n
    penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
    if last_n and penalties != (1.0, 0.0, 0.0):
        made.append(lib.llama_sampler_init_penalties(vocab.n_tokens, last_n, *penalties))
    if params.dry_multiplier and params.dry_penalty_last_n:
        breakers = [text.encode("utf-8", "replace") for text in params.dry_sequence_breakers]
        dry_last_n = n_ctx if params.dry_penalty_last_n < 0 else params.dry_penalty_last_n
        made.append(
            lib.llama_sampler_init_dry(
                vocab.handle,
                params.dry_multiplier,
                params.dry_base,
                params.dry_allowed_length,
                dry_last_n,
                (ctypes.c_char_p * len(breakers))(*breakers),
                len(breakers),
            )
        )
    return made


def _make_truncations(params: SamplingParams, seed: int) -> list[int]:
    made = []
    if params.top_n_sigma > 0:
        made.append(lib.llama_sampler_init_top_n_sigma(params.top_n_sigma))
    if params.top_k > 0:
        made.append(lib.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        made.append(lib.llama_sampler_init_typical(params.typical_p, _MIN_KEEP))
    if params.top_p < 1:
        made.append(lib.llama_sampler_init_top_p(params.top_p, _MIN_KEEP))
    if params.min_p > 0:
        made.append(lib.llama_sampler_init_min_p(params.min_p, _MIN_KEEP))
    if params.xtc_probability > 0:
        made.append(
            lib.llama_sampler_init_xtc(
                params.xtc_probability, params.xtc_threshold, _MIN_KEEP, seed
            )
        )
    return made


def _make_grammar(vocab: Vocab, params: SamplingParams) -> int | None:
    grammar = params.grammar
    if params.json_schema:
        grammar = _grammar_of_schema(params.json_schema)
    if not grammar.strip():
        return None
    native.forget_problems()
    made = lib.llama_sampler_init_grammar(vocab.handle, grammar.encode("utf-8", "replace"), b"root")
    if not made:
        reason = native.first_problem("it needs a rule named root")
        raise UsageError(f"The grammar is not valid GBNF: {reason}.")
    grammar_sampler: int = made
    return grammar_sampler


def _grammar_of_schema(schema: str) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        json.loads(schema)
        grammar: str = json_schema_to_gbnf(schema)
    # The converter indexes into the schema as it trusts it: any lookup error means a bad schema.
    except Exception as error:
        raise UsageError(
            f"The JSON schema cannot be used: {type(error).__name__}: {error}."
        ) from error
    return grammar


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
