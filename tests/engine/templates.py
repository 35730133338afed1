"""Renders a folder of chat templates as chatapp does, and as transformers does, and compares.

    python -m tests.engine.templates DIR

DIR holds files *.jinja. Both are given the same messages: plain ones, with a system text, with
tools, with calls and results, with past thoughts, with thinking on and off. transformers takes a
call's arguments as a mapping, or as JSON text where it fails with one. A letter tells each case:

    =  the text of both is the same
    +  transformers cannot render it, chatapp does
    ~  the text differs
    !  chatapp cannot render it

The texts that differ are shown from where they do. The exit code is 1 if one was not rendered.
"""

import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatapp.engine.chat.messages import with_json_arguments, with_mappings
from chatapp.engine.chat.template import ChatTemplate
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # it would say that there is no PyTorch

_WORDS = {"bos_token": "<s>", "eos_token": "</s>"}
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Its name, as in Köln."},
                    "days": {"type": "integer"},
                },
                "required": ["city"],
            },
        },
    }
]
_USER = {"role": "user", "content": "How warm is it in Köln?"}
_ANSWER = {"role": "assistant", "content": "12 °C."}
_CALL = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "abcdef123",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Köln", "days": 2}'},
        }
    ],
}
_RESULT = {
    "role": "tool",
    "tool_call_id": "abcdef123",
    "name": "get_weather",
    "content": '{"celsius": 12}',
}
_MORE = {"role": "user", "content": "And tomorrow?"}
_THOUGHT = {"reasoning_content": "I need a number."}

Case = tuple[list[dict[str, Any]], Mapping[str, Any]]
CASES: dict[str, Case] = {
    "plain": ([_USER, _ANSWER, _MORE], {}),
    "system": ([{"role": "system", "content": "Be brief."}, _USER], {}),
    "tools": ([_USER], {"tools": _TOOLS}),
    "calls": ([_USER, _CALL, _RESULT], {"tools": _TOOLS}),
    "called": ([_USER, _CALL, _RESULT, _ANSWER, _MORE], {"tools": _TOOLS}),
    "thought": ([_USER, {**_ANSWER, **_THOUGHT}, _MORE], {}),
    "thought+call": ([_USER, {**_CALL, **_THOUGHT}, _RESULT], {"tools": _TOOLS}),
    "on": ([_USER], {"enable_thinking": True}),
    "off": ([_USER], {"enable_thinking": False}),
    "on+tools": ([_USER], {"tools": _TOOLS, "enable_thinking": True}),
    "off+tools": ([_USER], {"tools": _TOOLS, "enable_thinking": False}),
}


def main(folder: Path) -> int:
    """Print a line for each template, the differences, and the sums."""
    files = sorted(folder.glob("*.jinja"))
    if not files:
        print(f"{folder} holds no files *.jinja.", file=sys.stderr)
        return 2
    sums: dict[str, Counter[str]] = {name: Counter() for name in CASES}
    reasons: list[str] = []
    print(f"{'':44} {' '.join(CASES)}")
    with TemplateProcess() as process:
        for file in files:
            letters = []
            for name, case in CASES.items():
                letter, reason = _compare(file.read_text(encoding="utf-8"), case, process)
                letters.append(letter.center(len(name)))
                sums[name][letter] += 1
                if reason:
                    reasons.append(f"{file.stem}, {name}:\n{reason}")
            print(f"{file.stem:44.44} {' '.join(letters)}", flush=True)
    print(*reasons, sep="\n\n", end="\n\n")
    for name, sum_ in sums.items():
        by_both = sum_["="] + sum_["~"]
        print(
            f"{name:12} rendered {len(files) - sum_['!']} of {len(files)}, "
            f"equal {sum_['=']} of the {by_both} that transformers renders"
        )
    return int(any(sum_["!"] for sum_ in sums.values()))


def _compare(source: str, case: Case, process: TemplateProcess) -> tuple[str, str]:
    messages, values = case
    try:
        ours = ChatTemplate(source, *_WORDS.values(), process).render(messages, **values)
    except TemplateError as error:
        return "!", error.message
    theirs = _transformers(source, messages, values)
    if theirs is None or ours == theirs:
        return "+" if theirs is None else "=", ""
    at = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    start = max(at - 60, 0)
    return (
        "~",
        f"  chatapp      {ours[start : at + 160]!r}\n  transformers {theirs[start : at + 160]!r}",
    )


def _transformers(
    source: str, messages: list[dict[str, Any]], values: Mapping[str, Any]
) -> str | None:
    from transformers.utils.chat_template_utils import render_jinja_template

    for dressed in (with_mappings(messages), with_json_arguments(messages)):
        try:
            texts, _ = render_jinja_template(
                [dressed], chat_template=source, add_generation_prompt=True, **_WORDS, **values
            )
        # a template may raise anything that Python can raise
        except Exception:  # noqa: BLE001
            continue
        return str(texts[0])
    return None


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m tests.engine.templates DIR")
    sys.exit(main(Path(sys.argv[1])))
