"""What was understood of a model's chat template, as one value that JSON can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatapp.engine.assemble import Assembler
from chatapp.engine.chat.detect import Understood, opens_thought, understand
from chatapp.engine.chat.messages import Messages, Wire
from chatapp.engine.chat.template import ChatTemplate
from chatapp.errors import TemplateError
from chatapp.parts import Parts, ToolCall, reasoning_of, text_of

_SAMPLE: list[Wire] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
]
_SPEAKS_OF_THOUGHTS = re.compile(r"reasoning_content|enable_thinking|</?think", re.IGNORECASE)
_SPEAKS_OF_TOOLS = re.compile(r"\btool_calls\b")


def check_template(template: ChatTemplate, origin: str, known: Understood | None = None) -> Wire:
    """What was understood of `template`, which is from `origin` (a phrase).

    Raises `TemplateError` where the template writes nothing of what the user says.
    """
    known = known or understand(template)
    form, traits = known.form, template.traits
    return {
        "template": {"from": origin, "hash": template.hash, "characters": len(template.source)},
        "system": "moved to the first message" if traits.drops_system else "kept",
        "roles": {
            "contents_as_parts": sorted(traits.wants_parts),
            "earlier_answers": "dropped" if traits.drops_answers else "kept",
            "tool": "kept" if template.call_traits.knows_results else "as the user's words",
        },
        "reasoning": _tell_thoughts(template, known),
        "tools": _tell_calls(template, known),
        "turn_end": list(form.headers.turn_ends if form.headers else form.ends),
        "thinking_switch": {"variable": known.switch or None, "efforts": list(known.efforts)},
        "odd": [*template.notices, *find_odd(template, known)],
        "sample": template.render(_SAMPLE),
    }


def find_odd(template: ChatTemplate, known: Understood) -> Iterable[str]:
    """Sentences on what a template speaks of and nobody understood."""
    source, form = template.source, known.form
    has_thoughts = form.thoughts or form.headers
    if _SPEAKS_OF_THOUGHTS.search(source) and not has_thoughts:
        yield (
            "The chat template speaks of thoughts, and how the model writes them could not be "
            "told: they may be shown as the answer."
        )
    writes_calls = form.headers or (form.calls and form.calls.shown)
    if _SPEAKS_OF_TOOLS.search(source) and not writes_calls and known.takes_tools:
        yield (
            "How this model writes calls of tools could not be told from its chat template: "
            "the most usual way is expected."
        )


def read_output(
    template: ChatTemplate,
    messages: Messages,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    thinking: bool | None = None,
    output: bytes | None = None,
    is_partial: bool = False,
) -> Wire:
    """The prompt that `messages` make, and the parts of what a model wrote behind it.

    `is_partial`: more would come, so that nothing is said of what is not yet certain.
    """
    known = understand(template)
    switches = {}
    if thinking is not None:
        switches = {name: thinking for name in (known.switch, "enable_thinking") if name}
    prompt = template.render(messages, tools=tools, **switches)
    assembler = Assembler(known.form, in_thought=opens_thought(known.form, prompt), tools=tools)
    assembler.feed(output or b"")
    if not is_partial:
        assembler.finish()
    return {"prompt": prompt, "parts": _tell_parts(assembler.parts, has_tools=bool(tools))}


def _tell_parts(parts: Parts, *, has_tools: bool) -> Wire:
    """Calls are told where tools were offered: nobody can answer others."""
    calls = [part for part in parts if isinstance(part, ToolCall)] if has_tools else []
    return {
        "reasoning": reasoning_of(parts),
        "content": text_of(parts),
        "tool_calls": [
            {"name": call.name, "arguments": call.arguments, "id": call.id} for call in calls
        ],
    }


def _tell_thoughts(template: ChatTemplate, known: Understood) -> Wire | None:
    form = known.form
    if form.thoughts is None and form.headers is None:
        return None
    thoughts = form.thoughts
    try:
        prompt = template.render(_SAMPLE[1:])
    except TemplateError:
        prompt = ""
    return {
        "format": form.name,
        "open": thoughts.open if thoughts else "",
        "close": thoughts.close if thoughts else "",
        "opened_by_prompt": opens_thought(form, prompt),
        "earlier_ones": "kept" if known.keeps_thoughts else "left out",
    }


def _tell_calls(template: ChatTemplate, known: Understood) -> Wire:
    form, traits = known.form, template.call_traits
    return {
        "offered": "listed by the template" if known.takes_tools else "not told to the model",
        "calls": form.name if form.headers else (form.calls.body if form.calls else ""),
        "example": form.calls.shown if form.calls and traits.knows_calls else "",
        "arguments": "mapping" if traits.arguments_as_mapping else "JSON text",
        "results": "kept" if traits.knows_results else "as the user's words",
    }
