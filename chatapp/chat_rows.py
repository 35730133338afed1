"""Every setting of a conversation explained: its value, where that is from, what it may be.

For a panel, `/set`, and whoever else shows settings. No setting is left out, so none is invisible.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from chatapp.chat_changes import N_CTX, THINK
from chatapp.chat_settings import ChatSettings
from chatapp.config import Config
from chatapp.layers import Chosen, Source
from chatapp.sampling import SamplingParams, parameters
from chatapp.sampling_input import describe_bounds, show_value
from chatapp.text import cut_text, one_line
from chatapp.thinking import WORDS

_NOTHING = SamplingParams()
_SHOWN = 60
_SERVERS_OWN = "the server's own"
_GROUPS = {
    "Randomness": ("temperature", "dynatemp_range", "dynatemp_exponent", "seed"),
    "Which tokens": (
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "xtc_probability",
        "xtc_threshold",
        "top_n_sigma",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "samplers",
        "logit_bias",
    ),
    "Repetition": (
        "repeat_penalty",
        "repeat_last_n",
        "frequency_penalty",
        "presence_penalty",
        "dry_multiplier",
        "dry_base",
        "dry_allowed_length",
        "dry_penalty_last_n",
        "dry_sequence_breakers",
        "no_repeat_ngram_size",
    ),
    "Form and length": ("json_schema", "grammar", "max_tokens", "stop"),
}
GROUPS = ("Conversation", *_GROUPS, "Other")
"""In the order in which rows come."""
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting as a panel shows it."""

    name: str
    """As `/set` takes it; `system`, `preset` and `model` have commands of their own."""
    group: str
    value: str
    """In one line; empty: none."""
    source: str
    """Whose word it is: `this chat`, `preset translate`, `settings`, `model file`, ..."""
    bounds: str
    """What it may be, in short; empty where anything may be."""
    help: str
    changed: bool
    """Whether this chat itself has set it."""
    usual: str = ""
    """The value that it has when this chat sets nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is so around a conversation: what its own settings are laid over."""

    config: Config
    flag: SamplingParams = _NOTHING
    """What the command line of this run asked for."""
    recommended: Mapping[str, Any] | None = None
    """By the model file; None: a server has the model, or none is loaded."""
    model_name: str = ""
    """The loaded model's."""
    n_ctx: int = 0
    """The loaded model's context; 0: none is loaded."""


def explain(settings: ChatSettings, system: str, around: Surroundings) -> list[Row]:
    """Every setting, in the order of `GROUPS`. `system` is the conversation's system prompt."""
    rows = [
        _explain_system(settings, system, around.config.chat.system),
        _explain_preset(settings),
        _explain_model(settings, around),
        _explain_think(settings, around.config.chat.think),
        _explain_n_ctx(settings, around),
        *_explain_sampling(settings, around),
    ]
    return sorted(rows, key=lambda row: GROUPS.index(row.group))


def _explain_system(settings: ChatSettings, system: str, usual: str) -> Row:
    preset = settings.preset
    if system == usual:
        source = "settings" if system else "default"
    elif preset and system == preset.system:
        source = _of_preset(settings)
    else:
        source = "this chat"
    return Row(
        name="system",
        group="Conversation",
        value=_cut(system),
        source=source,
        bounds="",
        help="The system prompt: what the model is told before anything else.",
        changed=source == "this chat",
        usual=_cut((preset.system if preset else "") or usual),
    )


def _explain_preset(settings: ChatSettings) -> Row:
    preset = settings.preset
    values = preset.values if preset else {}
    given = " ".join(f"{name}={_cut(value, 20)}" for name, value in values.items())
    return Row(
        name="preset",
        group="Conversation",
        value=_cut(f"{settings.preset_name} {given}"),
        source="this chat" if preset else "default",
        bounds="",
        help="System prompt, prompt, sampling, thinking and model under one name.",
        changed=preset is not None,
    )


def _explain_model(settings: ChatSettings, around: Surroundings) -> Row:
    source = _first(
        settings,
        settings.model,
        settings.preset.model if settings.preset else "",
        around.config.engine.model,
    )
    usual = msgspec.structs.replace(settings, model="").choose_model(around.config.engine.model)
    return Row(
        name="model",
        group="Conversation",
        value=_cut(around.model_name or settings.choose_model(around.config.engine.model)),
        source=source,
        bounds="",
        help="The model that answers in this chat.",
        changed=bool(settings.model),
        usual=_cut(usual),
    )


def _explain_think(settings: ChatSettings, usual: str) -> Row:
    of_preset = settings.preset.think if settings.preset else ""
    return Row(
        name=THINK,
        group="Conversation",
        value=settings.choose_think(usual),
        source=_first(settings, settings.think, of_preset, usual),
        bounds=f"{', '.join(WORDS)} or a number of tokens",
        help="How much to think before an answer; empty: as the model does by itself.",
        changed=bool(settings.think),
        usual=of_preset or usual,
    )


def _explain_n_ctx(settings: ChatSettings, around: Surroundings) -> Row:
    of_preset = settings.preset.n_ctx if settings.preset else 0
    of_settings = around.config.engine.n_ctx
    usual = of_preset or of_settings
    source = _first(settings, settings.n_ctx, of_preset, of_settings)
    value = around.n_ctx or settings.n_ctx or usual
    return Row(
        name=N_CTX,
        group="Conversation",
        value=str(value or ""),
        source=source,
        bounds="at least 1 token",
        help="Context length: how much of the chat the model sees. Changing it loads it again.",
        changed=bool(settings.n_ctx),
        usual=str(usual or ""),
    )


def _explain_sampling(settings: ChatSettings, around: Surroundings) -> list[Row]:
    plain = msgspec.structs.replace(settings, sampling=_NOTHING)
    explained, usual = (
        one.layers(around.config.sampling, around.flag).explain(around.recommended)
        for one in (settings, plain)
    )
    own = settings.sampling.given
    return [
        Row(
            name=parameter.name,
            group=_GROUP_OF.get(parameter.name, "Other"),
            value=_show(explained[parameter.name]),
            source=_name_source(settings, explained[parameter.name].source),
            bounds=describe_bounds(parameter),
            help=parameter.help,
            changed=parameter.name in own,
            usual=_show(usual[parameter.name]),
        )
        for parameter in parameters()
    ]


def _show(chosen: Chosen) -> str:
    if chosen.value == "" and chosen.source in ("chat", "preset"):
        return "off"  # a form that others ask for, and this chat does not want
    return _SERVERS_OWN if chosen.source == "server" else show_value(chosen.value)


def _name_source(settings: ChatSettings, source: Source) -> str:
    if source == "preset":
        return _of_preset(settings)
    return {"flag": "command line", "chat": "this chat"}.get(source, source)


def _of_preset(settings: ChatSettings) -> str:
    return f"preset {_cut(settings.preset_name, 20)}"


def _first(settings: ChatSettings, chat: object, preset: object, usual: object) -> str:
    """Whose word counts of three."""
    if chat:
        return "this chat"
    if preset:
        return _of_preset(settings)
    return "settings" if usual else "default"


def _cut(text: str, limit: int = _SHOWN) -> str:
    line = one_line(text)
    return line if len(line) <= limit else f"{cut_text(line, limit - 1)}…"
