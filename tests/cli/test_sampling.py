"""Where sampling parameters are from, as the command line tells it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGUFValueType as Kind

from bench.synthetic import TINY, write_model
from chatapp.store import Store
from tests.cli.conftest import Run


@pytest.fixture
def recommending(tmp_path: Path) -> str:
    """A model file that recommends a few things, one of them absurd."""
    sampling = (
        ("temp", Kind.FLOAT32, 0.6),
        ("top_k", Kind.INT32, 20),
        ("top_p", Kind.FLOAT32, math.nan),
        ("sequence", Kind.STRING, "top_k;top_p;temperature"),
    )
    return str(write_model(tmp_path / "model.gguf", replace(TINY, sampling=sampling)))


def test_json_says_each_value_and_where_it_is_from(
    chatapp: Run, home: Path, recommending: str
) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("[sampling]\ntemperature = 0.5\nmax_tokens = 3\n")
    words = ("ask", "--json", "-m", recommending, "--min-p", "0.2", "hello")
    done = chatapp(*words, CHATAPP_BACKEND="llama")
    found = json.loads(done.stdout)["sampling"]
    assert found["min_p"] == {"value": 0.2, "source": "flag"}
    assert found["temperature"] == {"value": 0.5, "source": "settings"}
    assert found["top_k"] == {"value": 20, "source": "model file"}
    assert found["top_p"] == {"value": 0.95, "source": "default"}
    order = {"value": ["top_k", "top_p", "min_p", "temperature"], "source": "model file"}
    assert found["samplers"] == order
    assert "chatapp: Of what the model file recommends for sampling" in done.stderr
    assert "top_p = nan (it is no number)" in done.stderr
    with Store.open(home / "history.db") as store:
        generation = store.get_path(1)[-1].generation
    assert generation is not None
    stored = json.loads(generation.params_json)
    assert (stored["min_p"], stored["top_k"], stored["typical_p"]) == (0.2, None, None)
    assert (stored["used"]["top_k"], stored["used"]["typical_p"]) == (20, 1.0)
    assert stored["sources"]["min_p"] == "flag"


def test_minus_one_leaves_the_temperature_to_the_model(
    chatapp: Run, home: Path, recommending: str
) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("[sampling]\ntemperature = 0.5\nmax_tokens = 1\n")
    words = ("ask", "--json", "-m", recommending, "--temperature", "-1", "hello")
    done = chatapp(*words, CHATAPP_BACKEND="llama")
    found = json.loads(done.stdout)["sampling"]
    assert found["temperature"] == {"value": 0.6, "source": "model file"}


def test_info_tells_what_a_file_recommends(chatapp: Run, recommending: str) -> None:
    found = json.loads(chatapp("models", "info", recommending, "--json").stdout)
    order = ["top_k", "top_p", "temperature"]
    assert found["sampling"] == {"temperature": 0.6, "top_k": 20, "samplers": order}
    assert "top_p = nan" in found["sampling_ignored"][0]
    done = chatapp("models", "info", recommending)
    assert "temperature 0.6, top_k 20, samplers top_k;top_p;temperature" in done.stdout
    assert "top_p = nan" in done.stderr


def test_a_sampler_that_is_not_known_is_refused(chatapp: Run) -> None:
    done = chatapp("ask", "--samplers", "top_k;sorcery", "hello")
    assert done.returncode == 2
    assert "samplers names 'sorcery', which is not known." in done.stderr
