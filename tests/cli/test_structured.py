"""`chatapp ask --schema` and `--grammar` with the built-in model: what holds, and what is said."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

REAL = {"CHATAPP_BACKEND": "llama"}


@pytest.fixture
def ask(chatapp: Run, tmp_path: Path):  # type: ignore[no-untyped-def]
    def run(schema: object, *flags: str):  # type: ignore[no-untyped-def]
        (tmp_path / "s.json").write_text(schema if isinstance(schema, str) else json.dumps(schema))
        return chatapp("ask", "hi", "--no-save", "--schema", "s.json", *flags, **REAL)

    return run


def test_an_answer_fits_its_schema(ask) -> None:  # type: ignore[no-untyped-def]
    schema = {
        "type": "json_schema",
        "json_schema": {
            "name": "x",
            "schema": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "minimum": 7, "maximum": 8},
                    "p": {"const": "a\\b"},
                },
                "required": ["n", "p"],
            },
        },
    }
    done = ask(schema, "--n", "2", "--json")
    assert done.returncode == 0, done.stderr
    for one in json.loads(done.stdout)["alternatives"]:
        assert json.loads(one["text"])["n"] in (7, 8)


def test_a_refusal_names_keyword_and_place(ask) -> None:  # type: ignore[no-untyped-def]
    done = ask({"properties": {"a": {"not": {}}}})
    assert done.returncode == 2
    assert '"not" at /properties/a/not' in done.stderr
    assert done.stdout == ""
    for odd in ("[]", "null", '"x"', "", '{"type": "text"}'):
        done = ask(odd)
        assert done.returncode == 2
        assert "The JSON schema cannot be used: it " in done.stderr
        assert "Error:" not in done.stderr


def test_an_answer_that_a_limit_cuts_is_no_success(ask) -> None:  # type: ignore[no-untyped-def]
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 30}
    done = ask(schema, "--max-tokens", "5")
    assert done.returncode == 1
    assert done.stdout.startswith("[")
    assert "was cut by the limit of 5 tokens and is not whole" in done.stderr
    done = ask(schema, "--max-tokens", "5", "--n", "2")
    assert "Answer 1 of 2 was cut" in done.stderr
    done = ask({"const": True}, "--stop", "r")
    assert done.returncode == 1
    assert "does not fit the JSON schema: it is not valid JSON" in done.stderr


def test_a_grammar_says_what_is_wrong_and_where_it_was_cut(chatapp: Run, tmp_path: Path) -> None:
    for text, reason in (
        ("# nothing but this\n", "root"),
        ('root ::= "a" )', "expecting newline or end (line 1"),
        ('{"type": "object"}', "--schema"),
    ):
        (tmp_path / "g.gbnf").write_text(text)
        done = chatapp("ask", "hi", "--no-save", "--grammar", "g.gbnf", **REAL)
        assert done.returncode == 2, done.stderr
        assert reason in done.stderr
    (tmp_path / "g.gbnf").write_text('root ::= "a"{50}')
    flags = ("--no-save", "--grammar", "g.gbnf", "--max-tokens", "3")
    done = chatapp("ask", "hi", *flags, **REAL)
    assert done.returncode == 0
    assert "was cut by the limit of 3 tokens" in done.stderr


def test_a_presets_schema_holds_and_gives_way_to_a_grammar(
    chatapp: Run, home: Path, tmp_path: Path
) -> None:
    (home / "presets").mkdir(parents=True)
    (home / "presets" / "number.toml").write_text(
        'prompt = "A number, {name}."\n[schema]\ntype = "integer"\nminimum = 7\nmaximum = 8\n'
    )
    question = ("ask", "-t", "number", "-p", "name=Ann", "--no-save")
    done = chatapp(*question, "please", **REAL)
    assert (done.returncode, done.stdout.strip() in ("7", "8")) == (0, True), done.stderr
    (tmp_path / "yes.gbnf").write_text('root ::= "yes"')
    done = chatapp(*question, "--grammar", "yes.gbnf", **REAL)
    assert (done.returncode, done.stdout) == (0, "yes\n"), done.stderr
