"""What a conversation sets for itself: a value that is kept with it, and laid over the settings.

The system prompt is not here: it is the conversation's own column in the store. Promises: reading
what a newer or an older chatapp stored, or a stranger's export, gives settings that can be used; a
key that is not known is kept, a value that is wrong is left out and named.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from chatapp.errors import UsageError
from chatapp.layers import Layers
from chatapp.presets.preset import Filled
from chatapp.presets.wording import INPUT, find_variables
from chatapp.sampling import SamplingParams, parameters
from chatapp.sampling_input import read_value, write_given
from chatapp.text import cut_text, one_line
from chatapp.thinking import Thinking

_NOTHING = SamplingParams()
MOST_CTX = 2**31 - 1


class ChatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one conversation sets. `ChatSettings()` sets nothing."""

    model: str = ""
    """A model file as `--model` takes it; empty: the one of the preset, else of the settings."""
    preset: Filled | None = None
    """The preset that was chosen, with its values as they were then."""
    sampling: SamplingParams = _NOTHING
    """With its grammar or JSON schema."""
    think: str = ""
    """As in `Thinking.asked`; empty: what the preset says, else the settings."""
    n_ctx: int = 0
    """Context length in tokens; 0: what the preset says, else the settings."""
    others: dict[str, Any] = {}
    """Keys that this version does not know, in the tables where they stood; written again as they
    were."""

    @property
    def preset_name(self) -> str:
        """The name of the preset, or empty."""
        return self.preset.name if self.preset else ""

    def layers(self, settings: SamplingParams, flag: SamplingParams = _NOTHING) -> Layers:
        """Who asked for which sampling parameter: `flag` of this run, this chat, its preset, the
        settings."""
        preset = self.preset.sampling if self.preset else _NOTHING
        return Layers(flag=flag, chat=self.sampling, preset=preset, settings=settings)

    def choose_think(self, settings: str) -> str:
        """How much to think: what the chat says, else its preset, else `settings`."""
        return self.think or (self.preset.think if self.preset else "") or settings

    def choose_model(self, settings: str) -> str:
        """Which model: the chat's, else its preset's, else that of `settings`."""
        return self.model or (self.preset.model if self.preset else "") or settings

    def choose_n_ctx(self) -> int:
        """Context length: the chat's, else its preset's; 0: what the settings say."""
        return self.n_ctx or (self.preset.n_ctx if self.preset else 0)

    def compose(self, text: str) -> str:
        """The message that is sent for `text`: put into the preset's prompt, if it has one."""
        return self.preset.compose(text) if self.preset else text

    def write(self) -> str:
        """JSON for the store; empty when nothing is set."""
        found = _merge(self.others, _write_choices(self.model, self.sampling, self.think))
        if self.n_ctx:
            found["n_ctx"] = self.n_ctx
        if preset := self.preset:
            texts = {"system": preset.system, "prompt": preset.prompt}
            written = {
                "name": preset.name,
                "values": dict(preset.values),
                **{key: text for key, text in texts.items() if text},
                **_write_choices(preset.model, preset.sampling, preset.think),
                **({"n_ctx": preset.n_ctx} if preset.n_ctx else {}),
            }
            found = _merge(found, {"preset": written})
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else ""


def read_chat_settings(text: str) -> tuple[ChatSettings, list[str]]:
    """(settings, sentences on what was left out), from what `ChatSettings.write` made."""
    if not text.strip():
        return ChatSettings(), []
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # no JSON, half a character, lists in lists without end
        document = None
    if not isinstance(document, dict):
        return ChatSettings(), ["The settings of this chat cannot be read; it goes on without."]
    reader = _Reader()
    settings = ChatSettings(
        model=reader.read_text(document.pop("model", ""), "model"),
        think=reader.read_think(document.pop("think", ""), "think"),
        n_ctx=reader.read_n_ctx(document.pop("n_ctx", 0)),
        sampling=reader.read_sampling(document.get("sampling", {}), "sampling"),
        preset=reader.read_preset(document.get("preset")),
        others=document,  # the reader has taken out what it knows
    )
    _drop_empty(document, "sampling")
    if settings.preset is None:
        document.pop("preset", None)
    _drop_empty(document, "preset")
    if not reader.wrong:
        return settings, []
    return settings, [f"Of this chat's settings, this is left out: {'; '.join(reader.wrong)}."]


class _Reader:
    """Takes one value after the other out of a document and notes those that are wrong."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def read_text(self, value: object, key: str) -> str:
        if isinstance(value, str):
            return value
        self._note(key, value, "it is no text")
        return ""

    def read_think(self, value: object, key: str) -> str:
        try:
            return Thinking.parse(self.read_text(value, key)).asked
        except UsageError as error:
            self._note(key, value, error.message)
            return ""

    def read_n_ctx(self, value: object, key: str = "n_ctx") -> int:
        if type(value) is int and 0 <= value <= MOST_CTX:
            return value
        self._note(key, value, "it is no number of tokens")
        return 0

    def read_sampling(self, values: object, key: str) -> SamplingParams:
        if not isinstance(values, dict):
            self._note(key, values, "it is no table")
            return _NOTHING
        read: dict[str, Any] = {}
        for parameter in parameters():
            name, value = parameter.name, values.pop(parameter.name, None)
            if value is None:
                continue
            try:
                read[name] = read_value(parameter, value)
                SamplingParams(**{name: read[name]})
            except UsageError as error:
                read.pop(name, None)
                self._note(f"{key}.{name}", value, error.message)
        try:
            return SamplingParams(**read)
        except UsageError as error:
            self._note(f"{key}.grammar", read.pop("grammar"), error.message)
            return SamplingParams(**read)

    def read_preset(self, value: object) -> Filled | None:
        if value is None:
            return None
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            self._note("preset", value, "it has no name")
            return None
        texts = {
            key: self.read_text(value.pop(key, ""), f"preset.{key}")
            for key in ("name", "system", "prompt", "model")
        }
        filled = Filled(
            **{**texts, "prompt": self._check_prompt(texts["prompt"])},
            values=self._read_values(value.pop("values", {})),
            sampling=self.read_sampling(value.get("sampling", {}), "preset.sampling"),
            think=self.read_think(value.pop("think", ""), "preset.think"),
            n_ctx=self.read_n_ctx(value.pop("n_ctx", 0), "preset.n_ctx"),
        )
        _drop_empty(value, "sampling")
        return filled

    def _check_prompt(self, prompt: str) -> str:
        try:
            if set(find_variables(prompt)) <= {INPUT}:
                return prompt
        except UsageError:
            pass
        self._note("preset.prompt", prompt, f"only {{{INPUT}}} may be open in it")
        return ""

    def _read_values(self, values: object) -> Mapping[str, str]:
        if isinstance(values, dict):
            good = {name: text for name, text in values.items() if isinstance(text, str)}
            if len(good) == len(values):
                return good
        self._note("preset.values", values, "a variable has a text")
        return {}

    def _note(self, key: str, value: object, why: str) -> None:
        shown = cut_text(one_line(json.dumps(value, ensure_ascii=False)), 40)
        self.wrong.append(f"{one_line(key)} = {shown} ({why.rstrip('.')})")


def _write_choices(model: str, sampling: SamplingParams, think: str) -> dict[str, Any]:
    found = {"model": model, "sampling": write_given(sampling), "think": think}
    return {key: value for key, value in found.items() if value}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two documents as one; a table that both have is merged too."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)
        merged[key] = value
    return merged


def _drop_empty(document: dict[str, Any], key: str) -> None:
    """Remove a table of which nothing is left, or that is none."""
    if not isinstance(document.get(key), dict) or not document[key]:
        document.pop(key, None)
