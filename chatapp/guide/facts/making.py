"""Facts of a program: the topics that hold for it, and a plain sentence for everything else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chatapp.guide.facts.filling import fill, references
from chatapp.guide.facts.program import Language, Program
from chatapp.guide.facts.topics import Topic, read_topics

_CONCEPTS = ("concept", "fault")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is true of the program."""

    ids: tuple[str, ...]
    """Its own id, and those of everything else that it covers."""
    text: Mapping[Language, str]
    """At most some forty words."""
    words: Mapping[Language, str]
    """What it is found by besides its text, the best words first."""
    by_hand: bool = True
    """Not made of a table alone."""

    @property
    def id(self) -> str:
        """`key:stop`, `setting:ui.theme`, `concept:gguf`."""
        return self.ids[0]


def make_facts(program: Program) -> tuple[Fact, ...]:
    """Every fact, those written by hand first.

    A topic that names what the program does not have is left out, and so it is with everything that
    it covered: a plain fact, made of the table's own words, takes its place.
    """
    told = [_tell(topic, program) for topic in read_topics() if _holds(topic, program)]
    covered = {fact_id for fact in told for fact_id in fact.ids}
    return (*told, *(fact for fact in _plain_facts(program) if fact.id not in covered))


def _holds(topic: Topic, program: Program) -> bool:
    kind = topic.id.partition(":")[0]
    is_there = kind in _CONCEPTS or program.has(topic.id)
    return is_there and all(map(program.has, references(topic.en) + references(topic.zh)))


def _tell(topic: Topic, program: Program) -> Fact:
    kinds = [(fact_id, fact_id.partition(":")[0]) for fact_id in topic.covers]
    there = tuple(one for one, kind in kinds if kind in _CONCEPTS or program.has(one))
    names = " ".join(_names(there, program))
    return Fact(
        there,
        {"en": fill(topic.en, program, "en"), "zh": fill(topic.zh, program, "zh")},
        {"en": f"{topic.find} {names}", "zh": topic.zh_find},
    )


def _names(ids: tuple[str, ...], program: Program) -> Iterator[str]:
    """What the rows of a fact are called by those who know them: keys, commands, flags."""
    for fact_id in ids:
        kind, _, name = fact_id.partition(":")
        match kind:
            case "key":
                yield from ("key", *(key for key in program.keys[name].keys if len(key) > 1))
            case "command":
                row = program.commands[name]
                yield from ("command", row.name, *row.aliases)
            case "flag":
                yield from ("flag", program.flags[name].name)
            case "setting":
                yield from ("setting", program.settings[name].name)


def _plain_facts(program: Program) -> Iterator[Fact]:
    """A sentence for every row of every table, with the row's own words."""
    for name, key in program.keys.items():
        place = f" ({key.place})" if key.place else ""
        keys = {one: fill(f"{{key:{name}}}", program, one) for one in _LANGUAGES}
        yield _plain(f"key:{name}", keys["en"] + place, keys["zh"], key.help)
    for name, command in program.commands.items():
        yield _plain(f"command:{name}", command.usage, command.usage, command.help)
    for name, row in program.cli.items():
        yield _plain(f"cli:{name}", row.name, row.name, row.help)
    for name, flag in program.flags.items():
        spelled = f"{program.cli[name.rpartition(' ')[0]].name} {flag.name}"
        yield _plain(f"flag:{name}", spelled, spelled, flag.help)
    for name, setting in program.settings.items():
        english = f"`{setting.name}` under [{setting.section}]"
        english += f" (now {setting.value}, default {setting.default})"
        chinese = f"[{setting.section}] 下的 `{setting.name}`"
        chinese += f"（现在 {setting.value}，默认 {setting.default}）"
        yield _plain(f"setting:{name}", english, chinese, setting.help)
    for name, place in program.folders.items():
        yield _plain(f"folder:{name}", name, name, place)


_LANGUAGES: tuple[Language, ...] = ("en", "zh")


def _plain(fact_id: str, english: str, chinese: str, help_: str) -> Fact:
    words = " ".join(re.findall(r"\w+", fact_id.partition(":")[2].replace("_", " ")))
    return Fact(
        (fact_id,),
        {"en": f"{english}: {help_}", "zh": f"{chinese}：{help_}"},
        {"en": words, "zh": words},
        by_hand=False,
    )
