"""What may come next while a command is typed."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.commands.arguments import PresetCall, read_preset_call, refuse_text
from chatapp.commands.completion import MOST_FILES, Completion, Sources, complete, list_files
from chatapp.commands.table import COMMANDS, Takes
from chatapp.errors import UsageError
from chatapp.presets.shelf import read_shelf

SOURCES = Sources(
    models=lambda: [("builtin", "9 M"), ("qwen3.gguf", "4 B"), ("Smol LM.gguf", "135 M")],
    presets=lambda: read_shelf(Path("nosuch")).presets.values(),
    tags=lambda: [("work", "3 chats"), ("home", "")],
    themes=lambda: [("light", ""), ("dark", "")],
)


def texts(text: str, cursor: int | None = None, sources: Sources = SOURCES) -> list[str]:
    found = complete(text, len(text) if cursor is None else cursor, sources)
    return [one.text for one in found.candidates] if found else []


def after(text: str, choice: int = 0, sources: Sources = SOURCES) -> str:
    found = complete(text, len(text), sources)
    assert found is not None
    return text[: found.start] + found.candidates[choice].text + text[found.end :]


def test_a_slash_offers_every_command() -> None:
    assert texts("/") == [
        f"/{one.name}{'' if one.takes is Takes.NOTHING else ' '}" for one in COMMANDS
    ]
    found = complete("/", 1, SOURCES)
    assert found is not None
    assert all(one.help and one.shown.startswith("/") for one in found.candidates)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("/hel", ["/help "]),
        ("/PRE", ["/preset "]),
        ("/pers", ["/persona "]),
        ("/set top_", ["top_k ", "top_p ", "top_n_sigma "]),
        ("/set think m", ["medium"]),
        ("/set temperature ", ["0.8", "reset"]),
        ("/set n_ctx ", ["reset"]),
        ("/set samplers dry top", ["top_n_sigma ", "top_k ", "top_p "]),
        ("/think hi", ["high"]),
        ("/raw o", ["on", "off"]),
        ("/raw on ", []),
        ("/preset t", ["translate ", "write "][:1]),
        ("/preset translate ", ["to="]),
        ("/preset translate to=German ", []),
        ("/preset nosuch ", []),
        ("/template answer te", ["text="]),
        ("/model q", ["qwen3.gguf"]),
        ("/model smol l", ["Smol LM.gguf"]),
        ("/theme l", ["light"]),
        ("/tag work h", ["home "]),
        ("/help se", ["set", "search", "preset"]),
        ("/system r", ["reset"]),
        ("/copy a", ["all"]),
        ("/new ", []),
        ("/nosuch a", []),
        ("hello /he", []),
        ("", []),
        ("//he", []),
        ("/etc/f", []),
        ("/system a\n/he", []),
    ],
)
def test_what_may_follow_is_offered(text: str, offered: list[str]) -> None:
    found = texts(text)
    assert found[: len(offered)] == offered
    assert bool(found) == bool(offered)


def test_the_part_under_the_cursor_is_replaced() -> None:
    assert after("/sys") == "/system "
    assert after("  /think hi") == "  /think high"
    assert after("/model smol") == "/model Smol LM.gguf"
    assert after("/preset translate t") == "/preset translate to="
    found = complete("/he me", 3, SOURCES)
    assert found is not None
    assert (found.start, found.end) == (0, 3)


def test_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "my chat.md").write_text("")
    (tmp_path / "Note.txt").write_text("")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "line\nbreak").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    here = Sources(folder=tmp_path)
    assert texts("/attach ", sources=here) == ["notes/", "loop", "Note.txt"]
    assert texts("/export no", sources=here) == ["notes/", "Note.txt"]
    assert after("/save notes/my c", sources=here) == "/save notes/my chat.md"
    assert texts("/attach .h", sources=here) == [".hidden"]
    assert texts("/schema of", sources=here) == ["off"]
    assert texts(f"/attach {tmp_path}/N", sources=here) == [
        f"{tmp_path}/notes/",
        f"{tmp_path}/Note.txt",
    ]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert texts("/attach ~/No", sources=here) == ["~/notes/", "~/Note.txt"]
    assert texts("/attach gone/x", sources=here) == []
    for number in range(MOST_FILES + 5):
        (tmp_path / "notes" / f"{number}").write_text("")
    assert len(list_files("notes/", tmp_path)) == MOST_FILES


@pytest.mark.parametrize(
    ("args", "call"),
    [
        ("", PresetCall("")),
        ("pirate", PresetCall("pirate")),
        ('"my preset" a=1', PresetCall("my preset", {"a": "1"})),
        (
            'pirate name="Ann \\"B\\" {x}" b=\'c d\' e=',
            PresetCall("pirate", {"name": 'Ann "B" {x}', "b": "c d", "e": ""}),
        ),
        (
            "translate to=German Good morning\nx=1",
            PresetCall("translate", {"to": "German"}, "Good morning\nx=1"),
        ),
        ("t größe=1 2=3", PresetCall("t", {"größe": "1"}, "2=3")),
    ],
)
def test_a_preset_is_called_with_values(args: str, call: PresetCall) -> None:
    assert read_preset_call(args) == call


def test_what_gives_no_value_is_named() -> None:
    with pytest.raises(UsageError, match="given twice"):
        read_preset_call("pirate a=1 a=2")
    with pytest.raises(UsageError, match="gives no variable a value"):
        refuse_text(read_preset_call("pirate Ann Bonny"))
    refuse_text(read_preset_call("pirate name=Ann"))


_LINES = st.text(alphabet="/abehsort =\n\"'~._") | st.builds(
    lambda command, rest: f"/{command.name} {rest}", st.sampled_from(COMMANDS), st.text()
)


@given(_LINES, st.integers(0, 40))
def test_whatever_is_typed_can_be_completed(text: str, cursor: int) -> None:
    cursor = min(cursor, len(text))
    found: Completion | None = complete(text, cursor, SOURCES)
    if found is not None:
        assert 0 <= found.start <= found.end == cursor
        assert found.candidates
    with contextlib.suppress(UsageError):  # a variable that is given twice
        assert read_preset_call(text[cursor:]).text in text
