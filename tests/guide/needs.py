"""The held-out questions, and whether an answer to one is right.

A line of `heldout.jsonl` and `heldout_zh.jsonl` is
`{"ask": [question, follow-up, …], "facts": [[id, …], …], "needs": [[text, …], …]}`.
The answer to the last of `ask` is judged. Each inner list holds alternatives: of `facts` any one is
enough to answer that part of the question from, of `needs` any one must be in the answer. Texts of
`needs` are pieces of prose, counted from the beginning of a word in any case ("quanti" is in
"Quantised"), and placeholders that are filled from the program as it is configured:

`{key:ID}` any key of that row, `{command:/NAME}` with its other names, `{flag:COMMAND --flag}`,
`{cli:COMMAND}`, `{setting:SECTION.NAME}`, `{default:SECTION.NAME}`, `{folder:NAME}`. They look like
the ids of facts. The command of a flag of `chatapp` itself is `chatapp`.

A line of `beyond.jsonl` is `{"ask": [text], "kind": "trivia|task|smalltalk|near"}`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from chatapp.commands.table import find_command
from chatapp.config import Config
from chatapp.paths import Paths
from chatapp.sampling import parameters
from chatapp.ui.key_row import spell_key, split_keys
from chatapp.ui.keymap import key_of

HERE = Path(__file__).parent
HELDOUT = HERE / "heldout.jsonl"
HELDOUT_ZH = HERE / "heldout_zh.jsonl"
BEYOND = HERE / "beyond.jsonl"

_PLACEHOLDER = re.compile(r"\{(key|command|flag|cli|setting|default|folder):([^{}]+)\}")
_SPELLINGS = {
    "Esc": ("escape",),
    "Del": ("delete",),
    "PgUp": ("page up", "pageup"),
    "PgDn": ("page down", "pagedown"),
    "↑": ("up",),
    "↓": ("down",),
    "←": ("left",),
    "→": ("right",),
    "Space": (),
    "Enter": ("return",),
    "Tab": (),
    "Home": (),
    "End": (),
}
"""Keys with a name, and what else people call them. Most of these are words of prose, too: without
a modifier beside them they are keys only as a name ("Delete", "the up arrow", "the space bar")."""
_CHINESE = {
    "Enter": "回车", "Space": "空格", "↑": "上箭头", "↓": "下箭头", "←": "左箭头", "→": "右箭头",
}  # fmt: skip


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def placeholders(text: str) -> list[str]:
    """The ids of the placeholders in a text of `needs`, such as `key:copy`."""
    return [f"{match[1]}:{match[2]}" for match in _PLACEHOLDER.finditer(text)]


def is_right(
    answer: str,
    needs: list[list[str]],
    paths: Paths,
    config: Config | None = None,
    keymap: Mapping[str, str] | None = None,
) -> bool:
    """Whether `answer` holds one of each list of `needs`.

    `keymap` is what the user's `[keys]` say, in Textual's spelling. A key that is switched off has
    no text that could be found.
    """
    answer = " ".join(answer.replace("`", " ` ").split())
    found = Filling(paths, config or Config(), keymap or {})
    return all(any(found.pattern(text).search(answer) for text in part) for part in needs)


class Filling:
    """Puts what the program says today in the place of placeholders."""

    def __init__(self, paths: Paths, config: Config, keymap: Mapping[str, str]) -> None:
        self._paths, self._config, self._keymap = paths, config, keymap
        self._kinds: dict[str, Callable[[str], list[str]]] = {
            "key": self._key,
            "command": _command,
            "flag": lambda name: [_whole(name[name.index("--") :])],
            "cli": lambda name: [_whole(f"chatapp {name}" if name != "chatapp" else name)],
            "setting": _setting,
            "default": lambda name: [_whole(_say(default_of(name)))],
            "folder": self._folder,
        }

    def pattern(self, text: str) -> re.Pattern[str]:
        """What finds `text`, filled in, in an answer. `KeyError` for an id that is not known."""
        parts, end = [], 0
        for match in _PLACEHOLDER.finditer(text):
            parts.append(_prose(text[end : match.start()]))
            parts.append("(?:" + "|".join(self._kinds[match[1]](match[2])) + ")")
            end = match.end()
        parts.append(_prose(text[end:], begins=not end))
        return re.compile("".join(parts), re.IGNORECASE)

    def example(self, placeholder: str) -> str:
        """What the program's tables say of what `placeholder` names, in a few words."""
        kind, _, name = placeholder.strip("{}").partition(":")
        if kind == "key":
            row = key_of(name)
            keys = split_keys(row.keys if row.fixed else self._keymap.get(row.id, row.keys))
            return f"Press {keys and spell_key(keys[0])}."
        if kind == "folder":
            return f"in {getattr(self._paths, name)}"
        if kind == "setting":
            return f"{name} = {_say(default_of(name))}"
        return f"chatapp {name}" if kind == "cli" else name

    def _key(self, key_id: str) -> list[str]:
        row = key_of(key_id)
        keys = split_keys(row.keys if row.fixed else self._keymap.get(row.id, row.keys))
        return [_key_pattern(spell_key(key)) for key in keys] or ["(?!)"]

    def _folder(self, name: str) -> list[str]:
        path = getattr(self._paths, name, None)
        if not isinstance(path, Path):
            raise KeyError(name)
        home = str(Path.home())
        text = str(path)
        short = ["~" + text.removeprefix(home)] if text.startswith(home + "/") else []
        return [re.escape(one) for one in (text, *short)]


def default_of(name: str) -> Any:
    """The default of a setting, by its dotted name. `KeyError` if there is none of that name."""
    section, _, entry = name.partition(".")
    if section == "sampling":
        return {parameter.name: parameter.default for parameter in parameters()}[entry]
    holder = getattr(Config(), section, None)
    if not is_dataclass(holder):
        raise KeyError(name)
    return {one.name: getattr(holder, one.name) for one in fields(holder)}[entry]


def _say(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _setting(name: str) -> list[str]:
    default_of(name)
    section, _, entry = name.partition(".")
    rare = [_whole(entry)] if "_" in entry else []
    word = re.escape(entry)
    return [_whole(name), *rare, rf"` ?{word} ?`", rf"\b{word}\"? ?=", rf"\[{section}\] ?{word}\b"]


def _command(name: str) -> list[str]:
    command = find_command(name.removeprefix("/"))
    if command is None:
        raise KeyError(name)
    return [_whole(f"/{one}") for one in (command.name, *command.aliases)]


def _key_pattern(key: str) -> str:
    """A key as people write it: `Ctrl-R`, `ctrl + r`, `Control+R`; a letter alone in its case; two
    keys one after the other."""
    if " " in key:
        return " ?,? ?(?:then )?".join(_key_pattern(part) for part in key.split(" "))
    if len(key) == 1 and key.isalpha():
        return rf"(?-i:(?<![\w+'’-]){key}(?![\w+'’-])|(?<!\w)'{key}'(?!\w))"
    *modifiers, last = re.split(r"\+(?=.)", key)
    others = _SPELLINGS.get(last)
    if not modifiers and others is not None:
        return _named_key(last, others)
    lasts = "|".join(re.escape(one) for one in (last, *(others or ())))
    before = "".join(f"{_modifier(one)} ?[+-] ?" for one in modifiers)
    return _whole_pattern(f"{before}(?:{lasts})", guard=not modifiers)


def _named_key(name: str, others: tuple[str, ...]) -> str:
    """A key with a name and no modifier."""
    words = "|".join(one.replace(" ", " ?") for one in (name.lower(), *others) if one.isascii())
    shown = [re.escape(name)] if not name.isascii() else []
    shown += [re.escape(one.title()) for one in (name, *others) if name.isascii()]
    found = [
        "(?-i:" + _whole_pattern(f"(?:{'|'.join(shown)})", guard=True) + ")",
        _whole_pattern(rf"(?:{words})[ -](?:key|arrow|bar)", guard=True),
        _whole_pattern(rf"arrow[ -](?:{words})", guard=True),
    ]
    if name in ("Esc", "PgUp", "PgDn"):  # no words of prose
        found.append(_whole_pattern(f"(?:{words})", guard=True))
    return "|".join([*found, *([_CHINESE[name]] if name in _CHINESE else [])])


def _modifier(name: str) -> str:
    return {"Ctrl": "(?:Ctrl|Control)", "Alt": "(?:Alt|Option)"}.get(name, re.escape(name))


def _whole(text: str) -> str:
    return _whole_pattern(re.escape(text))


def _whole_pattern(pattern: str, *, guard: bool = False) -> str:
    """A pattern that is no part of a longer ASCII word or flag; with `guard` no modifier of a key
    stands before it."""
    return rf"(?<![A-Za-z0-9_/{'+' if guard else ''}-]){pattern}(?![A-Za-z0-9_]|-[A-Za-z0-9])"


def _prose(text: str, *, begins: bool = True) -> str:
    """A piece of prose, from the beginning of a word; a number and a flag whole."""
    if begins and (text.isdigit() or text.startswith("-")):
        return _whole(text)
    at = r"(?<![A-Za-z0-9])" if begins and text[:1].isascii() and text[:1].isalnum() else ""
    return at + re.escape(text)
