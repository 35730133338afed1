"""How an example is put to a model: templates with the variables of a line in braces.

`{input}` is what the example asks; other names are texts of its line, or values for all lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatapp.errors import UsageError
from chatapp.evaluate.examples import Example
from chatapp.input_file import read_text
from chatapp.paths import expand_home
from chatapp.presets.wording import INPUT, fill, find_variables

TEMPLATES = {
    "plain": "{input}",
    "translate": "Translate the following text into {to}. Answer with the translation only.\n\n"
    "{input}",
    "summarise": "Summarise the following text in one sentence. Answer with the summary only.\n\n"
    "{input}",
    "question": "Answer the question with a few words or a number, and nothing else.\n\n{input}",
}
"""Those that come with chatapp, by name."""
_USUAL = {"to": "English"}


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A template and what its variables are, where a line does not say."""

    name: str
    """Its own, a file's, or `text`."""
    text: str
    values: Mapping[str, str]

    def fill(self, example: Example) -> str:
        """The prompt for an example; `UsageError` where a variable has no value."""
        values = _USUAL | dict(self.values) | dict(example.values) | {INPUT: example.input}
        try:
            return fill(self.text, values)
        except KeyError as error:
            name = error.args[0]
            raise UsageError(
                f"The template wants {{{name}}}, and example {example.id} has none.",
                f"Give it for all with -p {name}=VALUE, or as a field of each line.",
            ) from None


def read_template(named: str, values: Sequence[str] = ()) -> PromptTemplate:
    """A template by its name, the text of a file, or a text with `{input}` in it.

    `values` are `NAME=VALUE`. Raises `UsageError`.
    """
    given = dict(_read_value(one) for one in values)
    if named in TEMPLATES:
        return PromptTemplate(named, TEMPLATES[named], given)
    if "{" in named or "\n" in named:
        name, text = "text", named
    elif expand_home(named).is_file():
        name, text = named, read_text(Path(expand_home(named))).removesuffix("\n")
    else:
        raise UsageError(
            f"There is no template {named}: it is no file, no text with {{input}}, and none of "
            f"{', '.join(TEMPLATES)}.",
            "As a text: --template 'Question: {input}\\nAnswer:'",
        )
    try:
        variables = find_variables(text)
    except UsageError as error:
        raise UsageError(f"The template cannot be read, {error.message}", error.hint) from None
    if INPUT not in variables:
        raise UsageError(
            "The template has no {input}: every example would be asked the same.",
            "Put {input} where the example stands.",
        )
    return PromptTemplate(name, text, given)


def _read_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"-p {text} gives no value.", "A variable and its value: -p to=German.")
    return name.strip(), value
