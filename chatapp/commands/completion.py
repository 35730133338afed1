"""What may come next while a command is typed: commands, then what stands behind one.

Only the line of the command is completed, and only up to the cursor. What the chat alone knows
(models, tags, themes) is asked for when it is needed.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chatapp.chat_changes import N_CTX, THINK, setting_names
from chatapp.commands.parsing import COMMAND_WORD
from chatapp.commands.table import COMMANDS, Command, Takes, find_command
from chatapp.paths import expand_home
from chatapp.presets.preset import Preset
from chatapp.sampling import SAMPLERS
from chatapp.sampling_input import describe_bounds, find_parameter, show_value
from chatapp.text import one_line, whole_text
from chatapp.thinking import BUDGETS, WORDS

MOST_FILES = 200
"""Files of a folder that are offered; whoever wants another one types on."""

Named = tuple[str, str]
"""What is written, and a few words on it."""


_PIECES: list[Named] = [
    ("chat", "all of it"),
    ("message", "the marked one, or the last"),
    ("branch", "the marked message, or the last, and all below it"),
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that may be written."""

    text: str
    """What takes the place of the part that is completed; with the space behind it, if more may
    follow."""
    shown: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """Candidates for the part of a message from `start` to `end`, in characters."""

    start: int
    end: int
    candidates: tuple[Candidate, ...]


def _none() -> Iterable[Named]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where names come from that only the chat knows; each is called when it is needed."""

    models: Callable[[], Iterable[Named]] = _none
    presets: Callable[[], Iterable[Preset]] = tuple
    tags: Callable[[], Iterable[Named]] = _none
    themes: Callable[[], Iterable[Named]] = _none
    folder: Path = field(default_factory=Path)
    """What relative paths are relative to."""


def complete(text: str, cursor: int, sources: Sources) -> Completion | None:
    """What may be written at `cursor`; None where nothing is completed, as in text."""
    indent = len(text) - len(text.lstrip())
    begun = text[indent:cursor]
    if not begun.startswith("/") or "\n" in begun:
        return None
    word = COMMAND_WORD.match(begun)
    if begun == "/" or (word is not None and word.end() == len(begun)):
        return _make(indent, cursor, begun, _list_commands(begun))
    if word is None:
        return None
    command = None if word[2] else find_command(word[1])
    if command is None:
        return None
    args = begun[word.end() :].lstrip()
    return _complete_args(command, args, cursor, sources)


def _complete_args(command: Command, args: str, cursor: int, sources: Sources) -> Completion | None:
    last = args.split()[-1] if args and not args[-1].isspace() else ""
    is_first = len(args.split()) <= (1 if last else 0)
    start = cursor - len(last)
    match command.takes:
        case Takes.SWITCH if is_first:
            found = _plain([("on", ""), ("off", "")])
        case Takes.THINKING if is_first:
            found = _plain(_list_thinking())
        case Takes.PARAMETER:
            found = _list_parameters() if is_first else _list_values(args.split()[0])
        case Takes.PRESET | Takes.TEMPLATE:
            found = _list_presets(command, args, is_first, sources)
        case Takes.MODEL:
            found, start, last = _plain(sources.models()), cursor - len(args), args
        case Takes.THEME if is_first:
            found = _plain(sources.themes())
        case Takes.TAG:
            found = _plain(sources.tags(), end=" ")
        case Takes.COMMAND if is_first:
            found = [Candidate(one.name, one.spelled, one.help) for one in COMMANDS]
        case Takes.TEXT if command.name == "system" and is_first:
            found = _plain([("none", "no system prompt"), ("reset", "that of the settings")])
        case Takes.WORDS if command.name == "delete" and is_first:
            found = _plain(_PIECES)
        case Takes.CODE if is_first and command.name == "copy":
            found = _plain([("all", "the whole answer")])
        case Takes.FILE | Takes.NEW_FILE:
            found, start, last = list_files(args, sources.folder), cursor - len(args), args
            if command.name in ("schema", "grammar"):
                found += _plain([("off", "answers as they come")])
        case _:
            return None
    return _make(start, cursor, last, found, in_help=command.takes is Takes.MODEL)


def _make(
    start: int,
    end: int,
    begun: str,
    candidates: Iterable[Candidate],
    *,
    in_help: bool = False,
) -> Completion | None:
    """Those that begin with what is there, then those that hold it, `in_help`: or their help does;
    None if there are none."""
    typed = begun.lower()
    every = list(candidates)
    first = [one for one in every if one.text.lower().startswith(typed)]
    held = [f"{one.text} {one.help}" if in_help else one.text for one in every]
    rest = [
        one
        for one, text in zip(every, held, strict=True)
        if one not in first and typed.lstrip("/") in text.lower()
    ]
    found = tuple(first + rest if len(typed) > 1 else first)
    return Completion(start, end, found) if found else None


def _list_commands(begun: str) -> list[Candidate]:
    """Every command; an alias where it is being typed."""
    found = []
    for command in COMMANDS:
        more = " " if command.takes is not Takes.NOTHING else ""
        found.append(Candidate(f"/{command.name}{more}", command.spelled, command.help))
        found += [
            Candidate(f"/{alias}{more}", f"/{alias} {command.usage}".rstrip(), command.help)
            for alias in command.aliases
            if len(begun) > 1 and f"/{alias}".startswith(begun.lower())
        ]
    return found


def _plain(names: Iterable[Named], end: str = "") -> list[Candidate]:
    return [Candidate(f"{name}{end}", name, help_) for name, help_ in names]


def _list_thinking() -> list[Named]:
    budgets = {
        word: f"at most {tokens} tokens, or as the model means it"
        for word, tokens in BUDGETS.items()
    }
    return [*((word, budgets.get(word, "")) for word in WORDS), ("reset", "as in the settings")]


def _list_parameters() -> list[Candidate]:
    found = []
    for name in setting_names():
        parameter = find_parameter(name)
        if parameter is None:
            help_ = "How much to think." if name == THINK else "Context length in tokens."
        else:
            bounds = describe_bounds(parameter)
            help_ = f"{bounds} · {parameter.help}" if bounds else parameter.help
        found.append(Candidate(f"{name} ", name, help_))
    return found


def _list_values(name: str) -> list[Candidate]:
    name = name.lower().replace("-", "_")
    if name == THINK:
        return _plain(_list_thinking())
    reset = ("reset", "as it is without this chat's own value")
    parameter = find_parameter(name)
    if parameter is None:
        return _plain([reset]) if name == N_CTX else []
    if parameter.name == "samplers":
        return _plain([(one, "") for one in SAMPLERS], end=" ")
    usual = show_value(parameter.default)
    return _plain([*([(usual, "the default")] if usual else []), reset])


def _list_presets(command: Command, args: str, is_first: bool, sources: Sources) -> list[Candidate]:
    presets = list(sources.presets())
    if is_first:
        off = [("off", "no preset")] if command.takes is Takes.PRESET else []
        names = [(one.name, one.description) for one in presets]
        return [*_plain(names, end=" "), *_plain(off)]
    given = {word.partition("=")[0] for word in args.split()[1:] if "=" in word}
    chosen = next((one for one in presets if one.name == args.split()[0]), None)
    if chosen is None:
        return []
    return [
        Candidate(f"{name}=", f"{name}=", _describe_variable(chosen, name))
        for name in chosen.wanted
        if name not in given
    ]


def _describe_variable(preset: Preset, name: str) -> str:
    return f"else {preset.variables[name]}" if name in preset.variables else "wanted"


def list_files(begun: str, folder: Path) -> list[Candidate]:
    """Files and folders whose path begins so; hidden ones when their dot is typed."""
    head, _, name = begun.rpartition("/")
    head = f"{head}/" if "/" in begun else ""
    place = expand_home(head) if head.startswith("~") else folder / head
    found = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not name.startswith("."):
                    continue
                if entry.name.lower().startswith(name.lower()) and _can_be_typed(entry.name):
                    found.append((entry.name, _is_folder(entry)))
    except (OSError, ValueError):  # no such folder, or one that is closed; a zero byte
        return []
    found.sort(key=lambda one: (not one[1], one[0].lower()))
    return [
        Candidate(f"{head}{one}/" if inside else f"{head}{one}", f"{one}/" if inside else one)
        for one, inside in found[:MOST_FILES]
    ]


def _can_be_typed(name: str) -> bool:
    return whole_text(name) == name and one_line(name) == name


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False
