"""Row, engine's choice and JSON say the same, however an answer is cut, continued or killed."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.turns import QUESTIONS, Life, Lives, Step, write_models


def lives(models: tuple[str, ...]) -> st.SearchStrategy[Life]:
    """Lives on these models."""
    step = st.builds(
        Step,
        model=st.sampled_from(models),
        max_tokens=st.one_of(st.integers(0, 13), st.just(40)),
        stop_after=st.one_of(st.none(), st.integers(0, 40)),
        kills=st.sampled_from((False, False, False, False, False, False, False, True)),
    )
    return st.builds(
        Life,
        st.sampled_from(QUESTIONS),
        st.lists(step, min_size=1, max_size=4),
        st.sampled_from((1, 1, 2, 3)),
    )


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One loop for all examples: the engine process stays."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def echo(loop: asyncio.AbstractEventLoop) -> Iterator[Lives]:
    place = Lives("echo")
    yield place
    loop.run_until_complete(place.client.stop())
    place.store.close()


@pytest.fixture(scope="module")
def llama(loop: asyncio.AbstractEventLoop) -> Iterator[Lives]:
    place = Lives("llama")
    yield place
    loop.run_until_complete(place.client.stop())
    place.store.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return write_models(tmp_path_factory.mktemp("lives"))


def check(loop: asyncio.AbstractEventLoop, place: Lives, strategy: object, runs: int) -> None:
    @settings(
        max_examples=runs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)  # type: ignore[arg-type]
    def live(life: Life) -> None:
        loop.run_until_complete(asyncio.wait_for(place.live(life), 60))

    live()
    assert place.counts


def test_a_model_that_took_half_a_character_back_has_written(
    loop: asyncio.AbstractEventLoop, echo: Lives
) -> None:
    """The tokens of the first model say more than is left: they are no beginning any more."""
    steps = [Step("a", 1, None, False), Step("b", 0, None, False), Step("a", 40, 0, False)]
    loop.run_until_complete(asyncio.wait_for(echo.live(Life(QUESTIONS[0], steps)), 60))
    assert echo.counts["stopped"]


def test_lives_on_echo(loop: asyncio.AbstractEventLoop, echo: Lives) -> None:
    check(loop, echo, lives(("a", "b")), 70)


def test_lives_on_llama(
    loop: asyncio.AbstractEventLoop, llama: Lives, files: tuple[str, str]
) -> None:
    check(loop, llama, lives(files), 30)
