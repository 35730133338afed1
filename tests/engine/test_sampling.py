"""What a model file recommends for sampling, in real files on the real engine."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGUFValueType as Kind

from bench.synthetic import TINY, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.sampling import SamplingParams
from tests.engine.test_llama import ask, finish

F32, I32, STRING = Kind.FLOAT32, Kind.INT32, Kind.STRING
ONLY_TOP_K = ("sequence", STRING, "top_k;temperature")
LOOP = ((300, 3.5), (301, 3.5))
"""A bias that gives penalties something to push away."""


@asynccontextmanager
async def engine(folder: Path, *sampling: tuple[str, Kind, object]) -> AsyncIterator[EngineClient]:
    """The engine with a model that recommends `sampling`; the weights are always the same."""
    path = write_model(folder / "model.gguf", replace(TINY, sampling=sampling))
    client = EngineClient()
    try:
        await client.load(LoadOptions(path=str(path)))
        yield client
    finally:
        await client.stop()


async def draw(client: EngineClient, **params: object) -> list[int]:
    """Tokens under a seed and a bias."""
    asked = SamplingParams(**{"seed": 5, "max_tokens": 24, "logit_bias": LOOP, **params})  # type: ignore[arg-type]
    return (await finish(client, ask("go", asked))).choices[0].tokens


@pytest.mark.parametrize(
    ("recommended", "asked"),
    [
        ([("temp", F32, 0.0)], {"temperature": 0.0}),
        ([("top_k", I32, 1)], {"top_k": 1}),
        ([("top_p", F32, 0.01)], {"top_p": 0.01}),
        ([("min_p", F32, 0.9)], {"min_p": 0.9}),
        (
            [("xtc_probability", F32, 1.0), ("xtc_threshold", F32, 0.01)],
            {"xtc_probability": 1.0, "xtc_threshold": 0.01},
        ),
        (
            [("penalty_repeat", F32, 10.0), ("penalty_last_n", I32, -1)],
            {"repeat_penalty": 10.0, "repeat_last_n": -1},
        ),
        (
            [("mirostat", I32, 2), ("mirostat_tau", F32, 0.5), ("mirostat_eta", F32, 0.5)],
            {"mirostat": 2, "mirostat_tau": 0.5, "mirostat_eta": 0.5},
        ),
        ([ONLY_TOP_K], {"samplers": ("top_k", "temperature")}),
    ],
)
async def test_a_recommendation_works_as_a_flag_does_and_gives_way_to_one(
    tmp_path: Path, recommended: list[tuple[str, Kind, object]], asked: dict[str, object]
) -> None:
    async with engine(tmp_path) as client:
        plain, wanted = await draw(client), await draw(client, **asked)
    assert plain != wanted
    async with engine(tmp_path, *recommended) as client:
        assert client.model is not None
        assert client.model.notices == []
        assert await draw(client) == wanted
        standard = SamplingParams().filled()
        usual = {name: getattr(standard, name) for name in asked}
        assert await draw(client, **usual) == plain


async def test_the_order_is_obeyed_and_a_flag_works_that_it_leaves_out(tmp_path: Path) -> None:
    async with engine(tmp_path) as client:
        bare = await draw(client, samplers=("temperature",))
        reversed_ = await draw(client, samplers=("temperature", "top_p"), temperature=3.0)
        usual = await draw(client, samplers=("top_p", "temperature"), temperature=3.0)
        narrow = await draw(client, samplers=("top_k", "temperature"), top_k=1)
    assert reversed_ != usual
    async with engine(tmp_path, ("sequence", STRING, "temperature")) as client:
        assert await draw(client) == bare
        assert await draw(client, top_k=1) == narrow != bare
    async with engine(tmp_path, ("sequence", STRING, "temp;top-p"), ("temp", F32, 2.0)) as client:
        assert await draw(client, temperature=3.0) == reversed_


async def test_what_is_absurd_is_ignored_and_said(tmp_path: Path) -> None:
    absurd = (
        ("temp", F32, math.nan),
        ("top_k", F32, 1.5),
        ("top_p", F32, -math.inf),
        ("min_p", STRING, "0.9"),
        ("penalty_repeat", F32, 0.0),
        ("penalty_last_n", I32, -7),
        ("xtc_probability", Kind.BOOL, True),
        ("xtc_threshold", Kind.ARRAY, ["a", "b"]),
        ("mirostat", I32, 9),
        ("sequence", STRING, "sorcery"),
        ("mirostat_tau", F32, 3.0),
    )
    async with engine(tmp_path) as client:
        plain = await draw(client)
    async with engine(tmp_path, *absurd) as client:
        assert client.model is not None
        (notice,) = client.model.notices
        for name, _kind, _value in absurd[:-1]:
            assert f"{name} = " in notice
        assert client.model.sampling == {"mirostat_tau": 3.0}
        assert await draw(client) == plain
