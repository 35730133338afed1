"""A store in a file, and engines in processes of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "history.db")
    yield opened
    opened.close()


@pytest.fixture
async def echo() -> AsyncIterator[EngineClient]:
    client = EngineClient(backend="echo")
    await client.load(LoadOptions(path="echo"))
    yield client
    await client.stop()


@pytest.fixture
async def llama(tiny_model: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(tiny_model)))
    yield client
    await client.stop()
