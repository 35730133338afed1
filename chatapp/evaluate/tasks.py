"""Examples through the engine, several at a time where it can, with what was answered kept.

A model is asked each prompt in a conversation of its own. Whatever ends the run (whoever watches,
an engine that dies, a server that leaves) leaves the answers that were there.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from chatapp.engine.protocol import ChatMessage, Finished, Generate
from chatapp.errors import ChatAppError, ContextOverflowError
from chatapp.evaluate.examples import Example
from chatapp.sampling import SamplingParams

if TYPE_CHECKING:
    from chatapp.engine.client import EngineClient

DEFAULTS = SamplingParams(temperature=0.0, seed=1, max_tokens=512)
"""Greedy, so that the same model says the same again; enough for a summary."""


@dataclass(frozen=True, slots=True)
class Question:
    """An example as it is put to the model."""

    example: Example
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How every question is asked."""

    params: SamplingParams = DEFAULTS
    """Its seed is that of the first question; each further one has the next."""
    system: str = ""
    think: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said to one of them."""

    question: Question
    text: str
    finish_reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    problem: str = ""
    """Why there is none: the prompt does not fit the context."""

    def as_json(self) -> dict[str, Any]:
        """A line of a file of answers."""
        example = self.question.example
        return {
            "id": example.id,
            "number": example.number,
            "input": example.input,
            "prompt": self.question.prompt,
            "answer": self.text,
            "references": list(example.references),
            "finish_reason": self.finish_reason,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        } | ({"problem": self.problem} if self.problem else {})


@dataclass(slots=True)
class Answers:
    """What there is when a run is over, however it ended."""

    answers: list[Answer] = field(default_factory=list)
    """In the order of the examples."""
    error: ChatAppError | None = None
    """What ended it early."""
    is_stopped: bool = False
    """Whoever watched ended it early."""


async def answer_all(
    clients: "Sequence[EngineClient]",
    questions: Sequence[Question],
    way: Way,
    *,
    at_once: int,
    on_answer: Callable[[Answer, int], None],
    stop: asyncio.Event,
) -> Answers:
    """Ask every question, `at_once` at a time, in turn of the `clients`, which have the same model
    loaded. `on_answer` hears of each with how many there are; `stop` ends it. Raises nothing that
    the engine raises."""
    found = Answers()
    order = enumerate(questions)

    async def work(client: "EngineClient") -> None:
        for number, question in order:
            found.answers.append(answer := await _ask(client, question, way, number))
            on_answer(answer, len(found.answers))

    workers = [
        asyncio.create_task(work(clients[number % len(clients)]))
        for number in range(min(at_once, len(questions)))
    ]
    watch = asyncio.create_task(stop.wait())
    try:
        await _finish(workers, watch)
        found.is_stopped = stop.is_set()
    except ChatAppError as error:
        found.error = error
    finally:
        for task in (*workers, watch):
            task.cancel()
        await asyncio.gather(*workers, watch, return_exceptions=True)
    found.answers.sort(key=lambda answer: answer.question.example.number)
    return found


async def _finish(workers: Sequence["asyncio.Task[None]"], watch: "asyncio.Task[Any]") -> None:
    """Wait for all of them; raise what one raised, and leave when `watch` ends."""
    waiting: set[asyncio.Task[Any]] = set(workers)
    while waiting and not watch.done():
        done, _ = await asyncio.wait({*waiting, watch}, return_when=asyncio.FIRST_COMPLETED)
        for task in done & waiting:
            task.result()
        waiting -= done


async def _ask(client: "EngineClient", question: Question, way: Way, number: int) -> Answer:
    try:
        async for event in client.generate(_make_request(question, way, number)):
            if isinstance(event, Finished):
                choice = event.choices[0]
                return Answer(
                    question=question,
                    text=choice.text,
                    finish_reason=choice.finish_reason,
                    prompt_tokens=event.usage.prompt_tokens,
                    completion_tokens=event.usage.completion_tokens,
                )
    except ContextOverflowError as error:  # one long example is no reason to lose the others
        return Answer(question=question, text="", finish_reason="", problem=error.message)
    raise AssertionError("a request ends with Finished")


def _make_request(question: Question, way: Way, number: int) -> Generate:
    seed = way.params.seed
    fixed = seed is not None and seed >= 0
    params = replace(way.params, seed=seed + number) if fixed and seed is not None else way.params
    return Generate(messages=list(_make_messages(question, way)), params=params, think=way.think)


def _make_messages(question: Question, way: Way) -> Iterator[ChatMessage]:
    if way.system:
        yield ChatMessage.of("system", way.system)
    yield ChatMessage.of("user", question.prompt)
