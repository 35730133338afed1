"""One request on a loaded model: prefill, then sample and decode until every alternative ends.

Events go out as text becomes certain. On a fast model several tokens share one `Delta` (at most
one write each 50 ms), because a client that wakes for every token takes a core from decode.
"""

import time
from dataclasses import dataclass, field

from chatapp.engine.assemble import Assembler, trim_broken
from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.chat.prompt import Prompt, explain_empty
from chatapp.engine.chat.thought_end import ThoughtEnd, closing_of
from chatapp.engine.llama.cache import Cancelled, TokenCache
from chatapp.engine.llama.logprobs import copy_logits, describe_token
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.llama.samplers import Sampler
from chatapp.engine.protocol import (
    MAX_LOGPROBS,
    Choice,
    Finished,
    FinishReason,
    Generate,
    PrefillProgress,
    Timings,
    TokenLogprob,
    Usage,
)
from chatapp.engine.telling import Teller
from chatapp.errors import ContextOverflowError, UsageError
from chatapp.parts import ToolCall, text_of

_FLUSH_S = 0.05


@dataclass(slots=True)
class _Alternative:
    """One of the answers being written."""

    index: int
    seed: int
    sampler: Sampler
    assembler: Assembler
    teller: Teller
    tokens: list[int]
    thoughts: ThoughtEnd
    next_token: int = -1
    n_new: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    flushed_at: float = 0.0


class Generation:
    """Runs one `Generate` request. Use once."""

    def __init__(
        self,
        model: LoadedModel,
        cache: TokenCache,
        request: Generate,
        prompt: Prompt,
        emit: Emit,
        started: float,
    ) -> None:
        self._model = model
        self._cache = cache
        self._request = request
        self._prompt = prompt
        self._emit = emit
        self._started = started
        self._prefix = self._begin()[1]
        self._tokens = prompt.tokens + self._prefix
        self._reused = 0
        self._first_token_at = 0.0
        self._prefill_s = 0.0

    def run(self, cancelled: Cancellation) -> Finished:
        """Generate; whatever was said before a cancellation is kept."""
        self._check_fit()
        alternatives = self._make_alternatives()
        at_once = self._model.n_parallel
        try:
            with self._cache.abortable(cancelled):
                self._prefill()
                self._decode(alternatives[:at_once], cancelled)
                for begin in range(at_once, len(alternatives), at_once):
                    self._go_back()
                    self._decode(alternatives[begin : begin + at_once], cancelled)
        except Cancelled:
            for alternative in alternatives:
                alternative.finish_reason = alternative.finish_reason or "cancelled"
        finally:
            for alternative in alternatives:
                alternative.sampler.close()
        return self._finish(alternatives)

    def _begin(self) -> tuple[Assembler, list[int]]:
        """An assembler that stands at the end of the prefix, and the tokens of the prefix."""
        request, vocab = self._request, self._model.vocab
        assembler = self._make_assembler()
        if request.prefix_tokens:
            vocab.check(request.prefix_tokens)
            pieces = [self._spoken(*pair) for pair in enumerate(request.prefix_tokens)]
            if assembler.begin_with_tokens(request.prefix, pieces):
                return assembler, request.prefix_tokens
        known = trim_broken(request.prefix)
        assembler.begin(known)
        text = text_of(known)
        if not text:
            return assembler, []
        # The answer has begun: a thought that the prompt opens is over before it.
        over = closing_of(self._model.manner.form) if self._prompt.opens_thought else ""
        return assembler, [
            *vocab.tokenize(over, special=True),
            *vocab.tokenize(text, special=False),
        ]

    def _spoken(self, place: int, token: int) -> tuple[bytes, bool]:
        """The bytes of the answer's token `place`, and whether it is a control token. What a
        text-to-text model says begins with a word, whose space is none of it."""
        data, is_control = self._model.vocab.spoken(token)
        begins = place == 0 and bool(self._prompt.source)
        return (data.removeprefix(b" ") if begins else data), is_control

    def _check_fit(self) -> None:
        if not self._tokens:
            raise explain_empty(self._model.vocab, self._request)
        n, room = len(self._tokens), self._model.n_ctx
        n_source = len(self._prompt.source)  # has a room of its own, as large
        if n >= room or n_source > room:
            n = max(n, n_source)
            hint = "Start a new chat, shorten the message, or choose a longer context with --n-ctx."
            if room >= self._model.n_ctx_train:
                hint = (
                    "Start a new chat, shorten the message, or choose a model with a longer "
                    f"context: this one was trained for {self._model.n_ctx_train}."
                )
            raise ContextOverflowError(
                f"The prompt is {n} tokens and the context holds {room}. Nothing was cut off.", hint
            )

    def _make_alternatives(self) -> list[_Alternative]:
        request, params = self._request, self._request.params.filled()
        if not 0 <= request.logprobs <= MAX_LOGPROBS:
            raise UsageError(f"logprobs is {request.logprobs}, and at most {MAX_LOGPROBS}.")
        if request.n < 1:
            raise UsageError(f"n is {request.n}, and at least 1 answer must be asked for.")
        seed = params.seed if params.seed >= 0 else time.time_ns() % 0x7FFFFFFF
        n_thought = self._count_thought()
        made: list[_Alternative] = []
        try:
            for index in range(request.n):
                sampler = self._make_sampler(seed + index)
                made.append(self._make_alternative(index, seed + index, sampler, n_thought))
                sampler.accept_prompt(self._prompt.tokens)
                sampler.accept_answer(self._prefix, n_thought)
                if n_thought and not made[-1].assembler.is_thinking:
                    sampler.bind()
        except BaseException:  # whatever it was, nobody else knows of their samplers
            for alternative in made:
                alternative.sampler.close()
            raise
        return made

    def _make_alternative(
        self, index: int, seed: int, sampler: Sampler, n_thought: int
    ) -> _Alternative:
        request, model = self._request, self._model
        assembler, tokens = self._begin()
        known = len(tokens) if tokens is request.prefix_tokens else 0
        teller = Teller(request.request_id, index, request.prefix, known)
        thoughts = ThoughtEnd(
            model.vocab, model.manner.form, self._prompt.thought_budget, n_thought
        )
        return _Alternative(index, seed, sampler, assembler, teller, [*tokens], thoughts)

    def _make_sampler(self, seed: int) -> Sampler:
        """A grammar or schema binds what is said: a thought before it is free."""
        model, thoughts = self._model, self._model.manner.form.thoughts
        opening: list[int] = []
        if self._answers and thoughts and thoughts.open and not self._prompt.opens_thought:
            opening = model.vocab.tokenize(thoughts.open, special=True)
        return Sampler(
            model.vocab,
            self._request.params.filled(),
            seed,
            model.n_ctx,
            is_free=self._prompt.opens_thought,
            opening=tuple(opening),
            names=self._request.names,
            told=self._request.told,
        )

    def _count_thought(self) -> int:
        """Tokens of the prefix that are a thought with its marks."""
        assembler, form = self._make_assembler(), self._model.manner.form
        n_thought = 0
        for count, token in enumerate(self._prefix):
            was_thinking = assembler.is_thinking
            data, is_control = self._spoken(count, token)
            assembler.feed(data, control=is_control)
            # Behind a thought: white space, and marks before what is said.
            says_nothing = not data.strip() or is_control or bool(form.say_open)
            goes_on = says_nothing and not text_of(assembler.parts).strip()
            if was_thinking or assembler.is_thinking or (0 < n_thought == count and goes_on):
                n_thought = count + 1
        return n_thought

    @property
    def _answers(self) -> bool:
        """Whether this is an answer in the model's format; else text goes on."""
        return self._request.prompt is None and not self._model.manner.is_raw

    def _make_assembler(self) -> Assembler:
        request = self._request
        return Assembler(
            self._model.manner.form,
            stop=request.params.filled().stop + (self._model.manner.stop if self._answers else ()),
            in_thought=self._prompt.opens_thought,
            tools=request.tools,
            is_raw=not self._answers,
        )

    def _prefill(self) -> None:
        began = time.perf_counter()
        if self._prompt.source:
            self._report_prefill(0)
            self._cache.encode(self._prompt.source)
        self._reused = self._cache.keep_prefix(self._tokens)
        self._report_prefill(self._reused)
        self._cache.prefill(self._tokens, self._report_prefill)
        self._prefill_s = time.perf_counter() - began

    def _go_back(self) -> None:
        """To the end of the prompt, which is read again only where memory cannot be cut."""
        self._cache.keep_prefix(self._tokens)
        self._cache.prefill(self._tokens, lambda _done: None)

    def _report_prefill(self, done: int) -> None:
        self._emit(
            PrefillProgress(
                request_id=self._request.request_id,
                done=done,
                total=len(self._tokens),
                reused=self._reused,
                elapsed_s=time.perf_counter() - self._started,
            )
        )

    def _decode(self, alternatives: list[_Alternative], cancelled: Cancellation) -> None:
        """Sample every open alternative, then decode them together, until none is open.

        There are as many as the context has sequences, or fewer."""
        rows = {alternative.index: -1 for alternative in alternatives}
        self._cache.fork(len(alternatives))
        used = len(self._tokens)
        limit = self._request.params.filled().max_tokens
        open_ones = [a for a in alternatives if limit != 0]
        for alternative in alternatives:
            alternative.finish_reason = None if open_ones else "length"
        while open_ones:
            for alternative in open_ones:
                self._sample(alternative, rows[alternative.index], cancelled)
            still_open = [a for a in open_ones if a.finish_reason is None]
            if cancelled.is_set():
                raise Cancelled
            for alternative in still_open:
                full = used + len(still_open) > self._model.n_ctx
                if full or 0 <= limit <= alternative.n_new:
                    alternative.finish_reason = "length"
            open_ones = [a for a in still_open if a.finish_reason is None]
            if open_ones:
                seqs = [a.index % self._model.n_parallel for a in open_ones]
                ends = [len(self._prompt.tokens) + len(a.tokens) - 1 for a in open_ones]
                self._cache.step(
                    dict(zip(seqs, (a.next_token for a in open_ones), strict=True)),
                    dict(zip(seqs, ends, strict=True)),
                )
                used += len(open_ones)
                rows = {a.index: row for row, a in enumerate(open_ones)}

    def _sample(self, alternative: _Alternative, row: int, wish: Cancellation) -> None:
        assembler, thoughts = alternative.assembler, alternative.thoughts
        if assembler.is_thinking and not thoughts.forced:
            thoughts.begins(wish)
        n_top, vocab = self._request.logprobs, self._model.vocab
        logits = copy_logits(self._model.context, row, vocab.n_tokens) if n_top else None
        token: int | None
        if thoughts.forced:
            token = thoughts.forced.pop(0)
            alternative.sampler.accept_forced(token)
        else:
            token = alternative.sampler.sample(self._model.context, row)
        if token is None:
            alternative.finish_reason = "stop"
            return
        if logits is not None:
            alternative.logprobs.append(describe_token(logits, token, n_top, vocab))
        now = time.perf_counter()
        self._first_token_at = self._first_token_at or now
        alternative.n_new += 1
        if self._model.vocab.is_end(token):
            alternative.finish_reason = "stop"
            return
        alternative.next_token = token
        alternative.tokens.append(token)
        data, is_control = self._spoken(len(alternative.tokens) - 1, token)
        was_thinking = assembler.is_thinking
        assembler.feed(data, control=is_control)
        self._follow_thought(alternative, data, wish, was_thinking=was_thinking)
        if assembler.stopped:
            alternative.finish_reason = "stop"
        if now - alternative.flushed_at >= _FLUSH_S:
            alternative.flushed_at = now
            self._flush(alternative)

    def _follow_thought(
        self, alternative: _Alternative, data: bytes, wish: Cancellation, *, was_thinking: bool
    ) -> None:
        """A token was written, perhaps of a thought; behind one, what was asked for binds."""
        thoughts, assembler = alternative.thoughts, alternative.assembler
        if assembler.is_thinking:
            thoughts.saw(data, wish)
        elif was_thinking:
            thoughts.n_tokens += 1
        if thoughts.n_tokens and not assembler.is_thinking and not thoughts.forced:
            alternative.sampler.bind(text_of(assembler.parts))

    def _note_of(self, alternative: _Alternative) -> str:
        """Sentences for the user; those on the prompt stand with the first alternative."""
        on_prompt = self._prompt.notices if alternative.index == 0 else ()
        return " ".join(filter(None, (*on_prompt, alternative.sampler.dead_end)))

    def _flush(self, alternative: _Alternative) -> None:
        """Send what the client does not have yet."""
        for delta in alternative.teller.tell(alternative.assembler.parts, alternative.tokens):
            self._emit(delta)

    def _finish(self, alternatives: list[_Alternative]) -> Finished:
        ended = time.perf_counter()
        choices = []
        for alternative in alternatives:
            alternative.assembler.finish()
            self._flush(alternative)
            choices.append(
                Choice(
                    index=alternative.index,
                    parts=alternative.assembler.parts,
                    tokens=alternative.tokens,
                    completion_tokens=alternative.n_new,
                    logprobs=alternative.logprobs,
                    finish_reason=_reason_of(alternative),
                    note=self._note_of(alternative),
                    seed=alternative.seed,
                )
            )
        n_new = sum(alternative.n_new for alternative in alternatives)
        n_prompt = len(self._prompt.source) + len(self._tokens)
        n_read = n_prompt - self._reused
        first = self._first_token_at or ended
        steps = n_new - len(alternatives)  # the first token of each came from prefill
        return Finished(
            request_id=self._request.request_id,
            choices=choices,
            usage=Usage(
                prompt_tokens=n_prompt,
                reused_tokens=self._reused,
                completion_tokens=n_new,
                reasoning_tokens=sum(one.thoughts.n_tokens for one in alternatives),
            ),
            timings=Timings(
                load_s=self._model.description.load_s,
                time_to_first_token_s=first - self._started,
                prefill_tokens_per_second=n_read / self._prefill_s if self._prefill_s else 0.0,
                decode_tokens_per_second=steps / (ended - first) if steps > 0 else 0.0,
                total_s=ended - self._started,
                n_threads=self._cache.threads.n_threads,
                most_threads=self._cache.threads.most,
            ),
            n_past=len(self._cache.tokens),
        )


def _reason_of(alternative: _Alternative) -> FinishReason:
    """Who asked for calls looks for them wherever they stand, as with a server."""
    reason = alternative.finish_reason or "stop"
    calls = any(isinstance(part, ToolCall) for part in alternative.assembler.parts)
    return "tool_calls" if reason == "stop" and calls else reason
