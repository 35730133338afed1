"""Chat templates are hostile programs: what works, what is refused, what cannot escape."""

import pytest

from chatapp.engine.llama.template import ChatTemplate
from chatapp.errors import TemplateError

HELLO = [{"role": "user", "content": "Hello"}]


def render(source: str, messages: list[dict[str, str]] | None = None) -> str:
    return ChatTemplate(source, "<s>", "</s>").render(messages or HELLO)


def test_what_real_templates_use() -> None:
    source = (
        "{{ bos_token }}{% for message in messages %}{% if loop.first %}{% endif %}"
        "{{ message['role'] + ': ' + message['content'] | trim }}{{ eos_token }}{% endfor %}"
        "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{% if add_generation_prompt %}A{{ ns.a }}"
        "{% endif %}{{ {'ü': 1} | tojson }}"
    )
    assert render(source) == '<s>user: Hello</s>A2{"ü": 1}'


def test_loop_controls_and_date() -> None:
    source = "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}"
    assert render(source) == "01"
    assert len(render("{{ strftime_now('%Y') }}")) == 4


def test_raise_exception_reaches_the_user() -> None:
    with pytest.raises(TemplateError, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


def test_a_template_without_system_role_gets_it_in_the_first_message() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "[{{ m.content }}]{% endfor %}"
    )
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    assert render(source, messages) == "[Be brief.\n\nHello]"


@pytest.mark.parametrize(
    "source",
    [
        "{% for %}",
        "{{ unknown.attribute.of_it }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__ }}{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch /tmp/chatapp-escaped') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'x'}) }}",
        "{{ 'x' * 10000000000 }}",
        "{{ [1] * 10000000000 }}",
        "{{ 9 ** 999999999 }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include '/etc/passwd' %}",
        "{{ 1 / 0 }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    ],
)
def test_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


def test_an_endless_template_is_interrupted() -> None:
    nested = "{% for i in range(99999) %}" * 3 + "x" + "{% endfor %}" * 3
    with pytest.raises(TemplateError, match="more than 3 s"):
        render(nested)
