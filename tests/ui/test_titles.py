"""Titles by the model: when idle, over nobody's name, and without losing the chat's place."""

import asyncio
from dataclasses import replace

import pytest

from chatapp.config import Config
from chatapp.engine.client import EngineClient
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams


def by_model(**sampling: object) -> Config:
    config = Config()
    return replace(
        config,
        chat=replace(config.chat, titles="model"),
        sampling=SamplingParams(**sampling),  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("chatapp.ui.chat.titles.IDLE_S", 0.05)
    monkeypatch.setattr("chatapp.titling.QUESTION", "/words 3")


def title(ui) -> str:
    return ui.store.get_conversation(ui.app.chat.open_id).title


async def test_a_chat_gets_its_title_from_the_model(run):
    async with run(config=by_model(), size=(120, 30)) as ui:
        await ui.say("what is it?")
        await ui.wait(lambda: title(ui) != "what is it?")
        assert len(title(ui).split()) <= 3
        await ui.wait(lambda: ui.app.chat.sidebar.chats.rows[0].title == title(ui))
        assert len(ui.path()) == 2, "the question for it is in no chat"
        named = title(ui)
        await ui.say("and then?")
        await asyncio.sleep(0.5)
        assert title(ui) == named


async def test_it_is_the_first_line_unless_one_asks_for_it(run):
    async with run() as ui:
        await ui.say("first line")
        await asyncio.sleep(0.5)
        assert title(ui) == "first line"


async def test_no_title_while_one_writes_and_none_over_a_name(run):
    async with run(config=by_model()) as ui:
        await ui.write("question one")
        await ui.press(*"draft")
        await ui.idle()
        await asyncio.sleep(0.5)
        assert title(ui) == "question one"
        ui.pane.prompt.set_prompt("")
        await ui.write("/title mine")
        await ui.wait(lambda: title(ui) == "mine")
        await ui.say("again")
        await asyncio.sleep(0.5)
        assert title(ui) == "mine"


async def test_what_is_sent_ends_the_title(run, monkeypatch):
    monkeypatch.setattr("chatapp.titling.QUESTION", "/words 3000\n/delay 50")
    monkeypatch.setattr("chatapp.titling.MAX_TOKENS", 5000)
    async with run(config=by_model()) as ui:
        await ui.say("one")
        await ui.wait(lambda: ui.app.chat.titling._request is not None)
        await ui.say("two")  # it would be in the line for minutes
        assert ui.said() == ["one", "one", "two", "two"]
        await ui.wait(lambda: ui.app.chat.titling._request is not None)
        await ui.press("escape")
        await ui.wait(lambda: ui.app.chat.titling._request is None)
        assert title(ui) == "one"


async def test_the_chat_keeps_its_place_in_the_model(run, paths, monkeypatch):
    monkeypatch.setattr("chatapp.titling.QUESTION", "Give this a title.")
    client = EngineClient(log_path=paths.engine_log)
    config = by_model(max_tokens=8, temperature=0.0)
    async with run(config=config, client=client, model=BUILTIN_MODEL) as ui:
        await ui.say("The sky is blue and the grass is green.")
        asked = ui.app.chat.titling
        await ui.wait(lambda: asked._request is not None)
        await ui.wait(lambda: asked._request is None)
        await ui.say("More?")
        first, second = ui.path()[1].generation, ui.path()[3].generation
        kept = first.prompt_tokens + first.completion_tokens
        assert second.reused_tokens >= kept - 2
