"""Facts are true of the program as it is configured, short, and there for all of it."""

import re
from dataclasses import replace

from chatapp.cli.program import read_program
from chatapp.config import Config, UiConfig
from chatapp.guide.facts import Program, SettingRow, make_facts
from chatapp.guide.facts.filling import references
from chatapp.guide.facts.topics import read_topics
from chatapp.guide.retrieval.finding import searched
from tests.guide.program import PATHS, program_with_keys, real_guide, real_program

SOME = 5
TEN = {
    "stop": "f9",
    "regenerate": "ctrl+y",
    "new": "f10",
    "models": "alt+m",
    "sidebar": "alt+s",
    "search": "f8",
    "quit": "alt+q",
    "theme": "alt+l",
    "copy": "alt+x",
    "rename": "f11",
}


def text_of(fact_id: str, program: Program, language: str = "en") -> str:
    facts = [fact for fact in make_facts(program) if fact_id in fact.ids]
    return "\n".join(fact.text[language] for fact in facts)  # type: ignore[index]


def test_what_is_written_by_hand_is_of_this_program() -> None:
    """A topic that names what is not there is never told, so a few may wait for their mending."""
    program = real_program()
    named = {one for topic in read_topics() for one in topic.covers}
    named |= {one for topic in read_topics() for one in references(topic.en + topic.zh)}
    tables = {one for one in named if one.partition(":")[0] not in ("concept", "fault")}
    assert len(gone := {one for one in tables if not program.has(one)}) <= SOME, gone


def test_there_is_one_fact_for_everything() -> None:
    ids = [fact_id for fact in make_facts(real_program()) for fact_id in fact.ids]
    assert len(ids) == len(set(ids))
    program = real_program()
    kinds = ("key", "command", "cli", "flag", "setting", "folder")
    every = {f"{kind}:{name}" for kind in kinds for name in program.table(kind)}
    assert every <= set(ids)


def test_keys_commands_settings_and_folders_are_spoken_of_by_hand() -> None:
    """In Chinese too, which the tables do not have; what was added lately has their words."""
    covered = {one for topic in read_topics() for one in topic.covers}
    program = real_program()
    of_hand = [f"{kind}:{name}" for kind in ("key", "command") for name in program.table(kind)]
    of_hand += [f"folder:{name}" for name in program.folders]
    of_hand += [f"setting:{n}" for n, row in program.settings.items() if row.section != "sampling"]
    assert len(missing := set(of_hand) - covered) <= SOME, missing


def test_facts_are_short() -> None:
    for topic in read_topics():
        assert len(topic.en.split()) <= 50, topic.id
        assert len(topic.zh) <= 200, topic.id
    for fact in make_facts(real_program()):
        assert "{key:" not in fact.text["en"]
        assert "{" not in fact.text["zh"]


def test_no_key_stands_in_a_sentence_by_its_name() -> None:
    """It would be wrong for who has another. Ctrl+C ends any program, and what cannot be moved is
    told where nothing else helps."""
    allowed = {"fault:shift_enter", "cli:train resume", "concept:exit_codes"}
    allowed |= {"concept:download_control", "concept:planner", "concept:own_preset"}
    allowed |= {"concept:option_key"}
    written = re.compile(r"\b(?:Ctrl|Alt|Shift)\+|\bF\d+\b|\bEsc\b")
    for topic in read_topics():
        if topic.id not in allowed:
            assert not written.search(topic.en + topic.zh), topic.id


def test_ten_keys_that_were_moved_are_told_as_they_are() -> None:
    program = program_with_keys(**TEN)
    before = real_program()
    for name in TEN:
        new, old = program.keys[name].keys[0], before.keys[name].keys[0]
        for language in ("en", "zh"):
            told = text_of(f"key:{name}", program, language)
            assert new in told
            assert old not in told.split("the old one stays")[0].split()


def test_keys_are_told_however_the_settings_spell_them() -> None:
    assert program_with_keys(models="F5, Ctrl + m").keys["models"].keys == ("F5", "Ctrl+M")


def test_a_key_that_is_switched_off_is_not_told() -> None:
    told = text_of("key:fetch", program_with_keys(fetch=""))
    assert "F4" not in told
    assert "`fetch` under [keys]" in told


def test_enter_that_starts_a_line_is_told_so() -> None:
    program = read_program(replace(Config(), ui=UiConfig(enter="newline")), PATHS)
    assert "Ctrl+J sends the message; Enter starts a new line" in text_of("key:send", program)


def test_settings_are_told_with_their_values_and_defaults() -> None:
    program = read_program(replace(Config(), ui=UiConfig(measure=72)), PATHS)
    assert "`measure` under [ui] (now 72, default 100)" in text_of("setting:ui.measure", program)
    told = text_of("setting:sampling.xtc_threshold", program)
    assert told.startswith("`xtc_threshold` under [sampling] (now 0.1, default 0.1): XTC")


def test_a_setting_of_another_name_is_told_by_that() -> None:
    """What was written by hand about the old name is not said any more."""
    settings = dict(real_program().settings)
    old = settings.pop("ui.measure")
    settings["ui.line_width"] = SettingRow("line_width", "ui", old.help, old.value, old.default)
    facts = make_facts(replace(real_program(), settings=settings))
    said = [fact.text["en"] for fact in facts]
    assert not [text for text in said if "measure under" in text]
    assert [text for text in said if text.startswith("`line_width` under [ui] (now 100")]


def test_what_stands_below_a_setting_in_the_source_is_its_help() -> None:
    assert real_program().settings["ui.measure"].help.startswith("The longest line of prose")


def test_facts_are_made_once() -> None:
    assert real_guide().facts == searched(make_facts(real_program()))
