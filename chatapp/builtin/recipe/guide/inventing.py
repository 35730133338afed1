"""Facts that are nowhere true: of a program with other names, and of wholly invented wishes.

A model that is asked about them can answer from what stands before it alone. That is what it has to
learn, for a person may have given any action any key.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from chatapp.guide.facts import Language, Program

_ENDS = ("", "", "n", "r", "s", "t", "l", "m", "nd", "sh")
_SPECIAL_KEYS = (
    "Enter",
    "Tab",
    "Esc",
    "Space",
    "Del",
    "Home",
    "End",
    "PgUp",
    "PgDn",
    "←",
    "→",
    "↑",
    "↓",
    "Backspace",
    "Ins",
)


@dataclass(frozen=True, slots=True)
class Invented:
    """A fact, with ways of wishing for it and the names that stand in it."""

    text: str
    wishes: tuple[str, ...]
    """Fit behind "how do i"."""
    says: tuple[str, ...]
    """Stand alone."""
    names: tuple[str, ...]


@cache
def read_table(name: str) -> Mapping[str, Any]:
    """The table `name`.toml of this folder."""
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))


class Names:
    """Names of keys, commands, flags and settings that nobody has seen."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        table = read_table("invented")
        self._words, self._syllables = table["words"].split(), table["syllables"].split()

    def word(self) -> str:
        """A word, half of the time one that means nothing."""
        if self._rng.random() < 0.5:
            return str(self._rng.choice(self._words))
        made = "".join(
            self._rng.choice(self._syllables) for _ in range(self._rng.choice((1, 2, 2, 3)))
        )
        return made + self._rng.choice(_ENDS)

    def key(self) -> str:
        """`Ctrl+J`, `F9`, `Alt+Shift+←`, rarely a bare letter."""
        manner = self._rng.random()
        letter = self._rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if manner < 0.4:
            return f"Ctrl+{letter}"
        if manner < 0.65:
            return f"Alt+{letter}"
        if manner < 0.78:
            return f"F{self._rng.randint(1, 12)}"
        if manner < 0.88:
            held = ("Ctrl+Alt", "Ctrl+Shift", "Alt+Shift", "Shift", "Ctrl", "Alt")
            last = (*_SPECIAL_KEYS, letter, f"F{self._rng.randint(1, 12)}")
            return f"{self._rng.choice(held)}+{self._rng.choice(last)}"
        return self._rng.choice((*_SPECIAL_KEYS, letter.lower(), letter, "?", "1", "9"))

    def command(self) -> str:
        """An invented slash command, such as `/zolin`."""
        return f"/{self._joined('-', 0.1)}"

    def flag(self) -> str:
        """An invented flag, such as `--keep-last`."""
        return f"--{self._joined('-', 0.4)}"

    def setting(self) -> str:
        """An invented setting, such as `max_rows`."""
        return self._joined("_", 0.6)

    def cli(self) -> str:
        """An invented shell command, such as `chatapp pack show`."""
        return f"chatapp {self._joined(' ', 0.4)}"

    def value(self) -> str:
        """As it stands in a file: `"auto"`, `40`, `0.35`, `true`."""
        rng = self._rng
        kinds = (
            f'"{self.word()}"',
            str(
                rng.choice(
                    (0, 1, -1, 2, 5, 8, 10, 16, 30, 64, 100, 200, 512, 4096, rng.randint(3, 9999))
                )
            ),
            f"{rng.randint(0, 200) / 100}",
            rng.choice(("true", "false")),
        )
        return rng.choice(kinds)

    def path(self) -> str:
        """An invented path, such as `~/.config/zolin/rows.toml`."""
        parts = "/".join(self.word() for _ in range(self._rng.randint(1, 3)))
        root = self._rng.choice(("~/.local/share/", "~/.config/", "/srv/", "~/", "/mnt/"))
        return root + parts + self._rng.choice(("", "", ".db", ".toml", ".log", "/models"))

    def _joined(self, by: str, chance: float) -> str:
        more = self._rng.random() < chance
        return self.word() + (by + self.word() if more else "")


def rename(program: Program, rng: Random) -> Program:
    """The same program with other keys, names, values and places."""
    names = Names(rng)
    return Program(
        keys={
            one: replace(row, keys=tuple(names.key() for _ in row.keys))
            for one, row in program.keys.items()
        },
        commands={
            one: replace(row, name=(name := names.command()), usage=name, aliases=())
            for one, row in program.commands.items()
        },
        cli={
            one: replace(row, name="chatapp" if one == "chatapp" else names.cli())
            for one, row in program.cli.items()
        },
        flags={
            one: replace(row, name=(name := names.flag()), names=(name,))
            for one, row in program.flags.items()
        },
        settings={
            one: replace(
                row,
                name=names.setting(),
                section=names.word(),
                value=names.value(),
                default=names.value(),
            )
            for one, row in program.settings.items()
        },
        folders={one: names.path() for one in program.folders},
    )


class Inventor:
    """Makes facts of things that no program does."""

    def __init__(self, rng: Random, words: Sequence[str]) -> None:
        """`words` are nouns besides those of the table."""
        self._rng, self._words = rng, words
        self._table = read_table("invented")
        names = Names(rng)
        self._draws = {
            "key": names.key,
            "key2": names.key,
            "cmd": names.command,
            "cli": names.cli,
            "flag": names.flag,
            "setting": names.setting,
            "section": names.word,
            "value": names.value,
            "value2": names.value,
            "value3": names.value,
            "path": names.path,
        }

    def group(self, count: int, language: Language) -> list[Invented]:
        """Facts that are told apart by a word: some share the verb of the first, some its thing."""
        verb, thing = self._verb(language), self._thing(language)
        made = [self._make(verb, thing, language)]
        for _ in range(count - 1):
            manner = self._rng.random()
            other = self._verb(language), self._thing(language)
            made.append(
                self._make(
                    verb if manner < 0.25 else other[0],
                    thing if 0.25 <= manner < 0.5 and verb != other[0] else other[1],
                    language,
                )
            )
        return [one for at, one in enumerate(made) if not at or self._differs(one, made[0])]

    @staticmethod
    def _differs(one: Invented, other: Invented) -> bool:
        return not set(one.wishes) & set(other.wishes) and one.text != other.text

    def _verb(self, language: Language) -> str:
        return str(self._rng.choice(self._table["verbs" if language == "en" else "zh_verbs"]))

    def _thing(self, language: Language) -> str:
        rng, table = self._rng, self._table
        if language == "zh":
            kind = rng.choice(table["zh_kinds"]) if rng.random() < 0.3 else ""
            return kind + str(rng.choice(table["zh_nouns"]))
        noun = rng.choice(table["nouns"]) if rng.random() < 0.5 else rng.choice(self._words)
        return f"{rng.choice(table['kinds'])} {noun}" if rng.random() < 0.35 else str(noun)

    def _make(self, verb: str, thing: str, language: Language) -> Invented:
        rng, table, prefix = self._rng, self._table, "" if language == "en" else "zh_"
        fields = {name: draw() for name, draw in self._draws.items()}
        fields |= {"thing": thing, "thing2": self._thing(language)}
        if language == "en":
            (v, s, p), others = (part.split() for part in verb.split(", "))
            fields |= {"v": v, "s": s, "p": p, "place": rng.choice(table["places"])}
            fields |= {
                "s2": self._verb("en").split()[1],
                "which": rng.choice(("which key", "which command", "what")),
            }
            fields["place_"] = fields["place"].capitalize()
            words = [v, v, *others]
        else:
            words = verb.split()
            fields["v"] = words[0]
        template = rng.choice(table[f"{prefix}facts"])
        template = template.replace("{tail}", rng.choice(table[f"{prefix}tails"]))
        wishes = [one.format(**fields, w=word) for one in table[f"{prefix}asks"] for word in words]
        says = [one.format(**fields, w=words[0]) for one in table[f"{prefix}says"]]
        used = [
            fields[name]
            for name in ("key", "cmd", "cli", "flag", "setting")
            if f"{{{name}}}" in template
        ]
        return Invented(template.format(**fields), tuple(wishes), tuple(says), tuple(used))
