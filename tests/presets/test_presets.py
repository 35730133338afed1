"""Presets: read strictly, filled, found beside the ready-made ones."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.errors import ConfigError, UsageError
from chatapp.presets.preset import Preset
from chatapp.presets.reading import MAX_BYTES, read_preset
from chatapp.presets.shelf import READY_MADE, read_shelf
from chatapp.presets.values import expand_value
from chatapp.presets.wording import double_braces, fill, fill_some, find_variables

FULL = """
description = "Speak like one at sea"
system = "You are {who}, {tone}."
prompt = '''
Say {{aye}} to {input}, {who}!
'''
think = 500
model = "a.gguf"
schema = "answer.json"

[variables]
tone = "loud"

[sampling]
temperature = 1
stop = ["Arr"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "answer.json").write_text('{"type": "object"}', encoding="utf-8")
    return tmp_path


def write(folder: Path, text: str, name: str = "pirate") -> Path:
    path = folder / f"{name}.toml"
    path.write_bytes(text.encode())
    return path


def test_a_preset_is_read_and_filled(folder: Path) -> None:
    preset = read_preset(write(folder, "\ufeff" + FULL))
    assert (preset.name, preset.description) == ("pirate", "Speak like one at sea")
    assert preset.wanted == ["who", "tone"]
    assert preset.missing == ["who"]
    filled = preset.fill({"who": "Ann {Bonny}"})
    assert filled.system == "You are Ann {Bonny}, loud."
    assert filled.compose("{a} map") == "Say {aye} to {a} map, Ann {Bonny}!"
    assert filled.sampling.given == {
        "temperature": 1.0,
        "json_schema": '{"type": "object"}',
        "stop": ("Arr",),
    }
    assert (filled.think, filled.model) == ("500", "a.gguf")
    assert filled.values == {"who": "Ann {Bonny}", "tone": "loud"}


def test_a_prompt_without_input_stands_above_the_text(folder: Path) -> None:
    filled = read_preset(write(folder, 'prompt = "Count {{to}} three."')).fill({})
    assert filled.compose("slowly {please}") == "Count {to} three.\n\nslowly {please}"
    assert filled.compose("") == "Count {to} three."
    assert not filled.wants_text
    plain = read_preset(write(folder, "")).fill({})
    assert plain.compose("as it is {x}") == "as it is {x}"
    assert plain.wants_text


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("promt = 'a'", "promt is not known", "`prompt`"),
        ("colour = 1", "colour is not known", "A preset has description"),
        ("system = 5", "system must be text in quotes, not 5", ""),
        ("prompt = 'a {b'", "prompt, line 1: `{b` is no variable", "doubled"),
        ("prompt = '''\nok\na } b'''", "prompt, line 2: `} b` is no variable", ""),
        ("prompt = '{a b}'", "`{a b}` is no variable", "{name}"),
        ("prompt = '{}'", "`{}` is no variable", ""),
        ("prompt = '{\"json\": 1}'", "is no variable", "{{ }}"),
        ("system = '{input}'", "system cannot hold {input}", "prompt"),
        ("sampling = 5", "sampling must be a table", "[sampling]"),
        ("[sampling]\ntemprature = 1", "sampling.temprature is not known", "`temperature`"),
        ("[sampling]\ntop_p = 2", "sampling.top_p is 2", ""),
        ("think = 'hard'", "think: 'hard' does not say", "on, off"),
        ("variables = []", "variables must be a table", ""),
        ("[variables]\ninput = 'x'", "variables.input cannot be declared", ""),
        ("[variables]\n'a b' = 'x'", "variables.a b is no name", ""),
        ("[variables]\na = true", "variables.a must be text", ""),
        ("prompt = '{tone}'\n[variables]\ntune = 'x'", "variables.tune is used nowhere", "`tone`"),
        ("schema = '{\"type\":'", "JSON schema", ""),
        ("schema = 'gone.json'", "gone.json cannot be read", ""),
        ("schema = '.'", "is no file", ""),
        ("schema = 5", "schema must be text", ""),
        ("schema = {a = 2020-01-01}", "holds a date", ""),
        ("grammar = ''", "grammar must be text", ""),
        ("grammar = 'a\\u0000b'", "cannot be read", ""),
        ("grammar = 'root ::= x'\nschema = {}", "cannot be used together", ""),
        ("prompt = ", "is not valid TOML", ""),
        ("a = " + "[" * 5000, "is not valid TOML", ""),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, message: str, hint: str) -> None:
    path = write(folder, text.replace("'a\\u0000b'", '"a\\u0000b"'))
    with pytest.raises(ConfigError) as caught:
        read_preset(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_schema_may_stand_in_the_preset(folder: Path) -> None:
    table = read_preset(write(folder, "[schema]\ntype = 'object'\n")).sampling
    text = read_preset(write(folder, 'schema = \'{"type": "object"}\'')).sampling
    assert table == text
    grammar = read_preset(write(folder, "grammar = 'root ::= \"a\"'")).sampling.grammar
    assert grammar == 'root ::= "a"'


def test_what_is_asked_of_a_preset_is_checked() -> None:
    preset = Preset(name="x", path=Path("x.toml"), prompt="{to} {from_} {tone} {input}")
    with pytest.raises(UsageError) as caught:
        preset.fill({"to": "a", "tome": "b"}, how="-p {name}=VALUE")
    assert "no variable `tome`" in caught.value.message
    assert "`tone`" in caught.value.hint
    with pytest.raises(UsageError, match="the message itself"):
        preset.fill({"input": "a"})
    with pytest.raises(UsageError) as caught:
        preset.fill({"to": "a"}, how="-p {name}=VALUE")
    assert "`from_` and `tone`" in caught.value.message
    assert caught.value.hint == "Give it with -p from_=VALUE."


def test_the_five_tasks_are_ready_made(tmp_path: Path) -> None:
    shelf = read_shelf(tmp_path / "nosuch")
    assert list(shelf.presets) == ["answer", "converse", "summarise", "translate", "write"]
    assert shelf.notes == []
    assert all(one.ready_made and one.description for one in shelf.presets.values())
    translated = shelf.find("translate").fill({}).compose("Guten Morgen {x}")
    assert "into English" in translated
    assert translated.endswith("Guten Morgen {x}")
    assert shelf.find("answer").missing == ["text"]
    asked = shelf.find("answer").fill({"text": "It is {red}."}).compose("What colour?")
    assert asked.startswith("It is {red}.")
    assert asked.endswith("What colour?")
    assert {one.name for one in shelf.presets.values() if not one.missing} == {
        "write",
        "translate",
        "summarise",
        "converse",
    }


def test_ones_own_file_takes_the_place_of_a_ready_made_one(folder: Path) -> None:
    write(folder, "description = 'mine'", "translate")
    write(folder, "", "pirate")
    shelf = read_shelf(folder)
    assert shelf.find("translate").description == "mine"
    assert "pirate" in shelf.presets
    write(folder, "oops", "translate")
    shelf = read_shelf(folder)
    with pytest.raises(ConfigError):
        shelf.find("translate")
    assert len(shelf.notes) == 1
    assert "translate is passed over" in shelf.notes[0]


def test_what_cannot_be_read_hides_nothing_else(folder: Path) -> None:
    write(folder, "", "good")
    (folder / "loop.toml").symlink_to("loop.toml")
    (folder / "gone.toml").symlink_to("nosuch.toml")
    (folder / "latin.toml").write_bytes(b"system = '\xff'")
    (folder / "large.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    (folder / "folder.toml").mkdir()
    (folder / ".hidden.toml").write_text("oops")
    (folder / "off.toml").write_text("")
    os.mkfifo(folder / "pipe.toml")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.toml")).write_text("")
    shelf = read_shelf(folder)
    assert "good" in shelf.presets
    assert set(shelf.broken) == {"loop", "gone", "latin", "large", "pipe"}
    assert len(shelf.notes) == 7
    for name in shelf.broken:
        with pytest.raises(ConfigError):
            shelf.find(name)


def test_a_preset_can_be_a_file_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    path = write(folder, "description = 'shared'", "shared")
    shelf = read_shelf(folder / "nosuch")
    assert shelf.find(str(path)) == shelf.find("shared.toml")
    with pytest.raises(ConfigError):
        shelf.find("./gone.toml")
    with pytest.raises(UsageError) as caught:
        shelf.find("sumarise")
    assert "`summarise`" in caught.value.hint
    with pytest.raises(UsageError):
        shelf.find("bad\udcff")


def test_the_folder_may_be_a_file_or_closed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert len(read_shelf(file).presets) == 5
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert len(read_shelf(loop).notes) == 1


def test_the_ready_made_ones_are_files_of_the_package() -> None:
    assert {path.suffix for path in READY_MADE.iterdir()} == {".toml"}


_NAMES = st.sampled_from(["a", "to", "größe", "input"])
_VALUES = st.dictionaries(_NAMES, st.text(alphabet="ab{}\n"))


@given(st.lists(st.text(alphabet="x{}\n "), max_size=4), st.lists(_NAMES, max_size=4), _VALUES)
def test_what_is_put_in_stays_as_it_is(
    texts: list[str], names: list[str], values: dict[str, str]
) -> None:
    pieces = [double_braces(text) + f"{{{name}}}" for text, name in zip(texts, names, strict=False)]
    wording = "".join(pieces)
    assert set(find_variables(wording)) == set(names[: len(pieces)])
    full = {name: values.get(name, "{z}") for name in names}
    said = "".join(text + full[name] for text, name in zip(texts, names, strict=False))
    assert fill(wording, full) == said
    some = fill_some(wording, values)
    assert not set(find_variables(some)) & set(values)
    assert fill(some, full) == "".join(
        text + values.get(name, "{z}") for text, name in zip(texts, names, strict=False)
    )


def test_a_value_may_be_what_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffIt was {Ann}.\n\n".encode())
    (tmp_path / "latin.txt").write_bytes(b"\xff")
    assert expand_value("text", "@a.txt", tmp_path) == "It was {Ann}."
    assert expand_value("text", f"@{tmp_path}/a.txt", Path("nosuch")) == "It was {Ann}."
    assert expand_value("to", "@@home", tmp_path) == "@home"
    assert expand_value("to", "a@b", tmp_path) == "a@b"
    for value, message in (
        ("@gone", "to: gone cannot be read"),
        ("@.", "to: . cannot be read"),
        ("@latin.txt", "to: latin.txt is not UTF-8"),
        ("@a\0b", "no name of a file"),
    ):
        with pytest.raises(UsageError) as caught:
            expand_value("to", value, tmp_path)
        assert message in caught.value.message
        assert f"to=@{value}" in caught.value.hint
