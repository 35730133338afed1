"""What is said of answers that are not whole, when they are written: calls of tools that were cut,
and answers that had to follow a schema or grammar.

The schema is checked here whoever wrote the answer: a server may not hold to it, and a limit cuts
where it cuts. A pattern of the schema can keep the check busy, so no event loop is running.
"""

import json
from collections.abc import Sequence

from chatapp.answer import AnswerState
from chatapp.cli.progress import Progress
from chatapp.errors import ChatAppError
from chatapp.sampling import Sampling

_MORE_ROOM = "It has room with a higher --max-tokens, or with a longer --n-ctx."


def check_answers(states: Sequence[AnswerState], params: Sampling) -> None:
    """Say on stderr what was cut; `ChatAppError` if an answer does not fit the schema, or the
    arguments of a call are cut."""
    for state in states:
        _check_calls(state, params)
    if not (params.json_schema or params.grammar):
        return
    for number, state in enumerate(states, 1):
        name = "The answer" if len(states) == 1 else f"Answer {number} of {len(states)}"
        cut = _name_limit(state, params) if state.finish_reason == "length" else ""
        fault = _find_fault(state, params)
        if fault and cut:
            raise ChatAppError(
                f"{name} was cut by {cut} and is not whole: {fault}.",
                _MORE_ROOM,
            )
        if fault:
            raise ChatAppError(f"{name} does not fit the JSON schema: {fault}.")
        if cut and params.json_schema:
            Progress().notice([f"{name} was cut by {cut}; as it is, it fits the JSON schema."])
        elif cut:
            Progress().notice([f"{name} was cut by {cut}, so it may not be whole."])


def _check_calls(state: AnswerState, params: Sampling) -> None:
    for call in state.calls:
        if _is_json(call.arguments):
            continue
        if state.finish_reason == "length" and call == state.parts[-1]:
            raise ChatAppError(
                f"The call of {call.name} was cut by {_name_limit(state, params)}: its arguments "
                "are not whole.",
                _MORE_ROOM,
            )
        Progress().notice([f"The arguments of the call of {call.name} are not valid JSON."])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _find_fault(state: AnswerState, params: Sampling) -> str:
    if not params.json_schema:
        return ""
    from chatapp.structured.checking import find_fault

    return find_fault(params.json_schema, state.text)


def _name_limit(state: AnswerState, params: Sampling) -> str:
    if 0 <= params.max_tokens <= state.usage.completion_tokens:
        return f"the limit of {params.max_tokens} tokens"
    return "the end of the context"
