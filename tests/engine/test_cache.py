"""The cache on a real model: a cancel touches its own request only."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapp.engine.backend import Cancellation
from chatapp.engine.llama import native
from chatapp.engine.llama.cache import Cancelled, TokenCache
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.protocol import LoadOptions


@pytest.fixture
def cache(tiny_model: Path) -> Iterator[TokenCache]:
    native.start()
    model = LoadedModel(LoadOptions(path=str(tiny_model), n_ctx=2048), lambda _fraction: None)
    cache = TokenCache(model)
    yield cache
    cache.close()
    model.close()


def read(cache: TokenCache, n: int) -> None:
    cache.keep_prefix([])
    cache.prefill([65] * n, lambda _done: None)


def test_a_cancel_before_and_during_a_request_ends_it(cache: TokenCache) -> None:
    early = Cancellation()
    early.set()
    with cache.abortable(early), pytest.raises(Cancelled):
        read(cache, 100)
    late = Cancellation()
    with cache.abortable(late):
        read(cache, 100)
        late.set()
        with pytest.raises(Cancelled):
            read(cache, 100)
    with cache.abortable(Cancellation()):
        read(cache, 100)


def test_a_cancel_that_comes_late_leaves_the_next_request_alone(cache: TokenCache) -> None:
    """The thread that reads commands had looked up what to call, and was then held up."""
    first = Cancellation()
    with cache.abortable(first):
        read(cache, 10)
        held_up = first.on_set
    assert held_up is not None
    held_up()  # between the two
    with cache.abortable(Cancellation()):
        held_up()  # in the middle of the second
        read(cache, 1000)
        assert len(cache.tokens) == 1000


def test_cancels_from_another_thread_touch_their_own_request(cache: TokenCache) -> None:
    """Every other request is cancelled by a thread, whenever that gets to it."""
    running = threading.Event()
    victims: list[Cancellation] = []

    def cancel_all() -> None:
        done = 0
        while running.is_set() or done < len(victims):
            if done < len(victims):
                victims[done].set()
                done += 1

    running.set()
    thread = threading.Thread(target=cancel_all)
    thread.start()
    try:
        for number in itertools.count():
            cancelled = Cancellation()
            if number % 2:
                victims.append(cancelled)
            try:
                with cache.abortable(cancelled):
                    read(cache, 8)
            except Cancelled:
                assert number % 2
            if number == 300:
                break
    finally:
        running.clear()
        thread.join()
