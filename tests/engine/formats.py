"""Reads recorded outputs of models by the format found in their chat templates, and counts.

    python -m tests.engine.formats CASES DIR

CASES is a file of JSON lines: template, output, messages, tools, enable_thinking, prompt_end,
is_partial, and `expect` with reasoning, content and tool_calls. DIR holds the templates. Each
output is read whole, and cut in two at every byte. Cases that ask for a JSON schema, or for
thoughts left in the content with their marks, are left out: chatapp does neither here.

Arguments are compared as JSON where both are. The exit code is 1 if one case was misread.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chatapp.engine.assemble import Assembler
from chatapp.engine.chat.detect import Understood, opens_thought, understand
from chatapp.engine.chat.template import ChatTemplate
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess
from chatapp.parts import ToolCall, reasoning_of, text_of

KINDS = ("plain", "reasoning", "tools", "partial")
_MARKS = ("<think", "</think", "[THINK]", "<|channel", "<|START_THINK", "seed:think")
Case = dict[str, Any]
Result = tuple[str, str, tuple[tuple[str, str, str], ...]]
"""Thoughts, what is said, and the name, arguments and id of each call."""


def main(cases: Path, folder: Path) -> int:
    """Print a line for each case that was misread, then the sums by kind."""
    counted: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    with TemplateProcess() as process:
        reader = _Reader(folder, process)
        for number, case in _chosen(cases):
            kind, wanted = _kind(case), _expected(case)
            counted[kind] += 1
            got = reader.read(case, [case["output"].encode()])
            if got != wanted:
                _report(number, case, "whole", got, wanted)
                continue
            whole[kind] += 1
            for pieces in _cuts(case["output"].encode()):
                if (got := reader.read(case, pieces)) != wanted:
                    _report(number, case, f"cut at {len(pieces[0])}", got, wanted)
                    break
            else:
                cut[kind] += 1
    for kind in KINDS:
        print(f"{kind:10} {counted[kind]:4} whole {whole[kind]:4} cut {cut[kind]:4}")
    total = sum(counted.values())
    print(f"{'all':10} {total:4} whole {sum(whole.values()):4} cut {sum(cut.values()):4}")
    return int(sum(cut.values()) < total)


def _chosen(file: Path) -> Iterator[tuple[int, Case]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, case in enumerate(map(json.loads, lines)):
        keeps_marks = any(mark in case["expect"]["content"] for mark in _MARKS)
        if not case["json_schema"] and (case["split_reasoning"] or not keeps_marks):
            yield number, case


def _cuts(data: bytes) -> Iterator[list[bytes]]:
    """The output in two pieces, cut at every byte, and in single bytes."""
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
    yield [bytes([byte]) for byte in data]


class _Reader:
    """Reads outputs; understands each template once."""

    def __init__(self, folder: Path, process: TemplateProcess) -> None:
        self._folder = folder
        self._process = process
        self._known: dict[str, tuple[ChatTemplate, Understood]] = {}
        self._prompts: dict[int, str] = {}

    def read(self, case: Case, pieces: Sequence[bytes]) -> Result:
        """What is understood of the output in these pieces."""
        template, known = self._understand(case["template"])
        if id(case) not in self._prompts:
            self._prompts = {id(case): self._prompt(template, case)}
        prompt = self._prompts[id(case)]
        assembler = Assembler(
            known.form, in_thought=opens_thought(known.form, prompt), tools=case["tools"]
        )
        for piece in pieces:
            assembler.feed(piece)
        if not case["is_partial"]:
            assembler.finish()
        told = [part for part in assembler.parts if isinstance(part, ToolCall)]
        calls = told if case["tools"] else []  # a call of what nobody offered has no answer there
        return (
            reasoning_of(assembler.parts),
            text_of(assembler.parts),
            tuple((call.name, _plain(call.arguments), call.id) for call in calls),
        )

    def _understand(self, name: str) -> tuple[ChatTemplate, Understood]:
        if name not in self._known:
            source = (self._folder / name).read_text(encoding="utf-8")
            template = ChatTemplate(source, "<s>", "</s>", self._process)
            self._known[name] = template, understand(template)
        return self._known[name]

    def _prompt(self, template: ChatTemplate, case: Case) -> str:
        thinks = case["enable_thinking"]
        try:
            return template.render(
                case["messages"], tools=case["tools"], enable_thinking=thinks, thinking=thinks
            )
        except TemplateError:
            return str(case["prompt_end"])


def _expected(case: Case) -> Result:
    said = case["expect"]
    calls = ((call["name"], _plain(call["arguments"]), call["id"]) for call in said["tool_calls"])
    return said["reasoning"], said["content"], tuple(calls)


def _plain(arguments: str) -> str:
    """JSON without its spelling; other text as it is."""
    try:
        return json.dumps(json.loads(arguments))
    except (ValueError, RecursionError):
        return arguments


def _kind(case: Case) -> str:
    if case["is_partial"]:
        return "partial"
    if case["expect"]["tool_calls"]:
        return "tools"
    return "reasoning" if case["expect"]["reasoning"] else "plain"


def _report(number: int, case: Case, how: str, got: Result, wanted: Result) -> None:
    print(
        f"case {number}, {case['template']}, {_kind(case)}, {how}: {case['output']!r}",
        f"  got    {got!r}",
        f"  wanted {wanted!r}",
        sep="\n",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m tests.engine.formats CASES DIR")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
