"""What does a JSON schema cost in decode, and do its answers hold?

Pairs of answers in one engine, in turn: one without a schema and one with, equally long at most;
the median of the paired ratios of tokens/s is reported, the aim is at least 0.9. Then `--answers`
answers under ten schemas, each with another seed, checked with jsonschema: all are to be whole and
to fit.

    python -m bench.schema [MODEL] [--pairs 10] [--answers 200]
"""

import argparse
import asyncio
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams
from chatapp.structured.checking import find_fault

_ROOM = 2048
"""Tokens an answer may take. A text without a longest length can still outgrow it."""
_N_TOKENS = 48
_STORY = "Tell me a long story about a dragon."
_SHORTEST = 32
"""Tokens of an answer that counts as a measurement."""


def _text(longest: int = 60) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


LONG = {"type": "array", "minItems": 40, "items": _object(town=_text(), people={"type": "integer"})}
SCHEMAS: dict[str, tuple[str, dict[str, Any]]] = {
    "person": (
        "Invent a person.",
        _object(name=_text(), age={"type": "integer", "minimum": 0, "maximum": 120}),
    ),
    "choice": (
        "Is a tomato a fruit or a vegetable?",
        _object(kind={"enum": ["fruit", "vegetable", 'both: "it depends"', "C:\\tomato", "🍅"]}),
    ),
    "list": (
        "Name some colours.",
        {"type": "array", "items": _text(20), "minItems": 2, "maxItems": 5},
    ),
    "pattern": (
        "Invent a number plate and a date.",
        _object(
            plate={"type": "string", "pattern": "^[A-Z]{1,3}-[A-Z]{2} [1-9][0-9]{0,3}$"},
            date={"type": "string", "format": "date"},
        ),
    ),
    "numbers": (
        "What does a coffee cost, and how sure are you?",
        _object(
            price={"type": "number", "minimum": 0, "maximum": 20, "multipleOf": 0.25},
            sure={"type": "integer", "exclusiveMinimum": 0, "maximum": 100, "multipleOf": 5},
        ),
    ),
    "family": (
        "Invent a small family.",
        {
            "$defs": {"one": _object(name=_text(20), age={"type": "integer", "maximum": 120})},
            **_object(
                mother={"$ref": "#/$defs/one"},
                children={"type": "array", "items": {"$ref": "#/$defs/one"}, "maxItems": 3},
                pet={"anyOf": [{"type": "null"}, _text(20)]},
            ),
        },
    ),
    "either": (
        "A circle or a square, and how large?",
        {
            "oneOf": [
                _object(shape={"const": "circle"}, radius={"type": "integer"}),
                _object(shape={"const": "square"}, side={"type": "integer"}),
            ]
        },
    ),
    "both": (
        "Invent a user.",
        {
            "allOf": [
                _object(id={"type": "integer", "minimum": 1}),
                _object(admin={"type": "boolean"}),
            ]
        },
    ),
    "free names": (
        "Translate cat into three languages.",
        {
            "type": "object",
            "additionalProperties": _text(20),
            "minProperties": 1,
            "maxProperties": 4,
        },
    ),
    "tuple": (
        "Where is Paris?",
        {
            "type": "array",
            "prefixItems": [
                {"type": "number", "minimum": -90, "maximum": 90, "multipleOf": 0.5},
                {"type": "number", "minimum": -180, "maximum": 180, "multipleOf": 0.5},
            ],
            "items": False,
            "minItems": 2,
        },
    ),
}


async def measure(path: Path, n_pairs: int, n_answers: int) -> None:
    """Print the ratio and the share of answers that fit."""
    client = EngineClient()
    try:
        model = await client.load(LoadOptions(path=str(path), n_ctx=4096))
        print(f"{model.name}: {model.n_vocab:,} tokens in its vocabulary")
        await _answer(client, "Hello.", LONG, 0, 8)  # the tokenizer is made
        ratios: list[float] = []
        speeds: list[tuple[float, float]] = []
        for seed in itertools.count():
            if len(ratios) == n_pairs or seed == 4 * n_pairs:
                break
            tries = [(None, "free"), (LONG, "held")][:: 1 if seed % 2 else -1]
            found = {
                name: await _answer(client, _STORY, schema, seed, _N_TOKENS)
                for schema, name in tries
            }
            if min(one.usage.completion_tokens for one in found.values()) < _SHORTEST:
                continue
            free, held = (found[name].timings.decode_tokens_per_second for name in ("free", "held"))
            ratios.append(held / free)
            speeds.append((free, held))
        free, held = (statistics.median(column) for column in zip(*speeds, strict=True))
        print(
            f"decode: {free:.1f} tokens/s without a schema, {held:.1f} with one; "
            f"median ratio of {len(ratios)} pairs {statistics.median(ratios):.3f}"
        )
        await _count(client, n_answers)
    finally:
        await client.stop()


async def _count(client: EngineClient, n_answers: int) -> None:
    total = fitting = 0
    for name, (prompt, schema) in SCHEMAS.items():
        faults = []
        n = n_answers // len(SCHEMAS)
        for seed in range(n):
            finished = await _answer(client, prompt, schema, seed, _ROOM)
            text = finished.choices[0].text
            if fault := find_fault(json.dumps(schema), text):
                faults.append(f"seed {seed}: {fault[:90]} … {text[-60:]!r}")
        total, fitting = total + n, fitting + n - len(faults)
        print(f"{name:12} {n - len(faults)} of {n}", *faults[:2], sep="\n    ")
    print(f"answers that fit: {fitting} of {total}")


async def _answer(
    client: EngineClient, question: str, schema: object | None, seed: int, max_tokens: int
) -> Finished:
    params = SamplingParams(
        seed=seed, max_tokens=max_tokens, json_schema=json.dumps(schema) if schema else ""
    )
    request = Generate(
        request_id=f"s{next(_numbers)}",
        messages=[ChatMessage.of("user", question)],
        params=params,
    )
    async for event in client.generate(request):
        if isinstance(event, Finished):
            return event
    raise RuntimeError("the answer has no end")


_numbers = itertools.count()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path, default=BUILTIN_MODEL)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--answers", type=int, default=200)
    options = parser.parse_args()
    asyncio.run(measure(options.model, options.pairs, options.answers))


if __name__ == "__main__":
    main()
