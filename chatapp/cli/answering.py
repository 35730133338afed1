"""One question of `chatapp ask` through store and engine, streamed to stdout.

Promises: the model is loaded before anything is stored, so a misspelt model leaves no trace; the
first Ctrl+C ends the answer and keeps it, the second does not wait for the engine; a reader that
leaves (`| head -1`) ends the answer, too, and what was said is in the history.
"""

import asyncio
import contextlib
import json
import signal
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from chatapp.answer import AnswerState
from chatapp.chat_settings import ChatSettings
from chatapp.cli.output import Output
from chatapp.cli.program import make_guide
from chatapp.cli.progress import Progress
from chatapp.cli.setting import make_client, open_history
from chatapp.cli.thoughts import Thoughts
from chatapp.cli.wholeness import check_answers
from chatapp.conversation import Message, make_title
from chatapp.engine.protocol import Delta, Finished, PrefillProgress
from chatapp.errors import EngineError, UsageError
from chatapp.gguf.guided import wants_guide
from chatapp.informing import GuideOnce, inform
from chatapp.parts import ToolCall
from chatapp.store import Store
from chatapp.thinking import explain_silence, is_only_thought
from chatapp.turn import Turn

if TYPE_CHECKING:
    from chatapp.config import Config
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import LoadOptions, ModelDescription
    from chatapp.layers import Layers
    from chatapp.paths import Paths
    from chatapp.presets import Filled

INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked on the command line."""

    prompt: str
    title: str
    """What the conversation is called by, shortened."""
    preset: "Filled | None"
    """What a new conversation keeps; the prompt and the parameters have it already."""
    system: str | None
    go_on: bool
    params: "Layers"
    n: int
    logprobs: int
    tools: "list[dict[str, Any]]"
    as_json: bool
    show_thinking: bool
    save: bool
    load: "LoadOptions"
    guide: bool = False
    """What chatapp knows is put before the question, whatever the model."""


def run(question: Question, config: "Config", paths: "Paths") -> int:
    """Answer and return the exit code. Raises what went wrong, and `BrokenPipeError`."""
    with open_history(paths) if question.save else Store.in_memory() as store:
        if question.go_on and store.last_conversation() is None:
            raise UsageError("There is no conversation to go on with yet.", "Leave out --continue.")
        client = make_client(paths, log=question.save)
        try:
            states = asyncio.run(_answer(question, config, paths, store, client))
        except asyncio.CancelledError:
            return INTERRUPTED
        if states is None:
            return INTERRUPTED
        check_answers(states, question.params.given.filled())
        return 0


class _Interrupt:
    """Ctrl+C: ends the answer; before there is one, or the second time, ends everything."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        try:
            self._loop.add_signal_handler(signal.SIGINT, self._on_signal)
        except NotImplementedError:  # Windows
            signal.signal(
                signal.SIGINT, lambda *_: self._loop.call_soon_threadsafe(self._on_signal)
            )
        self.turn: Turn | None = None
        self.happened = False

    def _on_signal(self) -> None:
        if self.turn is not None and not self.happened:
            self.turn.stop()
        elif self._task is not None:
            self._task.cancel()
        self.happened = True


async def _answer(
    question: Question, config: "Config", paths: "Paths", store: Store, client: "EngineClient"
) -> list[AnswerState] | None:
    """The answers; None after Ctrl+C."""
    interrupt = _Interrupt()
    progress = Progress()
    try:
        started = time.perf_counter()
        get_guide = GuideOnce(lambda: make_guide(config, paths))
        if not question.load.raw and (question.guide or _wants_guide(question)):
            asyncio.get_running_loop().run_in_executor(None, get_guide)  # while the model loads
        model = await client.load(question.load, progress.show_load)
        load_s = model.load_s or time.perf_counter() - started
        progress.notice(model.notices)
        conversation_id, message_id = _store_question(question, config, store)
        known = await _inform(question, model, get_guide, store, message_id)
        turn = Turn(
            store,
            client,
            params=question.params,
            think=config.chat.think,
            n=question.n,
            logprobs=question.logprobs,
            tools=question.tools,
        )
        interrupt.turn = turn
        output = Output(stream=not question.as_json and question.n == 1)
        thoughts = Thoughts(progress, in_full=question.show_thinking)
        try:
            async with contextlib.aclosing(turn.answer(conversation_id, message_id)) as events:
                async for event in events:
                    _show(event, turn.state, output, progress, thoughts)
                    if output.broken:
                        turn.stop()
        except BaseException as error:  # what went wrong is said on a line of its own
            thoughts.end()
            output.end_line()
            if isinstance(error, UsageError) and not question.go_on:  # nothing can come of it
                store.delete_conversation(conversation_id)
            raise
        thoughts.end()
        progress.notice([state.note for state in turn.states if state.note])
        _conclude(question, turn, output, model, load_s, conversation_id, known)
        if not interrupt.happened and question.params.given.max_tokens != 0:
            _check_answer(turn.states)
    finally:
        progress.clear()
        await client.stop()
    return None if interrupt.happened else turn.states


def _store_question(question: Question, config: "Config", store: Store) -> tuple[int, int]:
    message = Message.of("user", question.prompt)
    last = store.last_conversation() if question.go_on else None
    if last is None:
        system = config.chat.system if question.system is None else question.system
        conversation_id = store.create_conversation(make_title(question.title), system)
        if question.preset is not None:
            store.set_settings(conversation_id, ChatSettings(preset=question.preset).write())
        return conversation_id, store.add_message(conversation_id, message, None).id
    if question.system is not None:
        store.set_system(last.id, question.system)
    return last.id, store.add_message(last.id, message, last.active_leaf_id).id


def _wants_guide(question: Question) -> bool:
    from chatapp.paths import read_path

    return wants_guide(read_path(question.load.path))


async def _inform(
    question: Question,
    model: "ModelDescription",
    get_guide: GuideOnce,
    store: Store,
    message_id: int,
) -> str:
    """Put what chatapp knows before the question, if that is wanted; what that is."""
    if question.load.raw or not (model.guide or question.guide):
        return ""
    from chatapp.guide.wording import known_in

    row = await asyncio.to_thread(inform, store, message_id, get_guide, always=True)
    return known_in(row.parts) if row else ""


def _show(
    event: PrefillProgress | Delta | Finished,
    state: AnswerState,
    output: Output,
    progress: Progress,
    thoughts: Thoughts,
) -> None:
    if isinstance(event, PrefillProgress):
        progress.show_prefill(event.done, event.total)
    elif isinstance(event, Delta) and event.kind == "reasoning":
        if event.index == 0:
            thoughts.take(event, state.reasoning)
    elif isinstance(event, Finished) or state.text.strip():
        thoughts.end()
        output.show(state.text)


def _check_answer(states: list[AnswerState]) -> None:
    """Raise if nothing was said in any of the alternatives."""
    silences = [explain_silence(state.parts, state.finish_reason or "") for state in states]
    if not all(silences):
        return
    more = "a larger --max-tokens" if states[0].finish_reason == "length" else ""
    if not is_only_thought(states[0].parts):
        raise EngineError(silences[0], f"Try {more}." if more else "Ask again, or in other words.")
    raise EngineError(
        silences[0],
        f"Try {more + ', or ' if more else ''}--think off or --think N; "
        "--show-thinking shows what it thought.",
    )


def _conclude(
    question: Question,
    turn: Turn,
    output: Output,
    model: "ModelDescription",
    load_s: float,
    conversation_id: int,
    known: str,
) -> None:
    state = turn.state
    if state.finish_reason is None:  # the engine ends every stream with Finished, or raises
        raise EngineError("The answer ended before it began.")
    if question.as_json:
        usage, timings = state.usage, state.timings
        output.print_json(
            {
                "text": state.text,
                "reasoning": state.reasoning,
                **_calls(question, state),
                "model": model.name,
                "finish_reason": state.finish_reason,
                "seed": _seed(state),
                "conversation_id": conversation_id if question.save else None,
                "usage": {
                    "prompt_tokens": usage.prompt_tokens,
                    "reused_tokens": usage.reused_tokens,
                    "completion_tokens": usage.completion_tokens,
                    "reasoning_tokens": usage.reasoning_tokens,
                },
                "sampling": {name: asdict(one) for name, one in turn.sampling.items()},
                "timings": {
                    "load_s": load_s,
                    "time_to_first_token_s": timings.time_to_first_token_s,
                    "prefill_tokens_per_second": timings.prefill_tokens_per_second,
                    "decode_tokens_per_second": timings.decode_tokens_per_second,
                },
            }
            | ({"known": known} if known else {})
            | (_logprobs(state) if question.logprobs else {})
            | _alternatives(question, turn.states)
        )
    elif question.n > 1:
        output.print_alternatives([(_tell(one), _seed(one)) for one in turn.states])
    else:
        output.print_calls(describe_call(call) for call in state.calls)
    output.finish()


def describe_call(call: ToolCall) -> str:
    """A call in a line: the name of the tool, and its arguments as JSON."""
    try:
        arguments = json.dumps(json.loads(call.arguments), ensure_ascii=False)
    except (ValueError, RecursionError):  # as far as the model came
        arguments = call.arguments
    return " ".join(f"{call.name} {arguments}".split())


def _tell(state: AnswerState) -> str:
    lines = [state.text.rstrip("\n"), *map(describe_call, state.calls)]
    return "\n".join(line for line in lines if line)


def _calls(question: Question, state: AnswerState) -> dict[str, object]:
    if not question.tools and not state.calls:
        return {}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in state.calls
    ]
    return {"tool_calls": calls}


def _seed(state: AnswerState) -> int | None:
    """None: a server picked it, and does not say."""
    return state.seed if state.seed >= 0 else None


def _logprobs(state: AnswerState) -> dict[str, object]:
    return {"logprobs": msgspec.to_builtins(state.logprobs)}


def _alternatives(question: Question, states: list[AnswerState]) -> dict[str, object]:
    if question.n == 1:
        return {}
    rows = [
        {"text": state.text, "reasoning": state.reasoning}
        | _calls(question, state)
        | {"finish_reason": state.finish_reason, "seed": _seed(state)}
        | (_logprobs(state) if question.logprobs else {})
        for state in states
    ]
    return {"alternatives": rows}
