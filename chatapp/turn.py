"""One answer from beginning to end: what the chat screen and `chatapp ask` both do.

Promises: the answer's row exists before its first token; while it streams, text and tokens are
journalled every quarter second by a task of its own (a pause of the model loses nothing, a slow
disk does not slow the stream); however it ends, the row says so: complete, stopped by the user,
interrupted by a dead engine, failed. The user's message is the caller's to store first.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    ModelDescription,
    PrefillProgress,
)
from chatapp.errors import ChatAppError, ConnectionLostError, EngineDiedError, StoreError
from chatapp.parts import parts_of
from chatapp.sampling import SamplingParams
from chatapp.store.rows import FinalStatus, MessageRow, NewGeneration, Outcome

if TYPE_CHECKING:
    from chatapp.store import Store

JOURNAL_S = 0.25

TurnEvent = PrefillProgress | Delta | Finished


class Turn:
    """One answer. Make a new one for every answer."""

    def __init__(
        self,
        store: "Store",
        client: EngineClient,
        *,
        params: SamplingParams,
        n: int = 1,
        logprobs: int = 0,
    ) -> None:
        self._store = store
        self._client = client
        self._params = params
        self._n = n
        self._logprobs = logprobs
        self._request_id = ""
        self._stopped = False
        self._dirty = False
        self._journal_error: StoreError | None = None
        self.message_id = 0
        """The answer's row; 0 before it exists."""
        self.text = ""
        self.reasoning = ""
        self.tokens: list[int] = []
        self.outcome: Finished | None = None
        self.alternative_ids: list[int] = []
        """Rows of the further alternatives, siblings of the answer."""

    def stop(self) -> None:
        """End the answer here and keep its text."""
        self._stopped = True
        if self._request_id:
            self._client.cancel(self._request_id)

    async def answer(self, conversation_id: int, parent_id: int) -> AsyncGenerator[TurnEvent, None]:
        """Answer the user message `parent_id`."""
        model = await self._client.ensure_loaded()
        path = await asyncio.to_thread(self._store.get_path, conversation_id, parent_id)
        system = (await asyncio.to_thread(self._store.get_conversation, conversation_id)).system
        generation = self._describe(model)
        begun = await asyncio.to_thread(
            self._store.begin_answer, conversation_id, parent_id, generation
        )
        self.message_id = begun.id
        request = Generate(
            request_id=f"answer-{self.message_id}",
            messages=chat_messages(path, system, model.fingerprint),
            params=self._params,
            n=self._n,
            logprobs=self._logprobs,
        )
        async with contextlib.aclosing(self._stream(request)) as events:
            async for event in events:
                yield event
        await self._store_alternatives(conversation_id, parent_id, generation)

    async def resume(self, message_id: int) -> AsyncGenerator[TurnEvent, None]:
        """Go on with a stopped or interrupted answer from its last token.

        With the model that began it, the very tokens are taken up; with another, its text.
        """
        model = await self._client.ensure_loaded()
        row = await asyncio.to_thread(self._store.get_message, message_id)
        path = await asyncio.to_thread(self._store.get_path, row.conversation_id, message_id)
        conversation = await asyncio.to_thread(self._store.get_conversation, row.conversation_id)
        await asyncio.to_thread(self._store.resume_answer, message_id, self._describe(model))
        self.message_id = message_id
        self.text, self.reasoning = row.content, row.reasoning
        same_model = row.generation is not None and row.generation.fingerprint == model.fingerprint
        self.tokens = list(row.tokens) if same_model else []
        request = Generate(
            request_id=f"answer-{message_id}",
            messages=chat_messages(path[:-1], conversation.system, model.fingerprint),
            params=self._params,
            prefix_text=row.content,
            prefix_tokens=self.tokens,
        )
        async with contextlib.aclosing(self._stream(request)) as events:
            async for event in events:
                yield event

    async def _stream(self, request: Generate) -> AsyncGenerator[TurnEvent, None]:
        self._request_id = request.request_id
        journal = asyncio.create_task(self._keep_journal())
        status: FinalStatus = "stopped"  # when whoever listens goes away
        error = ""
        try:
            events = self._client.generate(request)
            if self._stopped:
                self._client.cancel(self._request_id)
            async with contextlib.aclosing(events):
                async for event in events:
                    self._take(event)
                    yield event
            cancelled = self.outcome and self.outcome.choices[0].finish_reason == "cancelled"
            status = "stopped" if cancelled else "complete"
        except ChatAppError as fault:
            lost = isinstance(fault, EngineDiedError | ConnectionLostError)
            status = "interrupted" if lost else "failed"
            error = fault.message
            raise
        finally:
            journal.cancel()
            await asyncio.wait([journal])
            await asyncio.to_thread(self._finish, status, error)
        if self._journal_error:
            raise self._journal_error

    def _take(self, event: TurnEvent) -> None:
        if isinstance(event, Delta) and event.index == 0:
            if event.channel == "answer":
                self.text += event.text
            else:
                self.reasoning += event.text
            self.tokens += event.tokens
            self._dirty = True
        elif isinstance(event, Finished):
            self.outcome = event

    async def _keep_journal(self) -> None:
        while True:
            await asyncio.sleep(JOURNAL_S)
            if not self._dirty:
                continue
            self._dirty = False
            try:
                await asyncio.to_thread(
                    self._store.journal_answer,
                    self.message_id,
                    parts_of(self.text, self.reasoning),
                    tuple(self.tokens),
                )
                self._journal_error = None
            except StoreError as error:  # the answer goes on; the end of it says so
                self._journal_error = error

    def _finish(self, status: FinalStatus, error: str) -> None:
        self._store.finish_answer(
            self.message_id,
            parts_of(self.text, self.reasoning),
            tuple(self.tokens),
            status,
            outcome=_outcome_of(self.outcome, 0, error),
        )
        self._journal_error = None

    async def _store_alternatives(
        self, conversation_id: int, parent_id: int, generation: NewGeneration
    ) -> None:
        for choice in self.outcome.choices[1:] if self.outcome else []:
            cancelled = choice.finish_reason == "cancelled"
            row = await asyncio.to_thread(
                self._store.add_answer,
                conversation_id,
                parent_id,
                parts_of(choice.text, choice.reasoning),
                tuple(choice.tokens),
                "stopped" if cancelled else "complete",
                generation,
                _outcome_of(self.outcome, choice.index, ""),
            )
            self.alternative_ids.append(row.id)

    def _describe(self, model: ModelDescription) -> NewGeneration:
        params = self._params
        if params.temperature < 0:
            params = replace(params, temperature=model.temperature)
        return NewGeneration(
            model_path=model.path,
            model_name=model.name,
            fingerprint=model.fingerprint,
            template_hash=model.template_hash,
            params_json=msgspec.json.encode(params).decode(),
            seed=self._params.seed,
        )


def chat_messages(path: "list[MessageRow]", system: str, fingerprint: str) -> list[ChatMessage]:
    """Rows as the chat template sees them; answers of the same model with their tokens."""
    messages = [ChatMessage("system", system)] if system else []
    for row in path:
        same = row.generation is not None and row.generation.fingerprint == fingerprint
        tokens = list(row.tokens) if same and row.status != "streaming" else []
        messages.append(ChatMessage(row.role, row.content, tokens))
    return messages


def _outcome_of(finished: Finished | None, index: int, error: str) -> Outcome:
    if finished is None:
        return Outcome(error=error, finish_reason="error" if error else "")
    choice, usage, timings = finished.choices[index], finished.usage, finished.timings
    return Outcome(
        finish_reason=choice.finish_reason,
        error=error,
        seed=choice.seed,
        prompt_tokens=usage.prompt_tokens,
        reused_tokens=usage.reused_tokens,
        completion_tokens=usage.completion_tokens,
        load_s=timings.load_s,
        ttft_s=timings.time_to_first_token_s,
        prefill_tps=timings.prefill_tokens_per_second,
        decode_tps=timings.decode_tokens_per_second,
    )
