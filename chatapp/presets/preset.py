"""A preset, and one whose variables have values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from chatapp.config import nearest
from chatapp.errors import UsageError
from chatapp.presets.wording import INPUT, fill, fill_some, find_variables
from chatapp.sampling import SamplingParams

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A preset as a chat keeps it: with values for its variables, no longer tied to its file."""

    name: str
    values: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """What its variables were given, defaults included."""
    system: str = ""
    """The system prompt; empty: it brings none."""
    prompt: str = ""
    """What a message is put into, where `{input}` stands; braces are doubled. Empty: it stays as it
    is."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """With its grammar or JSON schema."""
    think: str = ""
    model: str = ""
    n_ctx: int = 0
    """Context length in tokens; 0: it says nothing of it."""

    def compose(self, text: str) -> str:
        """The message that is sent for `text`: put where the prompt has `{input}`, else below it
        after a blank line."""
        if not self.prompt:
            return text
        prompt = fill(self.prompt, {INPUT: text})
        if not text.strip() or INPUT in find_variables(self.prompt):
            return prompt
        return f"{prompt}\n\n{text}"

    @property
    def wants_text(self) -> bool:
        """Whether there is nothing to send without a text of one's own."""
        return not self.prompt or INPUT in find_variables(self.prompt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One preset as its file says it."""

    name: str
    path: Path
    ready_made: bool = False
    """Whether it came with chatapp."""
    description: str = ""
    system: str = ""
    prompt: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """Defaults of those variables that have one."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """With its grammar or JSON schema."""
    think: str = ""
    model: str = ""
    n_ctx: int = 0
    """Context length in tokens; 0: it says nothing of it."""

    @property
    def wanted(self) -> list[str]:
        """Its variables but for `input`, in the order they are met."""
        names = [*find_variables(self.system), *find_variables(self.prompt)]
        return [name for name in dict.fromkeys(names) if name != INPUT]

    @property
    def missing(self) -> list[str]:
        """The variables that have no default."""
        return [name for name in self.wanted if name not in self.variables]

    def fill(self, values: Mapping[str, str], *, how: str = "{name}=VALUE") -> Filled:
        """Give the variables their values; `UsageError` names one that is missing, and how to give
        it (`how`, with the name in place of `{name}`), or one that the preset does not have."""
        wanted = self.wanted
        for name in values:
            if name == INPUT:
                raise UsageError(
                    f"`{INPUT}` is not given by its name.", "It is the message itself."
                )
            if name not in wanted:
                raise UsageError(
                    f"The preset {self.name} has no variable `{name}`.",
                    nearest(name, wanted, _name_all(wanted)),
                )
        if missing := [name for name in self.missing if name not in values]:
            first = missing[0]
            raise UsageError(
                f"The preset {self.name} wants a value for {_join(missing)}.",
                f"Give it with {how.replace('{name}', first)}.",
            )
        known = {name: values.get(name, self.variables.get(name, "")) for name in wanted}
        return Filled(
            name=self.name,
            values=MappingProxyType(known),
            system=fill(self.system, known),
            prompt=fill_some(self.prompt, known),
            sampling=self.sampling,
            think=self.think,
            model=self.model,
            n_ctx=self.n_ctx,
        )


def _name_all(names: list[str]) -> str:
    return f"It has {_join(names)}." if names else "It has none."


def _join(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
