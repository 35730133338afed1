"""Who set a sampling parameter: the command line, the chat, its preset, the settings, the model
file, nobody.

The first of these that says something counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chatapp.sampling import SamplingParams, parameters

Source = Literal["flag", "chat", "preset", "settings", "model file", "server", "default"]

_NOTHING = SamplingParams()
_EXCLUSIVE = ("grammar", "json_schema")
"""Whoever asks for one of them does not want the other of somebody else."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The value that a parameter has, and where it comes from."""

    value: Any
    """None: a server's own, which we do not know."""
    source: Source


@dataclass(frozen=True, slots=True)
class Layers:
    """What was asked for, in four places."""

    flag: SamplingParams = _NOTHING
    """For this run of the program."""
    chat: SamplingParams = _NOTHING
    """For this conversation."""
    preset: SamplingParams = _NOTHING
    """By the preset of this conversation, or of this run."""
    settings: SamplingParams = _NOTHING
    """For every conversation."""

    @property
    def given(self) -> SamplingParams:
        """What was asked for, wherever; None where nobody asked."""
        return SamplingParams(**{name: one.value for name, one in self._merge().items()})

    def explain(self, recommended: Mapping[str, Any] | None) -> dict[str, Chosen]:
        """Every parameter, its value and where that is from. `recommended` by the model file;
        None: a server has the model, and its own values for what nobody asked for."""
        asked, filled = self._merge(), self.given.filled(recommended or {})
        if (heat := asked.get("temperature")) and heat.value < 0:
            del asked["temperature"]  # asks for the model's
        explained = {}
        for name in (parameter.name for parameter in parameters()):
            value, source = getattr(filled, name), asked[name].source if name in asked else None
            if source is None and recommended is None:
                value, source = None, "server"
            rest: Source = "model file" if name in (recommended or {}) else "default"
            explained[name] = Chosen(value, source or rest)
        return explained

    def _merge(self) -> dict[str, Chosen]:
        merged: dict[str, Chosen] = {}
        sources: tuple[tuple[Source, SamplingParams], ...] = (
            ("settings", self.settings),
            ("preset", self.preset),
            ("chat", self.chat),
            ("flag", self.flag),
        )
        for source, params in sources:
            given = params.given
            if any(given.get(name) for name in _EXCLUSIVE):
                for name in _EXCLUSIVE:
                    merged.pop(name, None)
            merged |= {name: Chosen(value, source) for name, value in given.items()}
        return merged
