"""A call of a tool that a limit cut is a failure that says so; other odd arguments are told."""

import json
from pathlib import Path

import pytest

from bench.scripted import Turn, write_scripted
from tests.cli.conftest import Run
from tests.formats.calling import HERMES, MISTRAL
from tests.formats.family import HELLO, Family


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"CHATAPP_BACKEND": "llama"}


@pytest.mark.parametrize("family", [HERMES, MISTRAL], ids=lambda family: family.name)
@pytest.mark.parametrize("options", [(), ("--json",), ("-n", "2")], ids=["plain", "json", "two"])
def test_a_call_that_a_limit_cut(
    chatapp: Run, tmp_path: Path, family: Family, options: tuple[str, ...]
) -> None:
    begun, _, _ = family.first.raw.partition("Oslo")
    limit = len(family.words.tokenize(begun))
    model = str(family.write(tmp_path))
    done = chatapp("ask", "-m", model, "--max-tokens", str(limit), *options, HELLO)
    assert done.returncode == 1
    assert "The call of weather was cut by the limit of" in done.stderr
    if "--json" in options:
        (call,) = json.loads(done.stdout)["tool_calls"]
        assert call["function"]["arguments"].startswith('{"place": "')
    else:
        assert "weather" in done.stdout


def test_arguments_that_are_no_json_are_told(chatapp: Run, tmp_path: Path) -> None:
    prompt, _ = MISTRAL.prompts()
    path = tmp_path / "odd.gguf"
    turn = Turn(prompt, '[TOOL_CALLS]weather[ARGS]{"place": Oslo}</s>')
    write_scripted(path, MISTRAL.words, MISTRAL.source, [turn])
    done = chatapp("ask", "-m", str(path), HELLO)
    assert done.returncode == 0
    assert "The arguments of the call of weather are not valid JSON." in done.stderr
