"""What a conversation sets for itself: kept, read again, and whose word counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.layers import Chosen
from chatapp.presets import Filled
from chatapp.sampling import SamplingParams

FULL = ChatSettings(
    model="/models/a.gguf",
    think="low",
    n_ctx=4096,
    sampling=SamplingParams(
        temperature=0.5,
        stop=("\n\n", "END"),
        logit_bias=((5, -1e6), (7, 1.5)),
        samplers=("top_k", "temperature"),
        json_schema='{"type": "object"}',
    ),
    preset=Filled(
        name="translate",
        values={"to": "German"},
        system="You translate.",
        prompt="Into German: {input} {{}}",
        sampling=SamplingParams(temperature=0.1, top_k=3),
        think="off",
        model="b.gguf",
        n_ctx=512,
    ),
    others={"colour": ["red"], "sampling": {"new_one": 1}, "preset": {"icon": "x"}},
)


def test_what_is_written_is_read_again() -> None:
    assert read_chat_settings(FULL.write()) == (FULL, [])
    assert read_chat_settings("") == (ChatSettings(), [])
    assert ChatSettings().write() == ""


def test_the_chat_counts_before_its_preset_and_that_before_the_settings() -> None:
    layers = FULL.layers(SamplingParams(temperature=1.0, top_k=9, min_p=0.2))
    found = layers.explain({"top_p": 0.5})
    assert found["temperature"] == Chosen(0.5, "chat")
    assert found["top_k"] == Chosen(3, "preset")
    assert found["min_p"] == Chosen(0.2, "settings")
    assert found["top_p"] == Chosen(0.5, "model file")
    flag = FULL.layers(SamplingParams(), SamplingParams(temperature=2.0)).explain({})
    assert flag["temperature"] == Chosen(2.0, "flag")
    assert FULL.choose_think("on") == "low"
    assert FULL.choose_model("c.gguf") == "/models/a.gguf"
    assert ChatSettings(preset=FULL.preset).choose_think("on") == "off"
    assert ChatSettings(preset=FULL.preset).choose_model("c.gguf") == "b.gguf"
    assert ChatSettings().choose_think("on") == "on"
    assert FULL.compose("Hi {x}") == "Into German: Hi {x} {}"
    assert ChatSettings().compose("Hi") == "Hi"


def test_a_grammar_of_the_chat_takes_the_place_of_its_presets_schema() -> None:
    chat = ChatSettings(
        sampling=SamplingParams(grammar='root ::= "a"'),
        preset=Filled(name="x", sampling=SamplingParams(json_schema="{}")),
    )
    given_ = chat.layers(SamplingParams()).given
    assert (given_.grammar, given_.json_schema) == ('root ::= "a"', None)


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"model": 5}, "model = 5"),
        ({"think": "banana"}, 'think = "banana"'),
        ({"n_ctx": -1}, "n_ctx = -1"),
        ({"n_ctx": True}, "n_ctx = true"),
        ({"sampling": [1]}, "sampling = [1]"),
        ({"sampling": {"top_k": -3}}, "sampling.top_k = -3"),
        ({"sampling": {"temperature": "hot"}}, "sampling.temperature"),
        ({"sampling": {"stop": "x"}}, "sampling.stop"),
        ({"sampling": {"samplers": ["nosuch"]}}, "sampling.samplers"),
        ({"sampling": {"logit_bias": {"x": 1}}}, "sampling.logit_bias"),
        ({"sampling": {"grammar": "a", "json_schema": "{}"}}, "sampling.grammar"),
        ({"preset": "translate"}, "preset = "),
        ({"preset": {"name": "a", "prompt": "{open} {input}"}}, "preset.prompt"),
        ({"preset": {"name": "a", "prompt": "{"}}, "preset.prompt"),
        ({"preset": {"name": "a", "values": {"x": 1}}}, "preset.values"),
        ({"preset": {"name": "a", "sampling": {"top_p": 2}}}, "preset.sampling.top_p"),
    ],
)
def test_what_is_wrong_is_left_out_and_named(document: dict[str, object], wrong: str) -> None:
    kept = {"n_ctx": 512} if "n_ctx" not in document else {"model": "m"}
    settings, notes = read_chat_settings(json.dumps(kept | document | {"later": 1}))
    assert len(notes) == 1
    assert wrong in notes[0]
    assert (settings.n_ctx, settings.model)[0 if "n_ctx" in kept else 1] in kept.values()
    assert settings.others == {"later": 1}
    assert read_chat_settings(settings.write()) == (settings, [])
    settings.compose("text")


@pytest.mark.parametrize("text", ["{", "[]", "5", "\ud800", '{"a": "\\ud800"}', "[" * 100_000])
def test_what_is_no_document_is_said(text: str) -> None:
    settings, notes = read_chat_settings(text)
    assert settings == ChatSettings()
    assert "cannot be read" in notes[0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "model",
                    "preset",
                    "name",
                    "values",
                    "sampling",
                    "think",
                    "n_ctx",
                    "prompt",
                    "stop",
                ]
            )
            | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_whatever_is_stored_gives_settings_that_can_be_used(document: object) -> None:
    settings, _ = read_chat_settings(json.dumps(document))
    settings.layers(SamplingParams()).explain({})
    assert isinstance(settings.compose("text"), str)
    assert read_chat_settings(settings.write()) == (settings, [])
