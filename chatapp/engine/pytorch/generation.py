"""One request on a model in PyTorch: transformers' `generate`, listened to token by token.

`generate` asks after every step whether to stop. That question is where tokens are heard of, where
answers end (a control token, a stop string, a cancellation) and from where the client is told; all
alternatives are rows of one batch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from chatapp.engine.assemble import Assembler, trim_broken
from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.chat.manner import Manner
from chatapp.engine.chat.prompt import Prompt, explain_empty
from chatapp.engine.chat.thought_end import ThoughtEnd, closing_of
from chatapp.engine.protocol import (
    Choice,
    Finished,
    FinishReason,
    Generate,
    PrefillProgress,
    Timings,
    Usage,
)
from chatapp.engine.pytorch.drawing import Draw, make_processors, refuse, refuse_unknown
from chatapp.engine.pytorch.vocab import Speller
from chatapp.engine.pytorch.weights import TorchWeights
from chatapp.engine.telling import Teller
from chatapp.errors import ContextOverflowError, UsageError
from chatapp.parts import ToolCall, text_of

_FLUSH_S = 0.012
"""At most one delta of an alternative in this time: a client woken by each token takes a core."""
_BANNED = "The answer ends here: every token is banned."


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The request was cancelled within a step."""


@dataclass(slots=True)
class _Alternative:
    """One of the answers being written."""

    index: int
    seed: int
    assembler: Assembler
    teller: Teller
    speller: Speller
    tokens: list[int]
    thoughts: ThoughtEnd
    n_new: int = 0
    finish_reason: FinishReason | None = None
    note: str = ""
    flushed_at: float = 0.0


class TorchGeneration:
    """Runs one `Generate` request. Use once."""

    def __init__(
        self,
        weights: TorchWeights,
        manner: Manner,
        n_ctx: int,
        request: Generate,
        prompt: Prompt,
        emit: Emit,
    ) -> None:
        """`request` has a value for every sampling parameter."""
        self._weights, self._manner, self._n_ctx = weights, manner, n_ctx
        self._request, self._prompt, self._emit = request, prompt, emit
        self._params = request.params.filled()
        self._started = time.perf_counter()
        self._first_token_at = 0.0
        self._answers = request.prompt is None and not manner.is_raw
        self._prefix = self._begin()[1]
        self._check()
        seed = self._params.seed if self._params.seed >= 0 else time.time_ns() % 0x7FFFFFFF
        self._all = [self._make_alternative(i, seed + i) for i in range(request.n)]
        seeds = [one.seed for one in self._all]
        self._draw = Draw(self._params, seeds, weights.device)

    def run(self, cancelled: Cancellation) -> Finished:
        """Generate; whatever was said before a cancellation is kept."""
        limit = self._params.max_tokens
        room = max(1, self._n_ctx - self._n_read)
        self._report(0)
        if limit:
            try:
                self._generate(room if limit < 0 else min(limit, room), cancelled)
            except Stopped:
                for one in self._all:
                    one.finish_reason = one.finish_reason or "cancelled"
        return self._finish()

    @property
    def _n_read(self) -> int:
        """Tokens that share the context with the answer."""
        ours = [] if self._weights.is_encoder_decoder else self._prompt.tokens
        return len(ours) + len(self._prefix)

    def _generate(self, n_new: int, cancelled: Cancellation) -> None:
        weights, vocab = self._weights, self._weights.vocab
        model = weights.model
        tokens = self._prompt.tokens
        more: dict[str, torch.Tensor] = {}
        if weights.is_encoder_decoder:
            more |= self._begin_decoder()
        else:
            tokens = [*tokens, *self._prefix]
        rows = torch.tensor([tokens] * len(self._all), device=weights.device)
        processors = [*make_processors(self._params, vocab), self._draw]
        for one in self._all:
            if one.assembler.is_thinking:
                one.thoughts.begins(cancelled)
                self._draw.forced[one.index] = one.thoughts.forced
        settings = GenerationConfig(max_new_tokens=n_new, do_sample=False, num_beams=1)

        def look() -> None:
            if cancelled.is_set():
                raise Stopped

        if weights.takes_mask:
            more["attention_mask"] = torch.ones_like(rows)
        with torch.inference_mode(), weights.before_each_block(look):
            model.generate(
                rows,
                generation_config=settings,
                logits_processor=processors,
                stopping_criteria=[_Listener(self, cancelled)],
                **more,
            )

    def _begin_decoder(self) -> dict[str, torch.Tensor]:
        """The answer's beginning, which an encoder does not read."""
        said = self._weights.model.generation_config
        start = said.decoder_start_token_id
        start = said.bos_token_id if start is None else start
        if not self._prefix or start is None:  # `generate` begins by itself, or says what it lacks
            return {}
        begun = [[start, *self._prefix]] * len(self._all)
        return {"decoder_input_ids": torch.tensor(begun, device=self._weights.device)}

    def hear(self, tokens: list[int], cancelled: Cancellation) -> list[bool]:
        """Take the tokens of one step, one of each row; whether each row has ended."""
        now = time.perf_counter()
        if not self._first_token_at:
            self._first_token_at = now
            self._report(self._n_prompt)
        for one, token in zip(self._all, tokens, strict=True):
            if one.finish_reason is None:
                self._hear_one(one, token, cancelled)
                if now - one.flushed_at >= _FLUSH_S:
                    one.flushed_at = now
                    self._flush(one)
            if one.finish_reason is None and cancelled.is_set():
                one.finish_reason = "cancelled"
        return [one.finish_reason is not None for one in self._all]

    def _hear_one(self, one: _Alternative, token: int, cancelled: Cancellation) -> None:
        if one.index in self._draw.dead:
            one.finish_reason, one.note = "stop", _BANNED
            return
        one.n_new += 1
        if self._weights.vocab.is_end(token):
            one.finish_reason = "stop"
            return
        one.tokens.append(token)
        data, is_control = one.speller.take(token)
        assembler, thoughts = one.assembler, one.thoughts
        was_thinking = assembler.is_thinking
        assembler.feed(data, control=is_control)
        if assembler.is_thinking:
            thoughts.saw(data, cancelled)
            if not thoughts.forced:
                thoughts.begins(cancelled)
            self._draw.forced[one.index] = thoughts.forced
        elif was_thinking:
            thoughts.n_tokens += 1
        if assembler.stopped:
            one.finish_reason = "stop"

    def _begin(self) -> tuple[Assembler, list[int]]:
        """An assembler that stands at the end of the prefix, and the tokens of the prefix."""
        request, vocab = self._request, self._weights.vocab
        assembler = Assembler(
            self._manner.form,
            stop=self._params.stop + (self._manner.stop if self._answers else ()),
            in_thought=self._prompt.opens_thought,
            tools=request.tools,
            is_raw=not self._answers,
        )
        if request.prefix_tokens:
            vocab.check(request.prefix_tokens)
            speller = vocab.listen(self._before)
            pieces = [speller.take(token) for token in request.prefix_tokens]
            if assembler.begin_with_tokens(request.prefix, pieces):
                return assembler, request.prefix_tokens
        known = trim_broken(request.prefix)
        assembler.begin(known)
        text = text_of(known)
        if not text:
            return assembler, []
        over = closing_of(self._manner.form) if self._prompt.opens_thought else ""
        return assembler, [
            *vocab.tokenize(over, special=True),
            *vocab.tokenize(text, special=False),
        ]

    @property
    def _before(self) -> list[int]:
        """The tokens that an answer stands behind."""
        return [] if self._weights.is_encoder_decoder else self._prompt.tokens

    @property
    def _n_prompt(self) -> int:
        return len(self._prompt.tokens) + len(self._prefix)

    def _check(self) -> None:
        refuse_unknown(self._params)
        request = self._request
        if request.logprobs:
            refuse("--logprobs")
        if request.n < 1:
            raise UsageError(f"n is {request.n}, and at least 1 answer must be asked for.")
        if not self._prompt.tokens and not self._prefix:
            raise explain_empty(self._weights.vocab, request)
        self._weights.vocab.check_prompt(self._prompt.tokens)
        n = self._n_prompt
        if n >= self._n_ctx:
            raise ContextOverflowError(
                f"The prompt is {n} tokens and the context holds {self._n_ctx}. Nothing was cut "
                "off.",
                "Start a new chat, shorten the message, or choose a longer context with --n-ctx.",
            )

    def _make_alternative(self, index: int, seed: int) -> _Alternative:
        request, vocab = self._request, self._weights.vocab
        assembler, tokens = self._begin()
        known = len(tokens) if tokens is request.prefix_tokens else 0
        thoughts = ThoughtEnd(vocab, self._manner.form, self._prompt.thought_budget)
        return _Alternative(
            index,
            seed,
            assembler,
            Teller(request.request_id, index, request.prefix, known),
            vocab.listen([*self._before, *tokens]),
            [*tokens],
            thoughts,
        )

    def _report(self, done: int) -> None:
        self._emit(
            PrefillProgress(
                request_id=self._request.request_id,
                done=done,
                total=self._n_prompt,
                reused=0,
                elapsed_s=time.perf_counter() - self._started,
            )
        )

    def _flush(self, one: _Alternative) -> None:
        """Send what the client does not have yet."""
        for delta in one.teller.tell(one.assembler.parts, one.tokens):
            self._emit(delta)

    def _finish(self) -> Finished:
        ended = time.perf_counter()
        first = self._first_token_at or ended
        for one in self._all:
            one.assembler.feed(one.speller.rest())
            one.assembler.finish()
            self._flush(one)
        n_new = sum(one.n_new for one in self._all)
        steps, read_s = n_new - len(self._all), first - self._started
        notes = " ".join(self._prompt.notices)
        return Finished(
            request_id=self._request.request_id,
            choices=[self._choose(one, notes if one.index == 0 else "") for one in self._all],
            usage=Usage(
                prompt_tokens=self._n_prompt,
                completion_tokens=n_new,
                reasoning_tokens=sum(one.thoughts.n_tokens for one in self._all),
            ),
            timings=Timings(
                time_to_first_token_s=read_s,
                prefill_tokens_per_second=self._n_prompt / read_s if read_s else 0.0,
                decode_tokens_per_second=steps / (ended - first) if steps > 0 else 0.0,
                total_s=ended - self._started,
                n_threads=torch.get_num_threads(),
                most_threads=torch.get_num_threads(),
            ),
            n_past=self._n_prompt + max(len(one.tokens) for one in self._all) - len(self._prefix),
        )

    @staticmethod
    def _choose(one: _Alternative, notes: str) -> Choice:
        reason = one.finish_reason or "length"
        calls = any(isinstance(part, ToolCall) for part in one.assembler.parts)
        return Choice(
            index=one.index,
            parts=one.assembler.parts,
            tokens=one.tokens,
            completion_tokens=one.n_new,
            finish_reason="tool_calls" if reason == "stop" and calls else reason,
            note=" ".join(filter(None, (notes, one.note))),
            seed=one.seed,
        )


class _Listener(StoppingCriteria):
    """`generate`'s question whether to stop, with the tokens of the step."""

    def __init__(self, generation: TorchGeneration, cancelled: Cancellation) -> None:
        self._generation, self._cancelled = generation, cancelled

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        ended = self._generation.hear(input_ids[:, -1].tolist(), self._cancelled)
        return torch.tensor(ended, device=input_ids.device)
