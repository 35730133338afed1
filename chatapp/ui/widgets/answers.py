"""Fields for what a checkpoint leaves open: a list to choose from, or a line to write in."""

from collections.abc import Mapping, Sequence
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Label, Select

from chatapp.ui.wording import clean_line

Question = Mapping[str, Any]
"""One of the converter's, as its `error` event has it."""

_LONGEST = 120


class Answers(VerticalScroll, can_focus=False):
    """One field a question; empty and of no height until there are any."""

    class Changed(Message):
        """An answer is another now."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._fields: dict[str, _Answer] = {}

    async def ask(self, questions: Sequence[Question]) -> None:
        """Fields for `questions` too; what was answered stays."""
        for question in questions:
            name = str(question.get("name", ""))
            if name and name not in self._fields:
                self._fields[name] = _Answer(question)
                await self.mount(self._fields[name])

    async def clear(self) -> None:
        """No questions any more: another source."""
        self._fields.clear()
        await self.remove_children()

    @property
    def words(self) -> list[str]:
        """The answers as words for the converter; an open question has none."""
        return [word for field in self._fields.values() for word in field.words]

    def focus_open(self) -> bool:
        """Go to the first question without an answer; whether there is one."""
        field = next((field for field in self._fields.values() if not field.words), None)
        if field is not None:
            field.query_one("Input, Select").focus()
        return field is not None

    @on(Input.Changed)
    @on(Select.Changed)
    def _tell(self) -> None:
        self.post_message(self.Changed())


class _Answer(Horizontal):
    """A question's name and its field."""

    def __init__(self, question: Question) -> None:
        super().__init__(classes="field")
        self._question = question
        self._choices = [
            (_clean(choice.get("text", "")), _clean(choice.get("meaning", "")))
            for choice in question.get("choices", ())
        ]
        default = question.get("default")
        self._usual = next(
            (_clean(c["text"]) for c in question.get("choices", ()) if c.get("value") == default),
            "" if default is None else _clean(default),
        )

    def compose(self) -> ComposeResult:
        """The name, and a list where nothing else fits, else a line with examples."""
        label = Label(_clean(self._question["name"]), markup=False)
        label.tooltip = clean_line(str(self._question.get("why", "")))
        yield label
        if self._choices and not self._question.get("others"):
            yield Select(
                [(f"{text}  {meaning}".rstrip(), text) for text, meaning in self._choices],
                prompt="choose",
                value=self._usual if self._usual else Select.NULL,
                compact=True,
            )
            return
        examples = ", ".join(
            f"{text} ({meaning})" if meaning else text for text, meaning in self._choices
        )
        yield Input(value=self._usual, placeholder=examples[:_LONGEST], compact=True)

    @property
    def words(self) -> list[str]:
        """The flag and its value, or nothing."""
        field = self.query_one("Input, Select")
        if isinstance(field, Select):
            value = "" if field.is_blank() else str(field.value)
        else:
            assert isinstance(field, Input)
            value = field.value.strip()
        if not value:
            return []
        flag, _, key = str(self._question.get("flag", "")).partition(" ")
        return [flag, f"{key}{value}"]


def _clean(text: object) -> str:
    return clean_line(str(text))[:_LONGEST]
