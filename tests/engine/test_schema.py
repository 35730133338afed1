"""JSON schemas in the engine: what is written fits, and what cannot be held to is refused.

Against the built-in model's vocabulary, by walks that take any token that is allowed; and in the
real engine process.
"""

import itertools
import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.llama import native
from chatapp.engine.llama.binding import Binding
from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.protocol import ChatMessage, Choice, Finished, Generate, LoadOptions
from chatapp.errors import UsageError
from chatapp.parts import parts_of
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams
from chatapp.structured.checking import find_fault

_ids = itertools.count()


@pytest.fixture(scope="module")
def vocab() -> Iterator[Vocab]:
    native.start()
    params = native.model_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(BUILTIN_MODEL).encode(), params)
    yield Vocab(model)
    lib.llama_model_free(model)


@pytest.fixture
async def engine(tiny_model: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(tiny_model), n_ctx=1024))
    pid = client.pid
    yield client
    assert client.pid == pid, "the engine ended"
    await client.stop()


async def answer(engine: EngineClient, schema: object, prefix: str = "", **params: Any) -> Choice:
    request = Generate(
        request_id=f"j{next(_ids)}",
        messages=[ChatMessage.of("user", "go")],
        prefix=parts_of(prefix),
        params=SamplingParams(**{"seed": 1, "json_schema": json.dumps(schema), **params}),
    )
    async for event in engine.generate(request):
        if isinstance(event, Finished):
            return event.choices[0]
    raise AssertionError("no end")


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


SCHEMAS: list[object] = [
    {},
    {"type": "integer", "minimum": -12, "exclusiveMaximum": 7},
    {"type": "integer", "minimum": -(2**63), "maximum": 2**64},
    {"type": "number", "exclusiveMinimum": 0.5, "maximum": 2.25},
    {"type": "number", "multipleOf": 0.05, "minimum": 0, "maximum": 9},
    {"enum": ["D:\\x", "two\nlines", '"', "é🦜", None, {"a": [1.5, True]}]},
    {"type": "string", "pattern": '^[^"\\\\]{2}.$'},
    {"type": "string", "pattern": "^[[x]&&]\\/\\-$"},
    {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "[aeiou]"},
    {
        "type": "array",
        "prefixItems": [{"type": "null"}],
        "items": {"type": "boolean"},
        "maxItems": 4,
    },
    {"type": ["boolean", "array"], "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 2},
    {"$defs": {"c": {"enum": ["x", "y"]}}, **_object(c={"allOf": [{"$ref": "#/$defs/c"}]})},
    {
        "allOf": [
            _object(a={"type": "integer", "maximum": 3}),
            _object(a={"minimum": 3}, b={"type": "null"}),
        ]
    },
    {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "minProperties": 1,
        "maxProperties": 2,
    },
    {
        "type": "object",
        "patternProperties": {"^[ab]$": {"type": "null"}},
        "additionalProperties": False,
    },
    {
        "$defs": {
            "cat": _object(kind={"const": "cat"}, lives={"type": "integer", "maximum": 9}),
            "dog": _object(kind={"const": "dog"}),
        },
        "oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}],
    },
    {
        "$ref": "#/$defs/n",
        "$defs": {"n": _object(next={"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]})},
    },
    {
        **_object(**{'a"b\\c d': {"type": "null"}, "größe": {"type": "boolean"}}),
        "additionalProperties": True,
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
def test_whatever_is_drawn_fits(vocab: Vocab, schema: object) -> None:
    text = json.dumps(schema)
    ended = 0
    for seed in range(12):
        chance = random.Random(seed)
        held = vocab.schemas.compile(text, 500)
        said = b""
        for _ in range(120):
            allowed = np.flatnonzero(held.filter(np.zeros(vocab.n_tokens, np.float32)) > -np.inf)
            ends = [token for token in allowed if vocab.is_end(token)]
            assert len(allowed), said
            assert bool(ends) == held.is_complete == held.fits(vocab_end(vocab))
            if len(ends) == len(allowed) or (ends and chance.random() < 0.5):
                ended += 1
                assert find_fault(text, said.decode()) == ""
                break
            short = [token for token in allowed if len(vocab.piece(token)) == 1]
            token = int(chance.choice(short if short and chance.random() < 0.6 else list(allowed)))
            if vocab.is_end(token):
                continue
            assert held.fits(token)
            held.accept(token)
            said += vocab.piece(token)
    assert ended > 0


def vocab_end(vocab: Vocab) -> int:
    return next(token for token in range(vocab.n_tokens) if vocab.is_end(token))


def test_a_token_that_an_answer_does_not_show_fits_nowhere(vocab: Vocab) -> None:
    held = vocab.schemas.compile('{"type": "string"}', 500)
    held.accept(vocab.tokenize('"', special=False)[0])
    hidden = [t for t in range(vocab.n_tokens) if not vocab.piece(t) and not vocab.is_end(t)]
    assert not any(held.fits(token) for token in hidden)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"anyOf": [{"type": "null"}, {"pattern": "a$b"}]}, '"pattern" at /anyOf/1/pattern'),
        ({**_object(a={"minimum": 5, "maximum": 4, "type": "integer"})}, "at /properties/a/m"),
        (
            {
                **_object(b={"type": "null"}),
                "allOf": [{"properties": {"b": False}}],
                "type": "object",
            },
            "at /allOf: no value fits it",
        ),
        ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, '"oneOf" at /oneOf'),
        (
            {"items": {"patternProperties": {"^x": {}, "y$": {}}}},
            '"patternProperties" at /items/patternProperties',
        ),
        (
            {"$defs": {"a": {"pattern": "[z-a]"}}, "items": {"$ref": "#/$defs/a"}},
            "/$defs/a/pattern",
        ),
        (
            {
                "allOf": [
                    {"anyOf": [_object(**{f"{i}-{j}": {}}) for i in range(9)]} for j in range(20)
                ]
            },
            "allOf",
        ),
        ({"pattern": "(" * 4000 + ")" * 4000}, '"pattern" at /pattern'),
    ],
)
async def test_what_the_library_refuses_is_found(
    engine: EngineClient, schema: object, named: str
) -> None:
    with pytest.raises(UsageError, match="JSON schema cannot be used") as caught:
        await answer(engine, schema)
    assert named in caught.value.message
    assert (await answer(engine, {"const": "alive"})).text == '"alive"'


async def test_an_answer_goes_on_where_it_stopped(engine: EngineClient) -> None:
    schema = {"enum": ["yes\n", "no"]}
    assert (await answer(engine, schema, '"ye')).text == '"yes\\n"'
    with pytest.raises(UsageError, match="beginning does not fit"):
        await answer(engine, schema, "Sure")


async def test_bans_and_samplers_hold_beside_a_schema(engine: EngineClient) -> None:
    schema = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "maxItems": 3}
    for params in (
        {"logit_bias": tuple((token, float("-inf")) for token in (ord("1"), 300, 301))},
        {"repeat_penalty": 1.5, "dry_multiplier": 1.0},
        {"mirostat": 2},
        {"temperature": 0.0},
        {"logit_bias": ((5, -1e300),)},
    ):
        found = await answer(engine, schema, **params)
        assert find_fault(json.dumps(schema), found.text) == "", params
        assert "1" not in found.text or len(dict(params).get("logit_bias", ())) != 3
    every = tuple((ord(sign), float("-inf")) for sign in "12")
    stuck = await answer(engine, schema, logit_bias=every)
    assert "no token that is allowed fits" in stuck.note


def test_a_schema_binds_when_the_thought_is_over(vocab: Vocab) -> None:
    brace, word = (vocab.tokenize(text, special=False)[0] for text in ("{", "x"))
    flat = np.zeros(vocab.n_tokens, np.float32)

    def bound(**how: Any) -> Binding:
        schema = vocab.schemas.compile('{"type": "object"}', 500)
        return Binding(schema, **{"is_free": False, "opening": (), **how})

    assert not bound().fits(word)
    free = bound(is_free=True)
    assert free.is_free
    free.bind()
    assert free.fits(brace)
    assert not free.fits(word)
    mark = (word, word + 1)
    opened = bound(opening=mark)
    assert opened.fits(brace)
    assert opened.fits(word)
    assert opened.filter(flat)[word] == 0
    opened.accept(word)
    assert not opened.is_free
    assert np.flatnonzero(opened.filter(flat) > -np.inf).tolist() == [word + 1]
    assert not opened.fits(brace)
    opened.accept(word + 1)
    assert opened.is_free
    opened.bind()
    assert opened.fits(brace)
    assert not opened.fits(word)
    answered = bound(opening=mark)
    answered.accept(brace)
    assert not answered.fits(word)
