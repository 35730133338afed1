"""What a model is asked in a task, and what a good answer says: files of examples, read whole.

A line of a JSONL file is an object: `input`, `references` (a list of answers, or one), and, if it
likes, `id` and further texts, which a prompt template may name. Or the inputs are the lines of a
text, and the references the lines of others, as machine translation has them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from chatapp.errors import UsageError
from chatapp.evaluate.metrics import Metric
from chatapp.evaluate.texts import read_texts
from chatapp.text import cut_text, one_line

_INPUT, _REFERENCES, _ID, _ANSWER = "input", "references", "id", "answer"
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class ReadySet:
    """A set that comes with chatapp: how it is asked and measured unless told otherwise."""

    template: str
    metrics: tuple[Metric, ...]


SETS = {
    "translate": ReadySet("translate", ("bleu", "chrf")),
    "summarise": ReadySet("summarise", ("rouge",)),
    "questions": ReadySet("question", ("exact", "f1")),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One example: what is asked, and the answers that count as right."""

    number: int
    """Its line, from 1."""
    id: str
    """What it is called: its `id`, else its number."""
    input: str
    references: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """Further texts of the line, by name."""


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """The examples of one file, and the hash of what was read."""

    name: str
    """The file as it was named, or the name of a set."""
    examples: tuple[Example, ...]
    ready: ReadySet | None = None
    """Where it is one that comes with chatapp."""

    @property
    def sha256(self) -> str:
        """Of inputs, references and values, in hexadecimal: equal only where the same is asked."""
        rows = [[one.input, one.references, sorted(one.values.items())] for one in self.examples]
        return hashlib.sha256(json.dumps(rows).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def text(self) -> str:
        """All that a model could have been trained on, a line each."""
        return "\n".join(text for one in self.examples for text in (one.input, *one.references))

    def first(self, limit: int) -> "ExampleSet":
        """The first `limit` of them; 0: all."""
        return replace(self, examples=self.examples[:limit]) if limit else self


def read_examples(name: str, references: Sequence[str] = ()) -> ExampleSet:
    """A set that comes with chatapp, by its name, or a file; `-` is standard input.

    `references` are text files with a reference on each line, instead of those in the file.
    Raises `UsageError`.
    """
    if name in SETS and not Path(name).exists():
        text = (files("chatapp.evaluate") / "sets" / f"{name}.jsonl").read_text("utf-8")
        return ExampleSet(name, _read_jsonl(name, text), SETS[name])
    text = read_texts([name]).text
    is_text = bool(references) and not text.lstrip().startswith("{")
    examples = _read_lines(text) if is_text else _read_jsonl(name, text)
    if references:
        examples = tuple(put_beside(name, examples, references))
    return ExampleSet(name, examples)


def split_lines(text: str) -> list[str]:
    """Lines as other tools count them: what ends with a line feed, with or without a return."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _read_lines(text: str) -> tuple[Example, ...]:
    lines = enumerate(split_lines(text), 1)
    return tuple(Example(number, str(number), line) for number, line in lines)


def put_beside(name: str, examples: Sequence[Example], references: Sequence[str]) -> list[Example]:
    """Examples with the lines of files as their references. `UsageError`."""
    columns = []
    for file in references:
        lines = split_lines(read_texts([file]).text)
        if len(lines) != len(examples):
            raise UsageError(
                f"{file} has {len(lines):,} lines, and {name} has {len(examples):,} examples.",
                "Line N of the references belongs to example N.",
            )
        columns.append(lines)
    rows = zip(*columns, strict=True)
    return [replace(one, references=row) for one, row in zip(examples, rows, strict=True)]


def read_answers(name: str, text: str) -> tuple[list[str], list[Example]]:
    """Answers and their examples from the lines that `Answer.as_json` makes. `UsageError`."""
    examples = _read_jsonl(name, text)
    answers = []
    for example in examples:
        if _ANSWER not in example.values:
            raise UsageError(
                f"{name}, line {example.number:,} has no answer.",
                'An answer is its field "answer", as chatapp eval tasks --out writes it. A file '
                "with an answer on each line needs files of references beside it.",
            )
        answers.append(example.values[_ANSWER])
    return answers, list(examples)


def _read_jsonl(name: str, text: str) -> tuple[Example, ...]:
    found = []
    for number, line in enumerate(split_lines(text), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _refuse_line(name, number, line, error) from None
        found.append(_read_object(f"{name}, line {number:,}", number, value))
    return tuple(found)


def _refuse_line(name: str, number: int, line: str, error: Exception) -> UsageError:
    said = f"{name}, line {number:,} is not JSON: {one_line(str(error))}."
    if line.lstrip().startswith("["):
        return UsageError(said, f"An object a line is read; of a list: jq -c '.[]' {name}")
    return UsageError(
        said,
        'A line is an object, as in {"input": "1 + 1", "references": ["2"]}. Lines of plain text '
        "need --references FILE beside them.",
    )


def _read_object(where: str, number: int, value: Any) -> Example:
    if not isinstance(value, dict):
        hint = ": jq -c '.[]' makes one a line of a list." if isinstance(value, list) else "."
        raise UsageError(f"{where} is not an object.", f"Each line is one{hint}")
    asked = value.get(_INPUT)
    if not isinstance(asked, str):
        names = ", ".join(map(str, value)) or "nothing"
        what = "has no input" if asked is None else "has an input that is no text"
        raise UsageError(
            f"{where} {what}; it has: {one_line(cut_text(names, _SHOWN))}.",
            'What is asked is its field "input".',
        )
    if not asked.strip():
        raise UsageError(f"{where} has an empty input.", "Leave the line out.")
    references = value.get(_REFERENCES, [])
    references = [references] if isinstance(references, str) else references
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        raise UsageError(f"{where}: references is no list of texts.", 'As in "references": ["2"].')
    try:
        json.dumps([asked, references], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where} holds half a character, which no text may.") from None
    known = (_INPUT, _REFERENCES, _ID)
    values = {k: v for k, v in value.items() if isinstance(v, str) and k not in known}
    called = value.get(_ID)
    name = str(called) if isinstance(called, str | int) else str(number)
    return Example(number, name, asked, tuple(references), values)
