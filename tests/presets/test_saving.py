"""A preset that is saved says what it was made from when it is read again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.errors import UsageError
from chatapp.presets.preset import Filled
from chatapp.presets.reading import read_preset
from chatapp.presets.saving import preset_path, save_preset
from chatapp.sampling import SamplingParams

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(str.strip)


@given(system=TEXTS, model=TEXTS, words=st.lists(TEXTS.filter(bool), max_size=3))
def test_any_text_comes_back(tmp_path_factory, system, model, words):
    path = tmp_path_factory.mktemp("presets") / "mine.toml"
    sampling = SamplingParams(temperature=0.25, stop=tuple(words) or None, logit_bias=((7, -2.0),))
    save_preset(path, Filled(name="mine", system=system, model=model, sampling=sampling))
    found = read_preset(path).fill({})
    assert (found.system, found.model, found.sampling) == (system, model, sampling)


def test_a_prompt_keeps_its_place_for_the_message_and_forms_come_along(tmp_path):
    path = tmp_path / "mine.toml"
    prompt = 'Say "{input}" in {{braces}}\n\n  and "quotes" \\ slashes'
    schema = '{"type":"object"}'
    made = Filled(name="x", prompt=prompt, think="low", sampling=SamplingParams(json_schema=schema))
    save_preset(path, made)
    found = read_preset(path).fill({})
    assert found.compose("hi") == made.compose("hi")
    assert found.think == "low"
    assert json.loads(found.sampling.json_schema or "") == json.loads(schema)


def test_nothing_is_overwritten_unless_it_is_said(tmp_path):
    path = preset_path(tmp_path / "presets", "mine")
    save_preset(path, Filled(name="mine", system="one"))
    with pytest.raises(UsageError, match="already"):
        save_preset(path, Filled(name="mine", system="two"))
    assert read_preset(path).system == "one"
    save_preset(path, Filled(name="mine", system="two"), replace=True)
    assert read_preset(path).system == "two"
    assert [one.name for one in path.parent.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize("name", ["", "off", "../up", ".hidden", "a/b", "a\\b", 'a"b', "a\nb"])
def test_names_that_no_preset_can_have(tmp_path, name):
    with pytest.raises(UsageError):
        preset_path(tmp_path, name)
