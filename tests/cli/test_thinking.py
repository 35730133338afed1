"""Thoughts on the command line: a line on stderr, or all of them; asked for, bounded, or alone."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from chatapp.parts import reasoning_of
from chatapp.store import Store
from tests.cli.conftest import COMMAND, Run

ROOT = Path(__file__).parents[2]
QUESTION = "/think 40\n/delay 0\n/words 3"
SUMMARY = re.compile(r"chatapp: thought for \d+\.\d s \(\d+ tokens\)\n")
ALONE = "The model thought and gave no answer."


def test_the_thoughts_are_one_line_where_nobody_watches(chatapp: Run) -> None:
    done = chatapp("ask", QUESTION)
    assert (done.returncode, done.stdout) == (0, "word1 word2 word3\n")
    assert SUMMARY.fullmatch(done.stderr)


def test_nothing_is_said_where_nothing_was_thought(chatapp: Run) -> None:
    assert chatapp("ask", "/words 3").stderr == ""


def test_the_thoughts_are_shown_when_asked_for(chatapp: Run) -> None:
    done = chatapp("ask", "--show-thinking", "/think a \x1b[2Jquiet hum\n/words 3")
    assert done.stdout == "word1 word2 word3\n"
    shown, _, rest = done.stderr.partition("\n")
    assert shown == "a quiet hum"
    assert SUMMARY.fullmatch(rest)


def test_a_terminal_shows_how_many_tokens_and_then_one_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, "ask", "/think 40\n/delay 2\n/words 3"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )
    os.close(follower)
    seen = b""
    try:
        while piece := os.read(leader, 4096):
            seen += piece
    except OSError:  # the other side was closed: Linux says so with EIO
        pass
    os.close(leader)
    answer, _ = child.communicate(timeout=60)
    assert (child.returncode, answer) == (0, b"word1 word2 word3\n")
    text = seen.decode().replace("\r\n", "\n")
    counts = [int(count) for count in re.findall(r"\r\x1b\[Kthinking… (\d+) tokens", text)]
    assert counts == sorted(set(counts))
    assert len(counts) > 1
    assert SUMMARY.fullmatch(text.rpartition("\r\x1b[K")[2])


def test_json_has_the_thoughts_and_their_tokens(chatapp: Run) -> None:
    done = chatapp("ask", "--json", "--n", "2", "/think hm\n/words 1")
    answer = json.loads(done.stdout)
    assert (answer["text"], answer["reasoning"].strip()) == ("word1", "hm")
    assert [one["reasoning"].strip() for one in answer["alternatives"]] == ["hm"] * 2
    usage = answer["usage"]
    assert 0 < usage["reasoning_tokens"] < usage["completion_tokens"]


@pytest.mark.parametrize("flags", [[], ["--json"], ["--n", "2"]])
def test_an_answer_that_is_only_thoughts_is_a_failure_that_is_explained(
    chatapp: Run, home: Path, flags: list[str]
) -> None:
    done = chatapp("ask", *flags, "/think hm\n/words 0")
    assert done.returncode == 1
    assert f"chatapp: {ALONE}\n  Try --think off" in done.stderr
    if flags == ["--json"]:
        assert json.loads(done.stdout)["reasoning"].strip() == "hm"
    elif not flags:
        assert done.stdout == ""
    with Store.open(home / "history.db") as store:  # kept all the same
        assert reasoning_of(store.get_path(1)[-1].parts).strip() == "hm"


@pytest.mark.parametrize("flags", [[], ["--json"], ["--n", "2"]])
def test_an_empty_answer_is_a_failure_that_is_said(chatapp: Run, flags: list[str]) -> None:
    done = chatapp("ask", *flags, "/words 0")
    assert done.returncode == 1
    assert "chatapp: The model gave an empty answer.\n" in done.stderr


def test_no_answer_is_none_where_none_was_wanted(chatapp: Run) -> None:
    done = chatapp("ask", "--max-tokens", "0", "/words 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_limit_that_cuts_the_thoughts_is_named(chatapp: Run) -> None:
    done = chatapp("ask", "--max-tokens", "60", QUESTION)
    assert (done.returncode, done.stdout) == (1, "")
    assert "thought until the limit of tokens was reached, and gave no answer." in done.stderr
    assert "a larger --max-tokens" in done.stderr


def test_the_flag_comes_before_the_setting(chatapp: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[chat]\nthink = false\n")
    quiet = json.loads(chatapp("ask", "--json", QUESTION).stdout)
    loud = json.loads(chatapp("ask", "--json", "--think", "on", QUESTION).stdout)
    as_itself = json.loads(chatapp("ask", "--json", "--think", "", QUESTION).stdout)
    assert quiet["reasoning"] == ""
    assert loud["reasoning"].startswith("thought1 thought2")
    assert as_itself["reasoning"] == loud["reasoning"]
    with Store.open(home / "history.db") as store:
        stored = [store.get_path(chat)[-1].generation for chat in (1, 2, 3)]
    assert [json.loads(one.params_json)["think"] for one in stored if one] == ["off", "on", None]


@pytest.mark.parametrize("command", [["ask", "hi"], []])
def test_what_does_not_say_how_much_is_refused(chatapp: Run, command: list[str]) -> None:
    done = chatapp(*command[:1], "--think", "hgih", *command[1:])
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "'hgih' does not say how much to think." in said
    assert "on, off, low, medium, high, or the most tokens" in said
