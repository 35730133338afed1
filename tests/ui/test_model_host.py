"""Which model is loaded, or is on its way, whatever fails or is cancelled meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatapp.config import EngineConfig
from chatapp.engine.client import EngineClient
from chatapp.errors import UsageError
from chatapp.ui.chat.model_host import ModelHost
from chatapp.ui.messages import ModelFailed, ModelLoading, ModelReady

GOOD, BAD, OTHER = Path("good.gguf"), Path("bad.gguf"), Path("other.gguf")


class Told:
    """A host on the scripted engine that refuses one file, and its facts as they came, each with
    what was called failed at that moment."""

    def __init__(self, client: EngineClient) -> None:
        self.facts: list[tuple[type, str, Path | None]] = []
        config = EngineConfig()
        self.host = ModelHost(client, config, self._template, lambda path: path.name, self._hear)

    def _template(self, path: Path) -> str:
        if path == BAD:
            raise UsageError("There is no such template.")
        return ""

    def _hear(self, fact) -> None:
        name = fact.model.path if isinstance(fact, ModelReady) else fact.name
        heard = (type(fact), Path(name).name, self.host.failed)
        if heard not in self.facts[-1:]:  # a model tells several times how far it is
            self.facts.append(heard)


@pytest.fixture
async def told(paths) -> AsyncIterator[Told]:
    client = EngineClient(backend="echo", log_path=paths.engine_log)
    yield Told(client)
    await client.stop()


async def test_nothing_is_called_failed_while_the_model_before_is_loaded_again(told):
    """What is called failed is tried again when a message is sent, in place of what is loading."""
    assert await told.host.load(GOOD)
    del told.facts[:]
    assert not await told.host.load(BAD)
    assert told.facts == [
        (ModelLoading, "bad.gguf", None),
        (ModelFailed, "bad.gguf", None),
        (ModelLoading, "good.gguf", None),
        (ModelReady, "good.gguf", None),
    ]
    assert told.host.failed is None


async def test_without_a_model_before_it_is_the_one_that_is_tried_again(told):
    assert not await told.host.load(BAD)
    assert told.host.failed == BAD
    assert await told.host.load(GOOD)
    assert told.host.failed is None


async def test_a_load_that_gives_way_to_another_does_not_fail(told):
    first = asyncio.create_task(told.host.load(GOOD))
    while not told.facts:
        await asyncio.sleep(0)
    second = asyncio.create_task(told.host.load(OTHER))
    await asyncio.sleep(0)  # the second has begun
    first.cancel()
    await asyncio.wait({first})
    assert told.host.failed is None
    assert await second
    assert ModelFailed not in [kind for kind, *_ in told.facts]


async def test_a_load_that_is_cancelled_can_be_tried_again(told):
    load = asyncio.create_task(told.host.load(GOOD))
    while not told.facts:
        await asyncio.sleep(0)
    load.cancel()
    await asyncio.wait({load})
    assert told.host.failed == GOOD
    assert told.facts[-1][:2] == (ModelFailed, "good.gguf")
