"""Schemas as people give them: wrapped in every API's way, misspelt, hostile."""

import json

import pytest

from chatapp.errors import UsageError
from chatapp.structured.checking import find_fault
from chatapp.structured.keywords import prepare
from chatapp.structured.patterns import translate
from chatapp.structured.reading import read_schema

CAT = {"type": "object", "properties": {"cat": {"type": "boolean"}}, "required": ["cat"]}


@pytest.mark.parametrize(
    ("wrapped", "place"),
    [
        (CAT, ""),
        (
            {"type": "json_schema", "json_schema": {"name": "c", "schema": CAT}},
            "/json_schema/schema",
        ),
        ({"json_schema": {"schema": CAT, "strict": True}}, "/json_schema/schema"),
        ({"type": "json_schema", "json_schema": CAT}, "/json_schema"),
        ({"type": "json_schema", "name": "c", "strict": True, "schema": CAT}, "/schema"),
        ({"name": "c", "strict": True, "schema": CAT}, "/schema"),
        ({"schema": CAT}, "/schema"),
        ({"type": "json_object", "schema": CAT}, "/schema"),
        ({"name": "c", "description": "d", "input_schema": CAT}, "/input_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": CAT}}},
            "/response_format/json_schema/schema",
        ),
    ],
)
def test_a_schema_is_taken_out_of_its_wrapping(wrapped: object, place: str) -> None:
    found = read_schema("\ufeff" + json.dumps(wrapped))
    assert (found.value, found.place) == (CAT, place)


def test_what_looks_like_wrapping_and_is_none() -> None:
    named = {"type": "object", "properties": {"schema": {"type": "string"}}}
    assert read_schema(json.dumps(named)).value == named
    assert read_schema('{"type": "json_object"}').value == {"type": "object"}
    assert read_schema("true").value is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("\ufeff \n", "it is empty"),
        ("{", "not valid JSON"),
        ('{"const": NaN}', "NaN is no number of JSON"),
        ('{"minimum": 1e999}', "beyond all 64-bit floats"),
        ("null", "it is null"),
        ("[1]", "it is a list"),
        ('"x"', "it is a text"),
        ("7", "it is a number"),
        ('{"schema": []}', "it is a list at /schema"),
        ('{"type": "text"}', "holds no schema"),
        ('{"type": "json_schema"}', "holds no schema"),
        ('{"type": "json_schema", "json_schema": {"name": "x"}}', 'nothing stands as "schema"'),
        ('{"const": "\\ud800"}', "half a character"),
        ("[" * 50_000, "levels deep"),
        ('{"items":' * 400 + "{}" + "}" * 400, "levels deep"),
        ('{"description": "' + "x" * (1 << 20) + '"}', "larger than 1 MiB"),
    ],
)
def test_what_is_no_schema_is_refused_in_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match="The JSON schema cannot be used") as caught:
        read_schema(text)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("schema", "keyword", "place"),
    [
        ({"properties": {"a": {"not": {"type": "null"}}}}, "not", "/properties/a/not"),
        ({"if": {}, "then": {"minimum": 1}}, "if", "/if"),
        ({"items": {"items": {"uniqueItems": True}}}, "uniqueItems", "/items/items/uniqueItems"),
        ({"anyOf": [{}, {"contains": {}}]}, "contains", "/anyOf/1/contains"),
        (
            {"$defs": {"x/y": {"propertyNames": {"maxLength": 2}}}, "$ref": "#/$defs/x~1y"},
            "propertyNames",
            "/$defs/x~1y/propertyNames",
        ),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired", "/dependentRequired"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties", "/unevaluatedProperties"),
        ({"pattern": "^(?!x)y"}, "pattern", "/pattern"),
        ({"pattern": "(a)\\1"}, "pattern", "/pattern"),
        ({"patternProperties": {"(?<=a)b": {}}}, "patternProperties", "/patternProperties/(?<=a)b"),
        ({"type": "float"}, "type", "/type"),
        ({"type": ["null", 7]}, "type", "/type"),
        ({"properties": []}, "properties", "/properties"),
        ({"properties": {"a": "text"}}, "properties", "/properties/a"),
        ({"required": "a"}, "required", "/required"),
        ({"minLength": -1}, "minLength", "/minLength"),
        ({"maximum": "7"}, "maximum", "/maximum"),
        ({"exclusiveMaximum": True}, "exclusiveMaximum", "/exclusiveMaximum"),
        ({"multipleOf": 0}, "multipleOf", "/multipleOf"),
        ({"multipleOf": 1000003}, "multipleOf", "/multipleOf"),
        ({"enum": []}, "enum", "/enum"),
        ({"anyOf": []}, "anyOf", "/anyOf"),
        ({"items": [{}]}, "items", "/items"),
        ({"const": 2**53 + 1}, "const", "/const"),
        ({"minimum": 10**19}, "minimum", "/minimum"),
        ({"additionalProperties": {}, "minProperties": 2}, "minProperties", "/minProperties"),
        ({"$ref": "other.json#/a"}, "$ref", "/$ref"),
        ({"items": {"$ref": "#/$defs/gone"}}, "$ref", "/items/$ref"),
        ({"$ref": "#gone"}, "$ref", "/$ref"),
        ({"$ref": 5}, "$ref", "/$ref"),
        ({"$ref": "#"}, "$ref", "/$ref"),
        ({"type": "array", "minItems": 1, "items": {"$ref": "#"}}, "$ref", "/items/$ref"),
        (
            {
                "$ref": "#/$defs/0",
                "$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(9000)} | {"9000": {}},
            },
            "$ref",
            "/$defs/500",
        ),
    ],
)
def test_what_no_answer_can_be_held_to_is_named_with_its_place(
    schema: object, keyword: str, place: str
) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(read_schema(json.dumps(schema)))
    assert f'"{keyword}" at {place} ' in caught.value.message
    wrapped = {"name": "x", "schema": {"$defs": {}, **schema}}  # type: ignore[dict-item]
    if "$ref" not in json.dumps(schema):
        with pytest.raises(UsageError) as caught:
            prepare(read_schema(json.dumps(wrapped)))
        assert f'"{keyword}" at /schema{place} ' in caught.value.message


def test_what_asks_for_nothing_is_no_reason_to_refuse() -> None:
    schema = {
        "$schema": "urn:of-our-own",
        "$comment": "c",
        "title": "t",
        "deprecated": True,
        "default": {"not": 1},
        "examples": [{"if": 1}],
        "x-guidance": {"lenient": 7},
        "uniqueItems": False,
        "format": "of-our-own",
        "then": {"minimum": 2},
        "minContains": 2,
        "propertyNames": True,
        "dependentRequired": {},
        "$defs": {"unused": {"not": {}}},
        "const": {"not": {"$ref": "nowhere"}},
    }
    left = json.loads(prepare(read_schema(json.dumps(schema))))
    assert left["const"] == schema["const"]
    assert not left.keys() & {"$schema", "uniqueItems", "format", "then", "x-guidance"}


def test_objects_have_the_properties_that_are_named() -> None:
    def is_closed(schema: object) -> bool:
        return (
            json.loads(prepare(read_schema(json.dumps(schema)))).get("additionalProperties")
            is False
        )

    assert is_closed({"properties": {"a": {}}, "required": ["b"]})
    assert is_closed({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]})
    assert not is_closed({"properties": {"a": {}}, "additionalProperties": True})
    assert not is_closed(
        {"properties": {"a": {}}, "patternProperties": {"^b": {}}, "additionalProperties": {}}
    )
    assert not is_closed({"properties": {"a": {}}, "minProperties": 1})
    assert not is_closed({"type": ["object", "null"]})


@pytest.mark.parametrize(
    ("pattern", "spelt"),
    [
        (r"^\d+\.\d+$", r"^\d+\.\d+$"),
        (r"[[a&&b--c]\/\-&&", r"[\[a\&&b\--c]/\-&&"),
        (r"[^]", r"[\s\S]"),
        (r"[\b]\cA\0", r"[\x08]\x01\x00"),
        (r"\"\'\ü", "\"'ü"),
    ],
)
def test_javascript_s_patterns_as_rust_s(pattern: str, spelt: str) -> None:
    assert translate(pattern) == spelt


@pytest.mark.parametrize(
    ("schema", "answer", "fault"),
    [
        ({"type": "integer"}, "5", ""),
        ({"type": "integer"}, "", "it is empty"),
        ({"type": "integer"}, '{"a": ', "not valid JSON"),
        (
            {"properties": {"a": {"items": {"maximum": 3}}}},
            '{"a": [1, 5]}',
            "at /a/1: 5 is greater",
        ),
        ({"multipleOf": 0.01}, "1.19", ""),
        ({"multipleOf": 0.01}, "1.195", "multiple"),
        ({"type": "integer"}, "2.0", ""),
        ({"type": "number"}, "1e999999999999999999999", ""),
        ({"type": "integer"}, "9" * 5000, "at /: 999"),
        ({"pattern": r"^\p{L}$"}, '"x"', ""),
        ({"$ref": "http://127.0.0.1:9/x"}, "5", "cannot be checked"),
    ],
)
def test_an_answer_is_checked_with_the_place(schema: object, answer: str, fault: str) -> None:
    try:
        found = find_fault(json.dumps({"schema": schema}), answer)
    except UsageError as error:
        found = error.message
    assert fault in found
    assert bool(found) == bool(fault)
