"""Values of sampling parameters as they are typed and shown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp import sampling_input
from chatapp.errors import UsageError
from chatapp.sampling import BAN, Parameter, Sampling, SamplingParams, parameters
from chatapp.sampling_input import (
    describe_bounds,
    find_parameter,
    parse_value,
    read_value,
    show_value,
    write_given,
)


def parameter(name: str) -> Parameter:
    found = find_parameter(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "0.7", 0.7),
        ("temperature", " 1 ", 1.0),
        ("temp", "1e-1", 0.1),
        ("top-k", "40", 40),
        ("--max-tokens", "1_000", 1000),
        ("seed", "-1", -1),
        ("stop", '"\\n\\n" END', ("\n\n", "END")),
        ("stop", "don't stop", ("don't", "stop")),
        ("stop", '["a b", "\\n"]', ("a b", "\n")),
        ("stop", "'a \"b\"'", ('a "b"',)),
        ("samplers", "top_k;temperature", ("top_k;temperature",)),
        ("logit_bias", "5=-inf, 7=1.5", ((5, float("-inf")), (7, 1.5))),
        ("grammar", 'root ::= "a"', 'root ::= "a"'),
    ],
)
def test_what_is_typed_is_read(name: str, text: str, value: Any) -> None:
    found = parse_value(parameter(name), text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("temperature", "hot", "temperature takes a number, not 'hot'.", "Randomness"),
        ("temperature", "0,7", "temperature takes a number", "a point: 0.7"),
        ("temperature", "101", "between -1 and 100", ""),
        ("temperature", "nan", "between -1 and 100", ""),
        ("top_k", "1.5", "top_k takes a whole number", "k likeliest"),
        ("top_k", "9" * 5000, "it must be at least 0 and at most", ""),
        ("top_p", "-0.1", "between 0 and 1", ""),
        ("stop", '"open', "no partner", "side by side"),
        ("logit_bias", "x=1", "not a token's number", "-inf"),
    ],
)
def test_what_is_wrong_is_said_with_its_bounds(
    name: str, text: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(parameter(name), text)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert len(caught.value.message) < 200


def test_no_parameter_is_none() -> None:
    assert find_parameter("temprature") is None
    assert find_parameter("") is None


_WORDS = st.lists(st.text(alphabet="ab \"'\\\n\t[é"), max_size=4).map(tuple)
_BIASES = st.dictionaries(st.integers(0, 99), st.floats(-50, 50)).map(
    lambda one: tuple(one.items())
)


@given(_WORDS, st.floats(-1, 100), st.integers(-1, 2**31 - 1))
def test_what_is_shown_can_be_typed(words: Any, number: float, whole: int) -> None:
    shown, sampling_input._SHOWN = sampling_input._SHOWN, 10_000
    try:
        assert parse_value(parameter("stop"), show_value(words)) == words
        assert parse_value(parameter("max_tokens"), show_value(whole)) == whole
        typed = parse_value(parameter("temperature"), show_value(number))
        assert typed == pytest.approx(number, rel=1e-5, abs=1e-9)
    finally:
        sampling_input._SHOWN = shown


@given(_WORDS, _BIASES)
def test_what_is_stored_is_read_again(words: Any, biases: Any) -> None:
    given_ = {"stop": words, "logit_bias": biases, "top_p": 0.25}
    stored = json.loads(json.dumps(write_given(SamplingParams(**given_))))
    assert {name: read_value(parameter(name), value) for name, value in stored.items()} == given_


def test_every_default_can_be_shown_and_bounded() -> None:
    for one in parameters():
        assert "\n" not in show_value(one.default)
        assert bool(describe_bounds(one)) == (one.kind in (int, float))
    assert describe_bounds(parameter("top_p")) == "0 to 1"
    assert describe_bounds(parameter("top_k")) == "at least 0 tokens"
    assert describe_bounds(parameter("seed")) == "-1 to 4294967294"
    assert show_value(Sampling().dry_sequence_breakers) == '\\n : "\\"" *'
    assert show_value(((5, BAN), (7, 1.5))) == "5=-inf 7=1.5"
    assert show_value(SamplingParams().stop) == ""
    assert len(show_value("root ::= " + "x" * 500)) <= 60
