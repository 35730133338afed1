"""One name for one model, wherever it is named: every place is asked about every kind of model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from textual.widgets import OptionList

from bench.synthetic import TINY, write_model
from chatapp.cli import Session, root
from chatapp.config import Config, EngineConfig
from chatapp.engine.client import EngineClient
from chatapp.export.registry import export
from chatapp.library.local import find_models, resolve_model
from chatapp.library.names import Names
from chatapp.library.suggestions import find_here
from chatapp.paths import BUILTIN_MODEL, Paths, find_paths
from chatapp.remotes import make_remote, save_remotes
from chatapp.ui.items import note_of
from chatapp.ui.screens.help import model_rows
from chatapp.ui.screens.models import ModelsScreen
from chatapp.ui.widgets.status_line import compose_line
from chatapp.ui.widgets.welcome import WelcomeText, welcome_text

SMALL = replace(TINY, n_vocab=300, n_ctx=512)


def _split(folder: Path) -> Path:
    """A model in two shards."""
    import gguf

    whole = write_model(folder / "whole.gguf", replace(SMALL, name="Split One"))
    reader = gguf.GGUFReader(whole)
    half = len(reader.tensors) // 2
    for number, tensors in enumerate((reader.tensors[:half], reader.tensors[half:])):
        path = folder / f"parts-0000{number + 1}-of-00002.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        if number == 0:
            for field in reader.fields.values():
                if not field.name.startswith(("GGUF.", "general.architecture")):
                    kind = field.types[0]
                    inner = field.types[1] if len(field.types) > 1 else None
                    writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in tensors:
            data = np.array(tensor.data)
            writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    whole.unlink()
    return folder / "parts-00001-of-00002.gguf"


MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "the built-in one": (lambda _: BUILTIN_MODEL, "chatapp built-in"),
    "a name in the header": (
        lambda folder: write_model(folder / "whatever.gguf", replace(SMALL, name="Small Talk")),
        "Small Talk F32",
    ),
    "no name in the header": (
        lambda folder: write_model(folder / "Pebble-1M.gguf", replace(SMALL, name="model")),
        "Pebble-1M F32",
    ),
    "two shards": (_split, "Split One F32"),
}


@pytest.fixture
def paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The places that the command line and the screen share; nothing lies here."""
    found = find_paths()
    found.models.mkdir(parents=True)
    monkeypatch.chdir(found.models.parent)
    return found


def listed(*arguments: str) -> str:
    session = Session(debug=False)
    done = CliRunner().invoke(root, [*arguments], obj=session, catch_exceptions=False)
    return done.stdout


@pytest.mark.parametrize("kind", list(MODELS))
async def test_every_place_says_the_same(run, paths: Paths, kind: str) -> None:
    make, name = MODELS[kind]
    path = make(paths.models)
    config = Config(engine=EngineConfig(model=str(path), n_ctx=256))
    loading: list[str] = []
    client = EngineClient()
    async with run(config=config, client=client, model=path, ready=False) as ui:
        ui.app.chat.on_fact = lambda fact: loading.append(getattr(fact, "name", name))
        await ui.ready()
        assert set(loading) == {name}
        assert client.model.name == name
        assert name in compose_line(ui.status.line, 100).plain
        assert name in welcome_text(ui.pane.query_one(WelcomeText).facts).plain
        assert dict(model_rows(client.model)[1])["Name"] == name
        await ui.write("/set max_tokens 2")
        await ui.wait(lambda: ui.flow.settings.sampling.max_tokens == 2)
        await ui.say("hi")
        answer = ui.path()[-1]
        assert name in note_of(answer)
        assert name in "".join(export("markdown", ui.store, [answer.conversation_id]))
        assert name in "".join(export("json", ui.store, [answer.conversation_id]))
        [row] = [row for row in ui.app.chat.own.rows() if row.name == "model"]
        assert row.value == name
        completed = dict(ui.pane.prompt.sources().models())
        assert name in completed
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        options = ui.app.screen.query_one(OptionList)
        await ui.wait(lambda: any(f"● {name}  " in str(o.prompt) for o in options.options))
        await ui.press("escape")
    assert resolve_model(name, Config(), paths) == path
    rows = json.loads(listed("models", "list", "--json"))
    assert [row["name"] for row in rows if row["path"] == str(path)] == [name]
    assert f"  {name}  " in listed("models", "list")
    assert json.loads(listed("models", "info", str(path), "--json"))["name"] == name
    listed("models", "default", name)
    assert f"model: {name} (" in listed("doctor")
    if path != BUILTIN_MODEL:
        assert name in [here.name for here in find_here(paths, [], None)]


def test_ask_says_the_same(paths: Paths) -> None:
    path = write_model(paths.models / "x.gguf", replace(SMALL, name="Small Talk"))
    said = listed(
        *("ask", "-m", "small talk f32", "--max-tokens", "16", "--temperature", "0", "--json", "hi")
    )
    answer = json.loads(said)
    assert answer["model"] == Names(paths).of(path) == "Small Talk F32"


def test_two_quantisations_are_two_names(paths: Paths) -> None:
    shape = replace(SMALL, name="Twin", n_embd=256, n_ff=256)
    one = write_model(paths.models / "a.gguf", shape)
    two = write_model(paths.models / "b.gguf", replace(shape, ftype="Q4_K_M"))
    names = Names(paths)
    assert names.of(one) == "Twin F32"
    assert names.of(two).startswith("Twin Q")
    assert resolve_model("Twin F32", Config(), paths) == one
    assert resolve_model(names.of(two), Config(), paths) == two


async def test_two_files_of_one_name_are_completed_by_their_paths(run, paths: Paths) -> None:
    one = write_model(paths.models / "a.gguf", replace(SMALL, name="Twin"))
    two = Path(shutil.copy(one, paths.models / "b.gguf"))
    async with run() as ui:
        completed = dict(ui.pane.prompt.sources().models())
    assert {str(one), str(two)} <= set(completed)
    assert "Twin F32" not in completed


def test_what_cannot_be_read_has_the_name_of_its_file(paths: Paths) -> None:
    broken = paths.models / "broken-7B-00001-of-00002.gguf"
    broken.write_bytes(b"GGUF\x03")
    assert Names(paths).of(broken) == "broken-7B"
    [row] = [row for row in json.loads(listed("models", "list", "--json")) if row["error"]]
    assert (row["name"], row["file"]) == ("broken-7B", broken.name)


def test_a_remote_is_called_by_its_name_and_its_model(paths: Paths) -> None:
    save_remotes({"lab": make_remote("lab", "lab.example", "owner/qwen3")}, paths)
    remote = resolve_model("Lab: Qwen3", Config(), paths)
    assert str(remote) == "remote:lab"
    assert Names(paths).of(remote) == "lab: qwen3"
    listed("models", "default", "remote:lab")
    rows = {row["file"]: row["name"] for row in json.loads(listed("models", "list", "--json"))}
    assert rows["remote:lab"] == "lab: qwen3"
    assert "*  lab: qwen3" in listed("models", "list")
    assert json.loads(listed("models", "info", "remote:lab", "--json"))["name"] == "lab: qwen3"
    assert "model: lab: qwen3 runs on a server" in listed("doctor")
    assert find_models(paths)[0].path == BUILTIN_MODEL
