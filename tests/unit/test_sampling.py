"""Sampling parameters: one table, checked everywhere."""

from dataclasses import fields

import pytest

from chatapp.cli.sampling_flags import apply_flags, describe
from chatapp.errors import UsageError
from chatapp.sampling import SamplingParams, parameters


def test_every_field_is_a_parameter_with_help_and_a_legal_default() -> None:
    table = list(parameters())
    assert [row.name for row in table] == [field.name for field in fields(SamplingParams)]
    for row in table:
        row.check(row.default)
        assert row.help.endswith(".")
        assert (row.minimum is None) or (row.kind in (int, float))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", True),
        ("temperature", "hot"),
        ("top_k", 1.5),
        ("top_p", 1.01),
        ("repeat_last_n", -2),
        ("mirostat", 3),
        ("seed", 2**32),
        ("max_tokens", -2),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        SamplingParams(**{name: value})  # type: ignore[arg-type]
    assert name in caught.value.message


def test_a_grammar_and_a_schema_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="cannot be used together"):
        SamplingParams(grammar="root ::= 'a'", json_schema="{}")


def test_flags_replace_what_was_given_and_nothing_else() -> None:
    set_to = SamplingParams(temperature=0.3, stop=("x",), seed=4)
    flags = {"temperature": None, "top_k": 0, "stop": (), "seed": -1}
    assert apply_flags(set_to, flags) == SamplingParams(
        temperature=0.3, top_k=0, stop=("x",), seed=-1
    )


def test_bounds_unit_and_default_are_told() -> None:
    told = {row.name: describe(row) for row in parameters()}
    assert told["top_p"] == "0 to 1, default 0.95"
    assert told["top_k"] == "tokens, at least 0, default 40"
    assert told["repeat_penalty"] == "0.01 to 10, default 1.0"
    assert told["stop"] == "default none"
