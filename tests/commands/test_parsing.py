"""What is text, what is a command, and what is neither sent nor done."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatapp.engine
from chatapp.commands import Invocation, Misused, Text, Unknown, find_command, parse
from chatapp.commands.parsing import ECHO_DIRECTIVES, read_switch
from chatapp.commands.table import COMMANDS, MANY_LINES, command_names


def invoke(name: str, args: str = "") -> Invocation:
    command = find_command(name)
    assert command is not None
    return Invocation(command, args)


@pytest.mark.parametrize(
    ("text", "name", "args"),
    [
        ("/help", "help", ""),
        ("/?", "help", ""),
        ("/", "help", ""),
        ("  /HELP  ", "help", ""),
        ("/help set", "help", "set"),
        ("/set temperature 0.7", "set", "temperature 0.7"),
        ("/set\ttemperature", "set", "temperature"),
        ("/persona pirate", "preset", "pirate"),
        ("/ctx 3", "context", "3"),
        ("/raw", "raw", ""),
        ("/raw OFF", "raw", "OFF"),
        ("/system Be brief.\nAnswer in French.", "system", "Be brief.\nAnswer in French."),
        ("/system\nBe brief.", "system", "Be brief."),
        ('/set grammar root ::= "a"\n  | "b"', "set", 'grammar root ::= "a"\n  | "b"'),
        ("/export notes/my chat.md", "export", "notes/my chat.md"),
        ("exit", "quit", ""),
        (" Quit\n", "quit", ""),
        (":q", "quit", ""),
        (":wq", "quit", ""),
    ],
)
def test_commands_are_read(text: str, name: str, args: str) -> None:
    assert parse(text) == invoke(name, args)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "/etc/fstab is broken",
        "/usr/bin/env python\nprint(1)",
        "/help/me",
        "/* a comment */\nint main() {}",
        "/ 2 is a half",
        "/2",
        "// a comment\nint main() {}",
        "/// a doc comment\nfn main() {}",
        "////// a line",
        "say /help",
        "hello\n/help",
        "exit the program",
        "quit\nor not",
        ":w",
        "",
        "/notes.txt",
        "/_private",
    ],
)
def test_text_is_sent_as_it_is(text: str) -> None:
    assert parse(text) == Text(text)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("//help", "/help"),
        ("//etc/fstab", "/etc/fstab"),
        ("//quit now\nor later", "/quit now\nor later"),
        ("//", "/"),
        ("///x", "//x"),
        ("//2", "/2"),
    ],
)
def test_a_doubled_slash_sends_one(text: str, sent: str) -> None:
    assert parse(text) == Text(sent)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("/hlep", "help"),
        ("/regen", "regenerate"),
        ("/tepmlate", "template"),
        ("/quit!", "quit"),
        ("/xyzzy 5", ""),
        ("/prüfe das", ""),
        ("/tmp", ""),
        ("/hepl me\nmore", "help"),
    ],
)
def test_what_is_no_command_is_not_sent(text: str, nearest: str) -> None:
    found = parse(text)
    assert isinstance(found, Unknown)
    assert found.nearest == nearest
    assert f"//{found.name} sends it" in found.hint
    assert f"/{found.name}" in found.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/help\nI typed this and nothing came", "/help takes one line"),
        ("/copy\nall", "/copy takes one line"),
        ("/quit now", "/quit takes nothing behind it."),
        ("/raw maybe", "/raw takes `on` or `off`."),
        ("/context 0", "/context takes a number above 0."),
        ("/context ²", "/context takes a number above 0."),
        ("/context " + "9" * 5000, "/context takes a number above 0."),
        ("/attach", "/attach wants a file."),
        ("/template", "/template wants a name."),
    ],
)
def test_a_command_that_would_lose_something_is_not_done(text: str, message: str) -> None:
    found = parse(text)
    assert isinstance(found, Misused)
    assert found.message.startswith(message)
    assert "//" in found.hint


def test_the_echo_engines_own_words_pass() -> None:
    for text in ("/words 50", "/think a while", "/die", "/markdown\n/delay 3"):
        assert parse(text, passes=ECHO_DIRECTIVES) == Text(text)
    assert parse("/help", passes=ECHO_DIRECTIVES) == invoke("help")
    assert isinstance(parse("/words 50"), Unknown)
    assert parse("/think off") == invoke("think", "off")


def test_the_echo_engines_words_are_those_it_obeys() -> None:
    source = Path(chatapp.engine.__path__[0], "echo.py").read_text(encoding="utf-8")
    assert set(re.findall(r'case "/(\w+)"', source)) == ECHO_DIRECTIVES


def test_every_name_is_one_commands() -> None:
    names = command_names()
    assert len(names) == len({name.lower() for name in names})
    assert len(names) == sum(1 + len(command.aliases) for command in COMMANDS)
    for command in COMMANDS:
        assert command.help.endswith(".")
        assert parse(f"/{command.name} x\ny") != Text(f"/{command.name} x\ny")


def test_a_switch_is_read() -> None:
    assert [read_switch(args) for args in ("on", "OFF", "")] == [True, False, None]


@given(st.text(alphabet=st.sampled_from("/ab \n:q.-?é")) | st.text())
def test_nothing_is_lost(text: str) -> None:
    found = parse(text)
    match found:
        case Text(sent):
            assert sent == text or "/" + sent == text.strip()
        case Invocation(command, args):
            assert "\n" not in args or command.takes in MANY_LINES
            assert text.strip().endswith(args)
        case Unknown() | Misused():
            assert text.strip().startswith("/")


@given(st.text(alphabet=st.sampled_from("/abhelp \n*2")))
def test_every_text_can_be_sent(text: str) -> None:
    wanted = text.strip()
    ways = [parse(wanted), parse("/" + wanted)]
    assert wanted == "" or Text(wanted) in ways
