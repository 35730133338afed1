"""Calls of tools as a model writes them, for templates that have no place for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatapp.engine.chat.format import Calls
from chatapp.engine.chat.messages import tell_calls


def write_calls(form: Calls, calls: Sequence[Mapping[str, Any]]) -> str:
    """The text of `calls` (on OpenAI's wire, arguments as mappings) in the model's own way.

    Ways of writing that templates always have a place for are not known here.
    """
    if form.body == "python":
        listed = ", ".join(_as_python(call["function"]) for call in calls)
        return f"{''.join(form.open)}[{listed}]{''.join(form.close)}"
    if form.body == "json" and form.section_open:
        keys = form.keys
        bodies = [
            {keys.name: call["function"]["name"], keys.arguments: call["function"]["arguments"]}
            for call in calls
        ]
        listed = json.dumps(bodies, ensure_ascii=False)
        return f"{''.join(form.section_open)}{listed}{''.join(form.section_close)}"
    return tell_calls(calls)


def _as_python(function: Mapping[str, Any]) -> str:
    arguments = function["arguments"]
    pairs = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"{function['name']}({pairs})"
