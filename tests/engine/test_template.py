"""Chat templates are hostile programs: what works, what is refused, what cannot escape."""

from dataclasses import replace
from pathlib import Path

import llama_cpp.llama_cpp as lib
import pytest

from bench.synthetic import TINY, write_model
from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.llama import native
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

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
    said = "{% for message in messages %}{{ message.content }}{% endfor %}"
    assert render(source + said) == "01Hello"
    assert len(render("{{ strftime_now('%Y') }}" + said)) == len("2026Hello")


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
    with pytest.raises(TemplateError, match="more than 1 s"):
        ChatTemplate(nested, "", "", TemplateProcess(seconds=1)).render(HELLO)


NESTED = "{% for a in [1] %}" * 25 + "x" + "{% endfor %}" * 25


@pytest.mark.parametrize(
    "template", [NESTED, "{{ 'a' | center(2 * 10**9) }}", "{{ 9 ** 999999999 }}"]
)
def test_a_model_with_a_hostile_template_is_spoken_to_as_its_tokens_tell(
    tmp_path: Path, template: str
) -> None:
    native.start()
    path = write_model(tmp_path / "model.gguf", replace(TINY, template=template))
    model = LoadedModel(LoadOptions(path=str(path)), lambda _: None)
    try:
        assert model.manner.template is not None
        assert model.manner.template.render(HELLO) == "<|user|>\nHello<|end|>\n<|assistant|>\n"
        assert model.notices[0].startswith("The chat template ")
        assert "Phi's format" in model.notices[0]
    finally:
        model.close()


def test_whatever_fails_after_the_weights_frees_them(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.start()
    freed = []
    free = lib.llama_model_free
    monkeypatch.setattr(lib, "llama_model_free", lambda model: freed.append(free(model)))

    def fail(*_: object, **__: object) -> None:
        raise SyntaxError("too many statically nested blocks")

    monkeypatch.setattr("chatapp.engine.llama.model.find_manner", fail)
    with pytest.raises(SyntaxError):
        LoadedModel(LoadOptions(path=str(tiny_model)), lambda _: None)
    assert len(freed) == 1
