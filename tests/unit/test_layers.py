"""Whose word counts for a sampling parameter, and what a model file may recommend."""

import pytest

from chatapp.layers import Chosen, Layers
from chatapp.recommended import read_recommended
from chatapp.sampling import SamplingParams, parameters
from chatapp.turn import describe_sampling

RECOMMENDED = {"temperature": 0.6, "top_k": 20, "top_p": 0.9, "min_p": 0.1}


def test_the_first_that_says_something_counts() -> None:
    layers = Layers(
        flag=SamplingParams(top_k=1),
        chat=SamplingParams(top_k=2, top_p=0.2),
        settings=SamplingParams(top_k=3, top_p=0.3, min_p=0.3),
    )
    found = layers.explain(RECOMMENDED)
    assert found["top_k"] == Chosen(1, "flag")
    assert found["top_p"] == Chosen(0.2, "chat")
    assert found["min_p"] == Chosen(0.3, "settings")
    assert found["temperature"] == Chosen(0.6, "model file")
    assert found["typical_p"] == Chosen(1.0, "default")
    assert list(found) == [parameter.name for parameter in parameters()]
    assert layers.given == SamplingParams(top_k=1, top_p=0.2, min_p=0.3)


def test_a_value_that_is_the_default_counts_too() -> None:
    layers = Layers(flag=SamplingParams(temperature=0.8))
    assert layers.explain(RECOMMENDED)["temperature"] == Chosen(0.8, "flag")


def test_a_temperature_of_minus_one_asks_for_the_models() -> None:
    layers = Layers(flag=SamplingParams(temperature=-1.0), settings=SamplingParams(temperature=0.1))
    assert layers.explain(RECOMMENDED)["temperature"] == Chosen(0.6, "model file")
    assert layers.explain({})["temperature"] == Chosen(0.8, "default")
    assert layers.explain(None)["temperature"] == Chosen(None, "server")


def test_a_servers_own_values_are_not_known() -> None:
    found = Layers(chat=SamplingParams(top_k=5)).explain(None)
    assert found["top_k"] == Chosen(5, "chat")
    assert found["top_p"] == Chosen(None, "server")


def test_a_schema_takes_the_place_of_a_grammar_of_the_settings() -> None:
    layers = Layers(
        flag=SamplingParams(json_schema="{}"), settings=SamplingParams(grammar='root ::= "a"')
    )
    assert layers.given == SamplingParams(json_schema="{}")


def test_what_is_stored_tells_asked_from_used() -> None:
    import json

    layers = Layers(flag=SamplingParams(top_k=1, temperature=-1.0))
    stored = json.loads(describe_sampling(layers.given, layers.explain(RECOMMENDED)))
    assert (stored["top_k"], stored["top_p"], stored["temperature"]) == (1, None, -1.0)
    assert (stored["used"]["top_p"], stored["used"]["temperature"]) == (0.9, 0.6)
    assert "top_k" not in stored["used"]
    assert stored["sources"] == {
        "temperature": "model file", "top_k": "flag", "top_p": "model file", "min_p": "model file",
    }  # fmt: skip


def test_everything_that_a_file_can_recommend() -> None:
    file = {
        "sequence": "penalties;top_k;top_p;temperature",
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.2,
        "temp": 1,
        "penalty_last_n": -1,
        "penalty_repeat": 1.1,
        "mirostat": 2.0,
        "mirostat_tau": 4.0,
        "mirostat_eta": 0.2,
    }
    found, ignored = read_recommended(file)
    assert ignored == []
    assert found == {
        "samplers": ["penalties", "top_k", "top_p", "temperature"],
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.0,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.2,
        "temperature": 1.0,
        "repeat_last_n": -1,
        "repeat_penalty": 1.1,
        "mirostat": 2,
        "mirostat_tau": 4.0,
        "mirostat_eta": 0.2,
    }
    SamplingParams().filled(found)


def test_off_is_written_in_two_ways() -> None:
    assert read_recommended({"top_k": -1}) == ({"top_k": 0}, [])


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("temp", "nan", "no number"),
        ("temp", "inf", "no number"),
        ("temp", -0.5, "between 0 and 2"),
        ("temp", 30.0, "between 0 and 2"),
        ("temp", "0.7", "no number"),
        ("temp", True, "no number"),
        ("temp", 2**80, "between"),
        ("top_k", 1.5, "no whole number"),
        ("top_k", 2**40, "at most"),
        ("top_p", "a list of 3", "no number"),
        ("top_p", 1.5, "between 0 and 1"),
        ("min_p", -0.1, "between 0 and 1"),
        ("penalty_repeat", 0.0, "between 0.01 and 10"),
        ("penalty_last_n", -5, "at least -1"),
        ("mirostat", 7, "between 0 and 2"),
        ("mirostat_tau", 1e30, "at most"),
        ("sequence", "", "names no sampler"),
        ("sequence", "magic;adaptive_p", "names no sampler"),
        ("sequence", 5, "no text"),
        ("warmth", 5, "not known"),
    ],
)
def test_what_cannot_be_used_is_named_and_left_out(key: str, value: object, reason: str) -> None:
    found, ignored = read_recommended({key: value, "xtc_threshold": 0.3})
    assert found == {"xtc_threshold": 0.3}
    (sentence,) = ignored
    assert f"{key} = {value}" in sentence
    assert reason in sentence


def test_samplers_that_are_not_known_are_named() -> None:
    found, ignored = read_recommended({"sequence": "top_k;adaptive_p;temp;top_k"})
    assert found == {"samplers": ["top_k", "temperature"]}
    assert "adaptive_p in sequence" in ignored[0]


def test_a_sentence_stays_short_and_on_its_line() -> None:
    _found, ignored = read_recommended({"temp": "x\n" * 5_000, "y\x1b[2J" * 900: 1})
    assert len(ignored[0]) < 400
    assert ignored[0].isprintable()
