"""What a family of chat models writes and expects, as plain text: nothing here is found out."""

import json
from dataclasses import dataclass
from pathlib import Path

from bench.scripted import Turn, Words, write_scripted

HELLO = "What is the weather like?"
AND_THEN = "And then? " + "Take your time, and look at it from every side." * 3
"""Long enough that the second prompt is longer than the first answer, whose thoughts it drops."""


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    arguments: dict[str, object]

    def on_the_wire(self) -> dict[str, object]:
        arguments = json.dumps(self.arguments, ensure_ascii=False)
        return {
            "id": "",
            "type": "function",
            "function": {"name": self.name, "arguments": arguments},
        }


@dataclass(frozen=True)
class Said:
    """One answer: the tokens that the model writes, and what they mean."""

    raw: str
    """With the token that ends it."""
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Family:
    """One format. A prompt is `opening`, each question as `asked`, what stands for each answer,
    and `begun`, after which the model writes."""

    name: str
    words: Words
    source: str
    """The chat template. Jinja drops a line break behind a block; here each of them is meant."""
    asked: str
    """A message of the user; `{}` is its text."""
    begun: str
    first: Said
    kept: str
    """What stands for the first answer in the second prompt."""
    second: Said
    opening: str = ""
    echoed: object = None
    """The content that the template wants for the first answer, where it is not plain text."""
    marks: tuple[str, ...] = ()
    """What nobody may read on the screen beside the special tokens: marks that are text."""

    @property
    def template(self) -> str:
        """The source as Jinja is to read it."""
        return self.source.replace("%}\n", "%}{{ '\n' }}")

    def prompts(self) -> tuple[str, str]:
        """The prompts of both turns."""
        asked = [self.asked.replace("{}", question) for question in (HELLO, AND_THEN)]
        first = self.opening + asked[0]
        return first + self.begun, first + self.kept + asked[1] + self.begun

    def write(self, folder: Path) -> Path:
        """The model file."""
        said = (self.first.raw, self.second.raw)
        turns = [Turn(prompt, raw) for prompt, raw in zip(self.prompts(), said, strict=True)]
        return write_scripted(folder / f"{self.name}.gguf", self.words, self.template, turns)

    def raw_marks(self) -> tuple[str, ...]:
        """Everything that is not to be seen."""
        return (*self.words.special, *self.marks)
