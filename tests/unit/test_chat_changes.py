"""How a conversation's settings change, and how every one of them is explained."""

import pytest

from chatapp.chat_changes import (
    Change,
    Reset,
    ShowAll,
    change,
    choose_system,
    leave_preset,
    read_set,
    reset,
    setting_names,
    take_preset,
)
from chatapp.chat_rows import GROUPS, Row, Surroundings, explain
from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.config import ChatConfig, Config, EngineConfig
from chatapp.errors import UsageError
from chatapp.presets import Filled
from chatapp.sampling import SamplingParams, parameters

PIRATE = Filled(
    name="pirate",
    system="You are a pirate.",
    sampling=SamplingParams(temperature=1.2, json_schema="{}"),
    think="low",
)
EMPTY = ChatSettings()


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        ("", ShowAll()),
        ("  ", ShowAll()),
        ("temperature", Reset("temperature")),
        ("temp default", Reset("temperature")),
        ("--top-p 0.5", Change("top_p", "0.5")),
        ("temperature=0.7", Change("temperature", "0.7")),
        ("Temperature = 0.7", Change("temperature", "0.7")),
        ("stop = =", Change("stop", "=")),
        ("logit_bias 5=-inf", Change("logit_bias", "5=-inf")),
        ("schema {}", Change("json_schema", "{}")),
        ('grammar\nroot ::= "a"\n  | "b"', Change("grammar", 'root ::= "a"\n  | "b"')),
        ("context 8k", Change("n_ctx", "8k")),
        ("think off", Change("think", "off")),
    ],
)
def test_what_stands_behind_set_is_read(args: str, meant: object) -> None:
    assert read_set(args) == meant


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        ("temprature 1", "There is no parameter 'temprature'.", "`temperature`"),
        ("!! 1", "There is no parameter '!!'.", "/set alone"),
        ("system You", "system is no parameter.", "/system"),
        ("model x", "model is no parameter.", "/model"),
    ],
)
def test_what_no_parameter_is_called_is_named(args: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_set(args)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_values_are_set_and_taken_back() -> None:
    chat = change(EMPTY, "temperature", "0.7")
    chat = change(chat, "think", "1_000")
    chat = change(chat, "n_ctx", "8k")
    assert chat == ChatSettings(sampling=SamplingParams(temperature=0.7), think="1000", n_ctx=8192)
    for name in ("temperature", "think", "n_ctx"):
        chat = reset(chat, name)
    assert chat == EMPTY


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("top_p", "1.5", "top_p is 1.5, it must lie between 0 and 1."),
        ("think", "hard", "does not say how much"),
        ("n_ctx", "0", "above 0, not '0'"),
        ("n_ctx", "9" * 40, "above 0"),
        ("json_schema", "{", "The JSON schema cannot be used"),
        ("samplers", "nosuch", "samplers names 'nosuch'"),
    ],
)
def test_a_bad_value_changes_nothing(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        change(EMPTY, name, text)
    assert message in caught.value.message


def test_the_last_form_that_was_asked_for_counts() -> None:
    chat = change(change(EMPTY, "schema", '{"type": "object"}'), "grammar", 'root ::= "a"')
    assert chat.sampling.given == {"grammar": 'root ::= "a"'}
    chat = change(chat, "schema", "true")
    assert chat.sampling.given == {"json_schema": "true"}


def test_a_presets_schema_can_be_switched_off_for_a_chat() -> None:
    chat = change(ChatSettings(preset=PIRATE), "schema", "off")
    assert not chat.layers(SamplingParams()).given.json_schema
    assert read_chat_settings(chat.write()) == (chat, [])
    assert rows(chat)["json_schema"].value == "off"
    assert rows(chat)["json_schema"].usual == "{}"
    assert reset(chat, "schema").layers(SamplingParams()).given.json_schema == "{}"


def test_a_preset_brings_its_system_prompt_and_takes_it_along() -> None:
    taken = take_preset(EMPTY, "Be brief.", PIRATE, usual_system="Be brief.")
    assert taken.system == "You are a pirate."
    plain = Filled(name="plain")
    assert take_preset(taken.settings, taken.system, plain, usual_system="Be brief.").system == (
        "Be brief."
    )
    assert leave_preset(taken.settings, taken.system, usual_system="Be brief.").system == (
        "Be brief."
    )
    changed = leave_preset(taken.settings, "You are a captain.", usual_system="Be brief.")
    assert (changed.system, changed.settings) == ("You are a captain.", EMPTY)


def test_a_system_prompt_is_shown_set_and_taken_back() -> None:
    asked = ("", " none ", "reset", "Default", "Be {brief}.\nAlways.", "none of it")
    assert [choose_system(args, "usual") for args in asked] == [
        None,
        "",
        "usual",
        "usual",
        "Be {brief}.\nAlways.",
        "none of it",
    ]


def rows(settings: ChatSettings, system: str = "", **around: object) -> dict[str, Row]:
    surroundings = Surroundings(**{"config": Config(), "recommended": {}, **around})  # type: ignore[arg-type]
    found = explain(settings, system, surroundings)
    assert [row.group for row in found] == sorted((row.group for row in found), key=GROUPS.index)
    return {row.name: row for row in found}


def test_every_setting_has_a_row_and_a_group() -> None:
    found = rows(EMPTY)
    assert set(found) == {"system", "preset", "model", *setting_names()}
    for row in found.values():
        assert row.help
        assert row.group != "Other", f"{row.name} belongs in a group of chat_rows"
        assert row.source == "default"
        assert not row.changed
        assert row.value == row.usual
    assert found["top_p"].bounds == "0 to 1"
    assert found["temperature"].value == "0.8"


def test_a_row_says_whose_value_it_is() -> None:
    config = Config(
        sampling=SamplingParams(top_k=9),
        chat=ChatConfig(system="Be brief.", think="on"),
        engine=EngineConfig(model="a.gguf", n_ctx=2048),
    )
    chat = change(ChatSettings(preset=PIRATE), "min_p", "0.1")
    found = rows(
        chat,
        PIRATE.system,
        config=config,
        recommended={"top_p": 0.9},
        flag=SamplingParams(seed=5),
        model_name="A",
        n_ctx=1024,
    )
    sources = {name: row.source for name, row in found.items() if row.source != "default"}
    assert sources == {
        "system": "preset pirate",
        "preset": "this chat",
        "model": "settings",
        "think": "preset pirate",
        "n_ctx": "settings",
        "temperature": "preset pirate",
        "json_schema": "preset pirate",
        "top_k": "settings",
        "top_p": "model file",
        "min_p": "this chat",
        "seed": "command line",
    }
    assert [name for name, row in found.items() if row.changed] == ["preset", "min_p"]
    assert (found["min_p"].value, found["min_p"].usual) == ("0.1", "0.05")
    assert (found["n_ctx"].value, found["n_ctx"].usual) == ("1024", "2048")
    assert rows(EMPTY, "Be brief.", config=config)["system"].source == "settings"
    mine = rows(EMPTY, "Mine.\nAll mine.", config=config)["system"]
    assert (mine.source, mine.value, mine.usual) == ("this chat", "Mine. All mine.", "Be brief.")


def test_a_servers_values_are_its_own() -> None:
    found = rows(change(EMPTY, "top_k", "3"), recommended=None)
    assert found["top_p"].value == "the server's own"
    assert (found["top_k"].value, found["top_k"].source) == ("3", "this chat")
    assert all(found[one.name] for one in parameters())
