"""Sampling parameters: one table, checked everywhere."""

from dataclasses import fields

import msgspec
import pytest

from chatapp.chat_settings import ChatSettings
from chatapp.cli.sampling_flags import describe, read_layers
from chatapp.config import load_config
from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.engine.wire import Manner, make_body
from chatapp.errors import ConfigError, UsageError
from chatapp.paths import Paths, find_paths
from chatapp.sampling import BAN, SAMPLERS, Sampling, SamplingParams, parameters


@pytest.fixture
def paths() -> Paths:
    """Locations in the test's own home."""
    found = find_paths()
    found.config.mkdir(parents=True)
    return found


def test_every_field_is_a_parameter_with_help_and_a_legal_default() -> None:
    table = list(parameters())
    names = [field.name for field in fields(SamplingParams)]
    assert [row.name for row in table] == names == [field.name for field in fields(Sampling)]
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
        ("max_tokens", 2**31),
        ("top_k", 10**30),
        ("top_n_sigma", float("inf")),
        ("dry_multiplier", float("inf")),
        ("dry_base", 1e39),  # finite, and infinite in the 32 bits of llama.cpp
        ("mirostat_tau", float("nan")),
        ("dynatemp_exponent", float("inf")),
        ("logit_bias", ((5, float("inf")),)),
        ("logit_bias", ((5, float("nan")),)),
        ("logit_bias", ((5, 1e39),)),
        ("logit_bias", ((-5, 1.0),)),
        ("logit_bias", ((2**40, 1.0),)),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        SamplingParams(**{name: value})  # type: ignore[arg-type]
    assert name in caught.value.message


def test_every_number_has_bounds() -> None:
    for row in parameters():
        if row.kind in (int, float):
            assert row.minimum is not None
            assert row.maximum is not None
            assert row.maximum < 2**32


def test_a_ban_travels(paths: Paths) -> None:
    """JSON has no infinity."""
    params = SamplingParams(logit_bias=((5, float("-inf")), (6, -1e300), (7, 0.5)))
    assert params.logit_bias == ((5, BAN), (6, BAN), (7, 0.5))
    assert msgspec.json.decode(msgspec.json.encode(params), type=SamplingParams) == params
    paths.settings.write_text("[sampling]\nlogit_bias = { 5 = -inf, 6 = -1e300, 7 = 0.5 }\n")
    assert load_config(paths).sampling == params


def test_a_remote_is_sent_a_ban_that_it_takes() -> None:
    params = SamplingParams(logit_bias=((5, float("-inf")), (7, 0.5)))
    request = Generate(messages=[ChatMessage.of("user", "hi")], params=params)
    for plain in (True, False):
        _path, body = make_body(request, "m", Manner(plain=plain))
        assert body["logit_bias"] == {"5": -100.0, "7": 0.5}


@pytest.mark.parametrize(
    "line",
    [
        "logit_bias = { 5 = inf }",
        "logit_bias = { 5 = nan }",
        f"logit_bias = {{ 5 = {10**400} }}",
        "top_n_sigma = inf",
        "dry_multiplier = inf",
        "temperature = nan",
        f"temperature = {10**400}",
        f"top_k = {10**30}",
        f"top_k = {'9' * 5000}",  # more digits than Python reads
    ],
)
def test_settings_with_numbers_that_are_none_are_refused(paths: Paths, line: str) -> None:
    paths.settings.write_text(f"[sampling]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(paths)
    assert str(paths.settings) in caught.value.message


def test_a_grammar_and_a_schema_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="cannot be used together"):
        SamplingParams(grammar="root ::= 'a'", json_schema="{}")


def test_flags_that_are_not_given_ask_for_nothing() -> None:
    flags = {"temperature": None, "top_k": 0, "stop": (), "seed": -1}
    asked = read_layers(flags, ChatSettings(), SamplingParams()).flag
    assert asked.given == {"top_k": 0, "seed": -1}
    assert (asked.temperature, asked.stop) == (None, None)


def test_what_nobody_asked_for_is_filled() -> None:
    assert SamplingParams().given == {}
    assert SamplingParams().filled() == Sampling()
    recommended = {"temperature": 0.6, "top_k": 20, "repeat_last_n": 128}
    filled = SamplingParams(top_k=7, temperature=-1.0).filled(recommended)
    assert filled == Sampling(top_k=7, temperature=0.6, repeat_last_n=128)
    assert filled.filled(recommended) == filled


@pytest.mark.parametrize(
    ("asked", "recommended", "order"),
    [
        ({}, None, SAMPLERS),
        ({}, ["top_k", "temperature"], ("top_k", "temperature")),
        ({"samplers": ("min_p",)}, ["top_k", "temperature"], ("min_p",)),
        ({"samplers": ()}, ["top_k"], ()),
        # what was asked for works, at llama.cpp's place
        ({"top_p": 0.5}, ["top_k", "temperature"], ("top_k", "top_p", "temperature")),
        ({"dry_multiplier": 1.0}, ["temperature", "top_k"], ("dry", "temperature", "top_k")),
        ({"temperature": 0.1}, ["top_k"], ("top_k", "temperature")),
        ({"temperature": -1.0}, ["top_k"], ("top_k",)),
    ],
)
def test_the_order_of_samplers(
    asked: dict[str, object], recommended: list[str] | None, order: tuple[str, ...]
) -> None:
    file = {} if recommended is None else {"samplers": recommended}
    assert SamplingParams(**asked).filled(file).samplers == order  # type: ignore[arg-type]


def test_samplers_have_several_names() -> None:
    spelt = ("Top-K; nucleus;typ", "minp", "temp", "top_k")
    assert SamplingParams(samplers=spelt).samplers == (
        "top_k", "top_p", "typ_p", "min_p", "temperature",
    )  # fmt: skip
    with pytest.raises(UsageError, match="samplers names 'topp_k', which is not known") as caught:
        SamplingParams(samplers=("topp_k",))
    assert "top_k" in caught.value.hint


def test_bounds_unit_and_default_are_told() -> None:
    told = {row.name: describe(row) for row in parameters()}
    assert told["top_p"] == "0 to 1, default 0.95"
    assert told["top_k"] == "tokens, at least 0, default 40"
    assert told["repeat_penalty"] == "0.01 to 10, default 1.0"
    assert told["stop"] == "default none"
