"""The held-out questions of the guide: their form, their ids, and that none was trained on."""

import argparse
import importlib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pytest

from chatapp.builtin.recipe.guide.written import read_near, read_tasks, read_written
from chatapp.commands.table import find_command
from chatapp.config import Config
from chatapp.guide.retrieval.examples import read_examples
from chatapp.paths import Paths
from chatapp.ui.key_row import split_keys
from chatapp.ui.keymap import key_of, movable_ids
from tests.guide.names import CONCEPTS, FAULTS
from tests.guide.nearness import find_near, find_twins, plain, read_training
from tests.guide.needs import (
    BEYOND,
    HELDOUT,
    HELDOUT_ZH,
    Filling,
    default_of,
    is_right,
    placeholders,
    read_lines,
)

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "chatapp" / "builtin" / "recipe"
TRAINING = ("chat/**/*.jsonl", "guide/**/*.jsonl")
"""Below the recipe: whatever is trained on."""
KINDS = {"trivia", "task", "smalltalk", "near"}
SAME = 0.2
"""Two held-out questions that are no further apart are one."""
PATHS = Paths(data=Path("/d/data"), config=Path("/d/config"), state=Path("/d/state"))


@cache
def lines(path: Path) -> list[dict[str, Any]]:
    return read_lines(path)


@pytest.mark.parametrize(("path", "least"), [(HELDOUT, 450), (HELDOUT_ZH, 120), (BEYOND, 520)])
def test_there_are_enough(path: Path, least: int) -> None:
    assert len(lines(path)) >= least


@pytest.mark.parametrize("path", [HELDOUT, HELDOUT_ZH])
def test_questions_have_the_form(path: Path) -> None:
    for line in lines(path):
        assert set(line) == {"ask", "facts", "needs"}, line
        assert 1 <= len(line["ask"]) <= 3, line
        assert line["facts"], line
        assert line["needs"], line
        texts = [*line["ask"], *chain(*line["facts"], *line["needs"])]
        assert all(isinstance(text, str) and text == text.strip() != "" for text in texts), line
        assert all(line["facts"]), line
        assert all(line["needs"]), line


def test_what_is_beyond_has_the_form() -> None:
    for line in lines(BEYOND):
        assert set(line) == {"ask", "kind"}, line
        assert all(text.strip() for text in line["ask"]), line
    kinds = [line["kind"] for line in lines(BEYOND)]
    assert set(kinds) == KINDS
    assert kinds.count("near") >= 60
    assert len(kinds) - kinds.count("smalltalk") >= 500


@pytest.mark.parametrize("path", [HELDOUT, HELDOUT_ZH])
def test_every_id_is_one_of_the_program(path: Path) -> None:
    wrong = set()
    for line in lines(path):
        ids = {one for part in line["facts"] for one in part}
        ids |= {one for part in line["needs"] for text in part for one in placeholders(text)}
        wrong |= {one for one in ids if not _exists(one)}
    assert not wrong


@pytest.mark.parametrize("path", [HELDOUT, HELDOUT_ZH])
def test_needs_are_met_by_the_rows_of_the_facts(path: Path) -> None:
    """What the program's own tables say of the facts of a question is a right answer to it, where
    tables are all that it asks for, with the user's own keys, too."""
    moved = {key_id: f"f{20 + i % 4}" for i, key_id in enumerate(movable_ids())}
    for keymap in ({}, moved):
        filling = Filling(PATHS, Config(), keymap)
        wrong = []
        for line in lines(path):
            for facts, needs in zip(line["facts"], line["needs"], strict=False):
                wanted = [f"{{{one}}}" for one in facts if one.partition(":")[0] in _TABLES]
                if wanted and any(_is_placeholder(text) for text in needs):
                    met = any(_meets(filling, text, needs) for text in wanted)
                    wrong += [] if met else [(line["ask"], wanted, needs)]
        assert not wrong


def _is_placeholder(text: str) -> bool:
    return [text[1:-1]] == placeholders(text)


def _meets(filling: Filling, wanted: str, needs: list[str]) -> bool:
    row = filling.example(wanted)
    return any(filling.pattern(text).search(row) for text in needs)


@pytest.mark.parametrize(
    ("answer", "needs", "right"),
    [
        ("Press Ctrl+R.", ["{key:regenerate}"], True),
        ("Press ctrl - r, or /retry", ["{key:regenerate}"], True),
        ("Write `/retry`.", ["{command:/regenerate}"], True),
        ("Press Ctrl+R.", ["{key:continue}"], False),
        ("Press Alt+C.", ["{key:message_copy}"], False),
        ("Press `c`.", ["{key:message_copy}"], True),
        ("it's there", ["{key:code_save}"], False),
        ("You can delete the chat.", ["{key:delete}"], False),
        ("Press Del there.", ["{key:delete}"], True),
        ("Press the Delete key.", ["{key:delete}"], True),
        ("Look it up.", ["{key:recall}"], False),
        ("The up arrow.", ["{key:recall}"], True),
        ("Alt+↑ marks it.", ["{key:recall}"], False),
        ("Alt+Up marks it.", ["{key:mark_up}"], True),
        ("Page Up scrolls.", ["{key:page_up}"], True),
        ("Ctrl+X Ctrl+E", ["{key:editor}"], True),
        ("Ctrl+E", ["{key:editor}"], False),
        ("Use `--json`.", ["{flag:ask --json}"], True),
        ("Use `--json-lines`.", ["{flag:ask --json}"], False),
        ("chatapp models pull smollm2", ["{cli:models pull}"], True),
        ("chatapp models", ["{cli:models pull}"], False),
        ('`enter = "newline"` under [ui]', ["{setting:ui.enter}"], True),
        ("Press enter.", ["{setting:ui.enter}"], False),
        ("It is 30 days.", ["{default:history.keep_deleted_days} days"], True),
        ("It is 300 days.", ["{default:history.keep_deleted_days} days"], False),
        ("in /d/data/models/", ["{folder:models}"], True),
        ("A quantised file.", ["quanti"], True),
        ("Nothing was unquantised", ["quanti"], False),
        ("--context", ["-c"], False),
        ("按回车键发送", ["{key:send}"], True),
    ],
)
def test_an_answer_is_judged(answer: str, needs: list[str], right: bool) -> None:
    assert is_right(answer, [needs], PATHS) is right


def test_an_answer_is_judged_by_the_users_own_keys() -> None:
    moved = {"regenerate": "f5,ctrl+y", "copy": ""}
    assert is_right("F5", [["{key:regenerate}"]], PATHS, keymap=moved)
    assert not is_right("Ctrl+R", [["{key:regenerate}"]], PATHS, keymap=moved)
    assert not is_right("Alt+C", [["{key:copy}"]], PATHS, keymap=moved)
    both = [["{key:regenerate}"], ["{command:/copy}"]]
    assert is_right("Ctrl+Y, then /copy", both, PATHS, keymap=moved)
    assert not is_right("Ctrl+Y", both, PATHS, keymap=moved)


@pytest.mark.parametrize("path", [HELDOUT, HELDOUT_ZH, BEYOND])
def test_no_question_is_there_twice(path: Path) -> None:
    asked = [" ".join(line["ask"]) for line in lines(path)]
    assert not [(pair.question, pair.other) for pair in find_twins(asked, SAME)]


def written_questions() -> set[str]:
    """What was written for the facts, and the examples that they are found by."""
    written = read_written().values()
    asked = {one for each in written for language in each.asked.values() for one in language}
    follows = {one for each in written for pair in each.follow for one in pair}
    beyond = {one for each in (read_near(), read_tasks()) for told in each.values() for one in told}
    return asked | follows | beyond | {one for each in read_examples().values() for one in each}


@pytest.mark.parametrize("path", [HELDOUT, HELDOUT_ZH, BEYOND])
def test_no_question_is_near_one_that_was_trained_on(path: Path) -> None:
    """Small talk is left out: everybody says hello."""
    trained = read_training(RECIPE, TRAINING) | written_questions()
    asked = [
        text for line in lines(path) if line.get("kind") != "smalltalk" for text in line["ask"]
    ]
    near = [f"{pair.question} ({pair.distance:.2f})" for pair in find_near(asked, trained)]
    assert not near


def test_nearness_finds_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "How do I copy an answer?"},'
        ' {"role": "assistant", "content": "where are my chats"}]}\n{"ask": ["one", "two more"]}\n'
    )
    trained = read_training(tmp_path, ["*.jsonl"])
    assert trained == {"How do I copy an answer?", "one", "two more"}
    asked = ["how do i copy the answer", "where are my chats", "stop it", "Two more!"]
    found = {pair.question: pair.distance for pair in find_near(asked, trained)}
    assert found.keys() == {"how do i copy the answer", "Two more!"}
    assert found["Two more!"] == 0
    assert plain("Ctrl+R – again?") == "ctrl r again"


_TABLES = ("key", "command", "flag", "cli", "setting", "folder")


def _exists(fact: str) -> bool:
    kind, _, name = fact.partition(":")
    if kind in ("concept", "fault"):
        return name in (CONCEPTS if kind == "concept" else FAULTS)
    if kind == "key":
        return bool(split_keys(key_of(name).keys))
    if kind == "command":
        return find_command(name.removeprefix("/")) is not None
    if kind == "cli":
        return name == "chatapp" or _find(name) is not None
    if kind == "flag":
        command, _, flag = name.partition(" --")
        return f"--{flag}" in _flags(command)
    if kind in ("setting", "default"):
        return name == "templates" or _is_setting(name)
    return kind == "folder" and isinstance(getattr(PATHS, name, None), Path)


def _is_setting(name: str) -> bool:
    try:
        default_of(name)
    except KeyError:
        return False
    return True


@cache
def _find(name: str) -> click.Command | None:
    from chatapp.cli import root

    command: click.Command | None = root
    for word in name.split() if name != "chatapp" else []:
        if not isinstance(command, click.Group):
            return None
        command = command.get_command(click.Context(command), word)
    return command


_PARSERS = {
    "convert": "convert.cli",
    "quantize": "convert.requantize",
    "inspect": "convert.inspection",
    "diff": "convert.comparison",
}
"""The converter's commands read their own flags."""


def _flags(command: str) -> Iterator[str]:
    if command in _PARSERS:
        parser = importlib.import_module(_PARSERS[command])._parser()
        assert isinstance(parser, argparse.ArgumentParser)
        yield from parser._option_string_actions
    elif (found := _find(command)) is not None:
        yield from (flag for parameter in found.params for flag in parameter.opts)
        if isinstance(found, click.Group) and command != "chatapp":
            # One of its commands is meant where none is named.
            for name in found.list_commands(click.Context(found)):
                yield from _flags(f"{command} {name}")
