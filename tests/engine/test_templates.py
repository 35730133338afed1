"""Templates of each kind make the text that transformers makes of them."""

from pathlib import Path

import pytest

from tests.engine import templates

CHATML = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content }}"
    "{%- if tools %}{{- '\\n# Tools\\n' }}{%- for tool in tools %}{{- tool | tojson }}"
    "{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endif %}"
    "{%- for m in messages %}{%- if m.role != 'system' %}{{- '<|im_start|>' + m.role + '\\n' }}"
    "{%- if m.reasoning_content %}{{- '<think>' + m.reasoning_content + '</think>' }}{%- endif %}"
    "{%- if m.content %}{{- m.content | trim }}{%- endif %}{%- for c in m.tool_calls or [] %}"
    "{{- '<tool_call>' }}{{- c.function | tojson }}{{- '</tool_call>' }}{%- endfor %}"
    "{{- '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking %}{{- '<think></think>' }}"
    "{%- endif %}{%- endif %}"
)
TOLD_AND_DONE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
    "{{ (m.content or '') + eos_token }}{% endgeneration %}{% else %}"
    "{{ bos_token + m.role + ': ' + m.content }}{% endif %}"
    "{% for c in m.tool_calls or [] %}{{ c.id }} {{ c.function.name }}"
    "{{ c.function.arguments | tojson(indent=1, sort_keys=true, ensure_ascii=true) }}{% endfor %}"
    "{% endfor %}{{ strftime_now('%d %b %Y') }}"
)
OLD = (
    "{% for m in messages %}{{ m.role + ': ' + (m.content or '') }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name + '(' + c.function.arguments + ')' }}"
    "{% endfor %}{% endfor %}{% if tools is not none %}{{ tools | length }}{% endif %}"
)
UNGUARDED = OLD + "{{ functions + datetime }}{{ tools | length }}"
DROPS = "{% for m in messages %}{{ m.role + ': ' + (m.content or '') }}{% endfor %}"


def test_against_transformers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = {"chatml": CHATML, "done": TOLD_AND_DONE, "old": OLD, "unguarded": UNGUARDED}
    for name, source in sources.items():
        (tmp_path / f"{name}.jinja").write_text(source)
    assert templates.main(tmp_path) == 0
    lines = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:5]
    }
    count = len(templates.CASES)
    same = ["="] * count
    assert lines == {"chatml": same, "done": same, "old": same, "unguarded": ["+"] * count}


def test_what_differs_and_what_fails_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drops.jinja").write_text(DROPS)
    assert templates.main(tmp_path) == 0
    out = capsys.readouterr().out
    assert "drops, calls:" in out
    assert "<tool_call>" in out
    (tmp_path / "broken.jinja").write_text("{% for %}")
    assert templates.main(tmp_path) == 1
    assert "is not valid Jinja" in capsys.readouterr().out
    assert templates.main(tmp_path / "nowhere") == 2
