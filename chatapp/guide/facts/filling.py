"""Names of keys, commands and settings in a sentence: `{key:stop}` becomes `Esc`.

`{value:ui.theme}` and `{default:ui.theme}` are what a setting is and would be.
"""

import re
from collections.abc import Sequence

from chatapp.guide.facts.program import Language, Program

REFERENCE = re.compile(r"\{(key|command|cli|flag|setting|value|default|folder):([^{}]+)\}")

_OR: dict[Language, str] = {"en": " or ", "zh": " 或 "}
_NO_KEY: dict[Language, str] = {
    "en": "a key that you set as `{}` under [keys]",
    "zh": "你在 [keys] 里为 `{}` 设的键",
}
_PLACE: dict[Language, str] = {"en": "`{}` under [{}]", "zh": "[{1}] 下的 `{0}`"}


def references(sentence: str) -> list[str]:
    """The ids that a sentence needs; a value needs its setting."""
    kinds = {"value": "setting", "default": "setting"}
    return [f"{kinds.get(kind, kind)}:{name}" for kind, name in REFERENCE.findall(sentence)]


def fill(sentence: str, program: Program, language: Language) -> str:
    """The sentence with what each reference stands for; `KeyError` where nothing has that id."""
    return REFERENCE.sub(lambda found: _spell(found[1], found[2], program, language), sentence)


def _spell(kind: str, name: str, program: Program, language: Language) -> str:
    match kind:
        case "key":
            keys = program.keys[name].keys
            return join(keys, language) if keys else _NO_KEY[language].format(name)
        case "command":
            return program.commands[name].name
        case "cli":
            return program.cli[name].name
        case "flag":
            return program.flags[name].name
        case "setting":
            row = program.settings[name]
            return _PLACE[language].format(row.name, row.section)
        case "value":
            return program.settings[name].value
        case "default":
            return program.settings[name].default
    return program.folders[name]


def join(names: Sequence[str], language: Language) -> str:
    """The words as a list that is read aloud: `A, B or C`."""
    *first, last = names
    comma = ", " if language == "en" else "、"
    return comma.join(first) + _OR[language] + last if first else last
