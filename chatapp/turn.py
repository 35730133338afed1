"""One question's answer from beginning to end: what the chat screen and `chatapp ask` both do.

Promises: the answer's row exists before its first token; while it streams, its `AnswerState` is
journalled every quarter second by a task of its own (a pause of the model loses nothing, a slow
disk does not slow the stream); however it ends, the row says so: complete, stopped by the user,
interrupted by a dead engine, failed. Of several answers that are written at once all this holds for
each; one that ends before its first word leaves no row, unless it is the one that is shown. `stop`
works at any moment, before the engine has heard of the answer too. The user's message is the
caller's to store first.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from chatapp.answer import AnswerState, break_off, stop_here
from chatapp.engine.client import EngineClient, GenerateRequest
from chatapp.engine.content import countable
from chatapp.engine.protocol import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    ModelDescription,
    PrefillProgress,
)
from chatapp.errors import ChatAppError, StoreError
from chatapp.guide.naming import names_in
from chatapp.guide.wording import is_knowledge, known_in
from chatapp.layers import Chosen, Layers
from chatapp.parts import Reasoning, Text
from chatapp.recording import Recording
from chatapp.sampling import SamplingParams, parameters
from chatapp.store.rows import MessageRow, NewGeneration

if TYPE_CHECKING:
    from chatapp.store import Store

JOURNAL_S = 0.25

TurnEvent = PrefillProgress | Delta | Finished


class Turn:
    """One answer, or `n` at once. Make a new one for every question."""

    def __init__(
        self,
        store: "Store",
        client: EngineClient,
        *,
        params: SamplingParams | Layers,
        think: str = "",
        n: int = 1,
        logprobs: int = 0,
        tools: Sequence[dict[str, Any]] = (),
    ) -> None:
        """`params` without layers count as asked for with this answer; `think` as `Generate` has
        it."""
        self._store = store
        self._client = client
        self._layers = params if isinstance(params, Layers) else Layers(flag=params)
        self._params = self._layers.given
        self._think = think
        self._logprobs = logprobs
        self._stopping = asyncio.Event()
        self._hurried = False
        self._request: GenerateRequest | None = None
        self._tools = list(tools)
        self._answers = [Recording(store) for _ in range(n)]
        self._kept = 0
        self.outcome: Finished | None = None
        self.sampling: dict[str, Chosen] = {}
        """Every sampling parameter of the answer, and where its value is from."""

    @property
    def states(self) -> list[AnswerState]:
        """What is known of every answer."""
        return [answer.state for answer in self._answers]

    @property
    def state(self) -> AnswerState:
        """What is known of the answer; of several, of the one that is shown."""
        return self._answers[self._kept].state

    @property
    def message_ids(self) -> list[int]:
        """The rows of all answers, by alternative; 0 where there is none: before the first event,
        and of one that was ended before its first word."""
        return [answer.message_id for answer in self._answers]

    @property
    def message_id(self) -> int:
        """The answer's row; 0 before it exists."""
        return self._answers[self._kept].message_id

    @property
    def row(self) -> MessageRow | None:
        """The answer's row as it is to be; None before it exists."""
        return self._answers[self._kept].row

    @property
    def kept(self) -> int:
        """Which of several answers is shown, the first of them until `keep`."""
        return self._kept

    @property
    def unsaved(self) -> bool:
        """The end of an answer could not be written: `save` may be tried again."""
        return any(answer.unsaved for answer in self._answers)

    def row_of(self, message_id: int) -> MessageRow | None:
        """The row of one of the answers as it is to be; None: it is none of them."""
        rows = (answer.row for answer in self._answers if answer.message_id == message_id)
        return next(rows, None)

    def keep(self, message_id: int) -> None:
        """Show this one of the answers from now on; no more than a note, for the store is told by
        whoever shows it."""
        if message_id in self.message_ids:
            self._kept = self.message_ids.index(message_id)

    def stop(self) -> None:
        """End the answer here and keep its text."""
        self._stopping.set()
        if self._request:
            self._request.cancel()

    def answer_now(self) -> None:
        """End the thought and begin the answer; without a thought, nothing happens."""
        self._hurried = True
        if self._request:
            self._request.answer_now()

    async def answer(self, conversation_id: int, parent_id: int) -> AsyncGenerator[TurnEvent, None]:
        """Answer the user message `parent_id`."""
        model = await self._find_model()
        path = await asyncio.to_thread(self._store.get_path, conversation_id, parent_id)
        system = (await asyncio.to_thread(self._store.get_conversation, conversation_id)).system
        generation = self._describe(model)
        n = len(self._answers)
        await self._open(
            lambda: self._store.begin_answers(conversation_id, parent_id, generation, n)
        )
        messages = chat_messages(path, system, model.fingerprint)
        generate = Generate(
            messages=messages,
            names=_names_for(model, messages),
            told=_told_in(messages) if model.guide else [],
            params=self._params,
            think=self._think,
            tools=self._tools,
            n=n,
            logprobs=self._logprobs,
        )
        async with contextlib.aclosing(self._run(generate)) as events:
            async for event in events:
                yield event

    async def resume(self, message_id: int) -> AsyncGenerator[TurnEvent, None]:
        """Go on with a stopped or interrupted answer from its last token.

        With the model that wrote all of it, the very tokens are taken up; with another, its text.
        """
        model = await self._find_model()
        found = await asyncio.to_thread(self._store.get_message, message_id)
        path = await asyncio.to_thread(self._store.get_path, found.conversation_id, message_id)
        conversation = await asyncio.to_thread(self._store.get_conversation, found.conversation_id)
        generation = self._describe(model)
        await self._open(lambda: [self._store.resume_answer(message_id, generation)])
        row = self.row
        assert row is not None
        keeps_tokens = _is_all_by(row, model.fingerprint)
        self._answers[0].state = replace(self.state, keeps_tokens=keeps_tokens)
        messages = chat_messages(path[:-1], conversation.system, model.fingerprint)
        begun = ChatMessage("assistant", row.parts)
        generate = Generate(
            messages=messages,
            names=_names_for(model, [*messages, begun]),
            told=_told_in(messages) if model.guide else [],
            params=self._params,
            think=self._think,
            tools=self._tools,
            prefix=row.parts,
            prefix_tokens=list(row.tokens) if keeps_tokens else [],
        )
        async with contextlib.aclosing(self._run(generate)) as events:
            async for event in events:
                yield event

    async def _find_model(self) -> ModelDescription:
        """The loaded model; if stopped meanwhile, the one that is being loaded again."""
        loading = asyncio.ensure_future(self._client.ensure_loaded())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            loading.cancel()
            raise
        finally:
            stopping.cancel()
        known = self._client.last_model
        if loading.done() or known is None:
            return await loading
        loading.add_done_callback(_forget)  # the next message will need it
        return known

    async def _open(self, begin: Callable[[], list[MessageRow]]) -> None:
        """The rows that `begin` makes streaming; they are ended if nobody waits any more."""
        beginning = asyncio.get_running_loop().run_in_executor(None, begin)
        try:
            self._begin(await asyncio.shield(beginning))
        except asyncio.CancelledError:
            self._begin(await asyncio.shield(beginning))
            await self._end_rows()
            raise

    def _begin(self, rows: list[MessageRow]) -> None:
        for answer, row in zip(self._answers, rows, strict=True):
            answer.begin(row)

    async def _end_rows(self) -> None:
        """Write how the answers ended; done even if nobody waits until it is."""
        for answer in self._answers:
            if answer.state.status == "streaming":  # whoever listened has left
                answer.state = stop_here(answer.state)
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.save))

    async def _run(self, generate: Generate) -> AsyncGenerator[TurnEvent, None]:
        request = self._request = self._client.request(generate)
        if self._stopping.is_set():
            request.cancel()
        if self._hurried:
            request.answer_now()
        journal = asyncio.create_task(self._keep_journal())
        try:
            async with contextlib.aclosing(request.events()) as events:
                async for event in events:
                    self._take(event)
                    yield event
        except ChatAppError as error:
            for answer in self._answers:
                answer.state = break_off(answer.state, error)
            raise
        finally:
            journal.cancel()  # what it may still be writing comes before, or is refused
            await self._end_rows()

    def _take(self, event: TurnEvent) -> None:
        if isinstance(event, PrefillProgress):
            return
        for index, answer in enumerate(self._answers):
            answer.take(event, index)
        if isinstance(event, Finished):
            self.outcome = event

    async def _keep_journal(self) -> None:
        while True:
            await asyncio.sleep(JOURNAL_S)
            for answer in self._answers:
                await answer.journal()

    def save(self) -> None:
        """Write the answers as they ended; the store is asked, so not on the event loop.

        Raises `StoreError` if that fails for one of them, when all were tried.
        """
        failure: StoreError | None = None
        for place, answer in enumerate(self._answers):
            try:
                if place != self._kept and answer.says_nothing and answer.drop():
                    for other, beside in enumerate(self._answers):
                        beside.lose_version(is_before=place < other)
                else:
                    answer.save()
            except StoreError as error:
                failure = error
        if failure is not None:
            raise failure

    def _describe(self, model: ModelDescription) -> NewGeneration:
        self.sampling = self._layers.explain(None if model.host else model.sampling)
        return NewGeneration(
            model_path=model.path,
            model_name=model.name,
            fingerprint=model.fingerprint,
            template_hash=model.template_hash,
            params_json=describe_sampling(self._params, self.sampling, self._think),
            seed=self._params.filled().seed,
        )


def describe_sampling(
    params: SamplingParams, sampling: Mapping[str, Chosen], think: str = ""
) -> str:
    """What is stored of sampling, as JSON: `params` as they were asked for (null: nobody did),
    under `used` the values that took the place of null, and under `sources` where each is from
    that is no default; beside them how much to think."""
    used = {name: one.value for name, one in sampling.items() if getattr(params, name) is None}
    if params.temperature is not None and params.temperature < 0:  # asks for the model's
        used["temperature"] = sampling["temperature"].value
    sources = {name: one.source for name, one in sampling.items() if one.source != "default"}
    asked = {parameter.name: getattr(params, parameter.name) for parameter in parameters()}
    rest = {"think": think or None, "used": used, "sources": sources}
    return msgspec.json.encode(asked | rest).decode()


def chat_messages(path: Sequence[MessageRow], system: str, fingerprint: str) -> list[ChatMessage]:
    """Rows as the chat template sees them; answers of the same model with their tokens.

    Of what chatapp knows of itself only what was put before the last question is told; of earlier
    questions it is in their answers, and would fill the context of a small model.
    A system message that a branch begins with, such as the summary of what stood before it, goes
    into one message with the system prompt: many templates take no second one.
    """
    messages = [ChatMessage("system", (Text(system),))] if system else []
    if messages and path and path[0].role == "system":
        said = Text(f"\n\n{path[0].content}")
        messages = [ChatMessage("system", (Text(system), said))]
        path = path[1:]
    last = next((row for row in reversed(path) if any(map(is_knowledge, row.parts))), None)
    for row in path:
        parts = row.parts if row is last else tuple(p for p in row.parts if not is_knowledge(p))
        known = row.status != "streaming" and _is_all_by(row, fingerprint)
        messages.append(ChatMessage(row.role, parts, list(row.tokens) if known else []))
    return messages


def _names_for(model: ModelDescription, messages: Sequence[ChatMessage]) -> list[str] | None:
    """What the answer may name: of a model that answers from facts, what stands in the messages."""
    if not model.guide:
        return None
    texts = [countable(part) for message in messages for part in message.parts]
    return sorted(set().union(*map(names_in, texts)))


def _told_in(messages: Sequence[ChatMessage]) -> list[str]:
    """The facts that stand before the last question."""
    asked = next((one for one in reversed(messages) if one.role == "user"), None)
    return known_in(asked.parts).splitlines() if asked else []


def _is_all_by(row: MessageRow, fingerprint: str) -> bool:
    """Whether one model, of that fingerprint, wrote all of an answer.

    A later run that was stopped or refused before its first word wrote none of it.
    """
    runs = row.generations
    length = sum(len(part.text) for part in row.parts if isinstance(part, Text | Reasoning))
    ends = [*(run.offset for run in runs[1:]), length]
    said = (
        run
        for run, end in zip(runs[1:], ends[1:], strict=True)
        if end != run.offset or run.completion_tokens
    )
    return bool(runs) and all(run.fingerprint == fingerprint for run in (runs[0], *said))


def _forget(loading: "asyncio.Future[ModelDescription]") -> None:
    """Nobody waits for it any more; whoever needs the model next hears of its failure."""
    if not loading.cancelled():
        loading.exception()
