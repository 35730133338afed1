"""What a chat template finds is what transformers gives it, and a little more."""

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from chatapp.gguf.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

HELLO = [{"role": "user", "content": "Hello", "extra": {"b": "<é>", "a": [1, 2]}}]


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    with TemplateProcess() as made:
        yield made


EXTRA = HELLO[0]["extra"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ v | tojson }}", json.dumps(EXTRA, ensure_ascii=False)),
        ("{{ v | tojson(ensure_ascii=true) }}", json.dumps(EXTRA)),
        ("{{ v | tojson(true) }}", json.dumps(EXTRA)),
        ("{{ v | tojson(indent=2) }}", json.dumps(EXTRA, ensure_ascii=False, indent=2)),
        (
            "{{ v | tojson(separators=(',', ':')) }}",
            json.dumps(EXTRA, ensure_ascii=False, separators=(",", ":")),
        ),
        (
            "{{ v | tojson(sort_keys=true, indent='\t') }}",
            json.dumps(EXTRA, ensure_ascii=False, sort_keys=True, indent="\t"),
        ),
        ("{{ v.a | map('string') | tojson }}", '["1", "2"]'),
        ("{{ ('{\"x\": 1}' | fromjson).x + ('2' | from_json) }}", "3"),
        ("{% generation %}a{{ 1 }}{% endgeneration %}", "a1"),
        ("a\n{%- generation -%}\n b \n{%- endgeneration -%}\nc", "abc"),
        ("{% generation %}{% set x = 1 %}{% endgeneration %}{{ x is defined }}", "False"),
        (
            (
                "{% for i in [1, 2, 3] %}{% generation %}{% if i == 2 %}{% continue %}{% endif %}"
                "{{ loop.index }}{% endgeneration %}{% endfor %}"
            ),
            "13",
        ),
        ("{% set l = [] %}{% do l.append(1) %}{% set _ = l.extend([2]) %}{{ l }}", "[1, 2]"),
        ("{% set d = {} %}{% set _ = d.update(a=1) %}{{ d }}", "{'a': 1}"),
        ("{% set l = messages | list %}{{ l.pop().content }}{{ messages | length }}", "Hello1"),
        ("{% set n = namespace(self=1) %}{% set n.b = 2 %}{{ n.self + n.b }}", "3"),
        ("{{ strftime_now('%d %b %Y%z%Z') }}", datetime.now().astimezone().strftime("%d %b %Y")),
        ("{{ v }}{{ messages[0] is mapping }}{{ v.a is sequence }}", f"{EXTRA}TrueTrue"),
        ("{{ dict(a=1) | tojson }}{{ dict(v).b }}", '{"a": 1}<é>'),
    ],
)
def test_what_a_template_finds(process: TemplateProcess, source: str, text: str) -> None:
    assert process.render("{% set v = messages[0].extra %}" + source, HELLO) == text


@pytest.mark.parametrize(
    "source",
    [
        "{% do messages.append(1) %}",
        "{% do messages[0].update(role='system') %}",
        "{% do messages[0].extra.a.append(1) %}",
        "{{ messages[1:].append.__self__.x }}",
        "{{ namespace(__class__=1) }}",
        "{% set n = namespace() %}{% set n._x = 1 %}",
        "{% set l = [] %}{{ l.__class__.__mro__ }}",
        "{% set l = [] %}{% do l.clear() %}",
        "{{ joiner | tojson }}",
        "{{ [cycler] | tojson }}",
        "{% generation %}",
        "{% endgeneration %}",
    ],
)
def test_what_it_may_not_do(process: TemplateProcess, source: str) -> None:
    with pytest.raises(TemplateError):
        process.render(source, HELLO)


def test_what_is_passed_in_stays_as_it_is(process: TemplateProcess) -> None:
    source = (
        "{% set l = messages | list %}{% do l.append(2) %}{{ l | length }}{{ messages | length }}"
    )
    assert process.render(source, HELLO) == "21"
    assert process.render(source, HELLO) == "21"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ a }}{{ b.c }}{% for x in d %}{{ x }}{% endfor %}", "a b d"),
        ("{% if a is defined %}{{ a }}{% endif %}{{ b | default('') }}{{ c or '' }}", "c"),
        ("{% if not a is defined %}{% set a = 1 %}{% endif %}{{ a }}", ""),
        ("{% if a %}{{ a }}{% endif %}{% if not b and c.d %}{{ b }}{% endif %}", "c"),
        ("{{ a if a else '' }}{% macro f(b) %}{{ b }}{% endmacro %}{{ f(1) }}{{ 'c' }}", ""),
    ],
)
def test_the_names_a_template_counts_on(process: TemplateProcess, source: str, names: str) -> None:
    assert process.find_names(source) == frozenset(names.split())
