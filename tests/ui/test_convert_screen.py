"""The screen that converts a model: a real converter process on a tiny real checkpoint."""

import os
import signal
from pathlib import Path

import pytest
import torch
from textual.command import CommandPalette
from textual.widgets import Button, Input, Select, Static

from chatapp.ui.conversion import default_output, plan_text, types_of
from chatapp.ui.screens.convert import ConvertScreen
from chatapp.ui.screens.models import ModelsScreen
from chatapp.ui.widgets.answers import Answers
from chatapp.ui.widgets.path_input import complete
from chatapp.ui.widgets.steps import Steps
from tests.convert.conftest import make_state
from tests.convert.tiny import N_TOKENS, write_tokenizer

torch.set_num_threads(1)
PLAN = {
    "arch": "gpt2",
    "n_weights": 1_500_000,
    "n_tokens": 512,
    "chat_template": True,
    "evidence": ["names are nanoGPT's"],
    "notes": [],
    "ignored": [],
    "sizes": {"F16": 3_000_000, "IQ1_S": 400_000},
    "need_imatrix": ["IQ1_S"],
    "type": "F16",
    "name": "tiny",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A nanoGPT checkpoint with its tokenizer."""
    folder = tmp_path / "tiny-source"
    args = {"n_layer": 2, "n_head": 4, "n_embd": 64, "block_size": 64, "bias": False}
    args |= {"vocab_size": N_TOKENS, "dropout": 0.0}
    write_tokenizer(folder)
    torch.save({"model": make_state(args), "model_args": args}, folder / "ckpt.pt")
    return folder


class Form:
    """The convert screen of a running app, and words for what a user does there."""

    def __init__(self, ui) -> None:
        self.ui = ui

    async def open(self) -> "Form":
        await self.ui.press("f3")
        await self.ui.wait(lambda: isinstance(self.ui.app.screen, ConvertScreen))
        self.screen = self.ui.app.screen
        await self.ui.wait(lambda: self.screen.focused is not None)
        return self

    @property
    def text(self) -> str:
        return str(self.screen.query_one("#text", Static).render())

    @property
    def steps(self) -> dict[str, float]:
        return self.screen.query_one(Steps).fractions

    @property
    def pid(self) -> int | None:
        return self.ui.app.setup.converter.pid

    def field(self, name: str) -> Input:
        return self.screen.query_one(f"#{name}", Input)

    def button(self, name: str) -> Button:
        return self.screen.query_one(f"#{name}", Button)

    async def rest(self) -> None:
        await self.ui.wait(lambda: self.screen.activity == "", 60)

    async def plan(self, source: Path, options: str = "--parity off") -> None:
        self.field("source").value = str(source)
        self.field("options").value = options
        self.field("source").focus()
        await self.ui.press("enter")
        await self.ui.wait(lambda: self.screen.activity == "planning")
        await self.rest()

    async def begin(self, step: str) -> None:
        """Convert, as far as the beginning of a step."""
        self.button("convert").press()
        await self.ui.wait(lambda: step in self.steps, 60)


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


async def test_from_a_checkpoint_to_a_chat(run, paths, source):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source)
        assert "gpt2 · 0.1 M weights · 512 tokens · chat template" in form.text
        assert "nanoGPT" in form.text
        assert "Q4_K_M" in form.text
        assert form.field("output").value == str(paths.models / "tiny-source-F32.gguf")
        form.screen.query_one(Select).value = "Q8_0"
        wanted = paths.models / "tiny-source-Q8_0.gguf"
        await ui.wait(lambda: form.field("output").value == str(wanted))
        form.button("convert").press()
        await ui.wait(lambda: "Wrote" in form.text, 60)
        await form.rest()
        assert "no difference" in form.text
        assert "not compared: switched off" in form.text
        assert wanted.read_bytes()[:4] == b"GGUF"
        assert left_in(paths.models) == [wanted.name]
        form.button("chat").press()
        await ui.wait(
            lambda: ui.client.model is not None and ui.client.model.path == str(wanted), 20
        )
        assert len(ui.app.screen_stack) == 1


async def test_logits_are_compared_and_said(run, source):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source, options="")
        assert "the logits are compared with our reading of nanoGPT" in form.text
        form.button("convert").press()
        await ui.wait(lambda: "Wrote" in form.text, 120)
        assert "likeliest token alike" in form.text


async def test_a_refusal_is_a_sentence_and_a_hint(run, tmp_path, source):
    (source / "tokenizer.json").unlink()
    (source / "tokenizer_config.json").unlink()
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source)
        assert "leaves 1 thing open: tokenizer." in form.text
        assert "No tokenizer beside the checkpoint" in form.text
        assert form.button("convert").disabled
        await form.plan(tmp_path / "nothing.pt")
        assert "does not exist" in form.text
        await form.plan(source, options="--nonsense")
        assert "--nonsense" in form.text
        form.field("options").value = "--set 'open"
        form.button("plan").press()
        await ui.wait(lambda: "options cannot be read" in form.text)


async def test_another_source_needs_another_plan(run, source):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source)
        assert not form.button("convert").disabled
        form.field("source").value = str(source / "ckpt.pt")
        await ui.wait(lambda: form.button("convert").disabled)


async def test_an_output_that_is_there_is_kept(run, tmp_path, source):
    precious = tmp_path / "precious.gguf"
    precious.write_text("precious")
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source)
        form.field("output").value = str(precious)
        form.button("convert").press()
        await ui.wait(lambda: "exists already" in form.text)
        assert precious.read_text() == "precious"


async def test_cancel_stops_the_converter_and_leaves_nothing(run, paths, source):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source, options="")
        await form.begin("prove")
        assert left_in(paths.models) == ["tiny-source-F32.gguf.part"]
        form.button("cancel").press()
        await form.rest()
        assert form.text == "Cancelled: nothing was written."
        assert form.pid is None
        assert left_in(paths.models) == []
        assert not form.button("convert").disabled


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_leaving_a_conversion_asks_first(run, paths, source, key):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source, options="")
        await form.begin("prove")
        await ui.press(key)
        await ui.wait(lambda: any("again cancels it" in text for text in ui.notices()))
        assert form.pid is not None
        await ui.press(key)
        await ui.wait(lambda: len(ui.app.screen_stack) == 1, 30)
        assert form.pid is None
        assert left_in(paths.models) == []


async def test_quitting_asks_first_and_leaves_no_process(run, paths, source):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source, options="")
        await form.begin("prove")
        pid = form.pid
        await ui.press("ctrl+q")
        await ui.wait(lambda: any("Ctrl+Q again" in text for text in ui.notices()))
        assert ui.app.return_code is None
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None, 30)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert left_in(paths.models) == []


async def test_a_killed_converter_is_explained_and_tidied_up(run, paths, source):
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(source, options="")
        await form.begin("prove")
        os.kill(form.pid, signal.SIGKILL)
        await form.rest()
        assert "The converter ended (signal 9)" in form.text
        assert left_in(paths.models) == []


async def test_it_opens_from_the_models_screen_too(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    async with run() as ui:
        await ui.press("ctrl+o")
        await ui.wait(lambda: isinstance(ui.app.screen, ModelsScreen))
        await ui.press("f3")
        await ui.wait(lambda: isinstance(ui.app.screen, ConvertScreen))
        await ui.press("escape")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)


async def test_it_opens_from_the_palette(run):
    async with run() as ui:
        await ui.press("ctrl+p")
        await ui.wait(lambda: isinstance(ui.app.screen, CommandPalette))
        await ui.pilot.press(*"convert model")
        await ui.pilot.press("enter")
        await ui.wait(lambda: isinstance(ui.app.screen, ConvertScreen))


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_everything_fits(run, size, source):
    async with run(size=size) as ui:
        form = await Form(ui).open()
        await form.plan(source)
        for name in ("source", "type", "output", "options", "report", "plan", "convert"):
            region = form.screen.query_one(f"#{name}").region
            assert region.height >= 1
            assert region.right <= size[0]
            assert region.bottom <= size[1] - 1
        assert form.screen.query_one("#report").region.height >= 8


async def test_tab_completes_a_path(run, source):
    async with run() as ui:
        form = await Form(ui).open()
        field = form.field("source")
        typed = str(source)[:-3]
        for character in typed:
            await ui.press(character)
        await ui.wait(lambda: field._suggestion == f"{source}/")
        await ui.press("tab")
        assert field.value == f"{source}/"
        await ui.press("tab")
        assert form.screen.focused is not field


def test_completion_looks_into_folders(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ckpt.pt").touch()
    (tmp_path / ".hidden").touch()
    assert complete(f"{tmp_path}/mo") == f"{tmp_path}/models/"
    assert complete(f"{tmp_path}/models/ck") == f"{tmp_path}/models/ckpt.pt"
    assert complete(f"{tmp_path}/") is None
    assert complete(f"{tmp_path}/h") is None
    assert complete(f"{tmp_path}/nowhere/x") is None
    assert complete("~nobody-of-this-name/x") is None


def test_without_pytorch_the_plan_says_so():
    assert "no logits are compared" in str(plan_text(PLAN, compares_logits=False))
    assert "no logits are compared" not in str(plan_text(PLAN, compares_logits=True))


def test_names_from_a_checkpoint_are_cleaned():
    red = [[f"\x1b[31m{letter}", "why"] for letter in "abcdef"]
    plan = PLAN | {"notes": ["a\x1b]0;title\x07note"], "ignored": red}
    text = str(plan_text(plan, compares_logits=True))
    assert "\x1b" not in text
    assert "2 more" in text
    output = default_output(Path("/models"), PLAN | {"name": "../a/\x1b[1mb c"}, "Q8_0")
    assert output.parent == Path("/models")
    assert "\x1b" not in output.name


def test_types_that_need_more_are_offered_with_it():
    assert [name for _, name in types_of(PLAN, imatrix=False)] == ["", "F16"]
    assert [name for _, name in types_of(PLAN, imatrix=True)] == ["", "F16", "IQ1_S"]


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    (tmp_path / "tiny-F16.gguf").touch()
    assert default_output(tmp_path, PLAN, "").name == "tiny-F16-2.gguf"


async def test_what_is_open_becomes_fields_and_their_answers_the_plan(run, tmp_path):
    from tests.convert.hand_written import Own
    from tests.convert.test_gpt2_spellings import randomise

    torch.save(randomise(Own()).state_dict(), tmp_path / "model.pt")
    write_tokenizer(tmp_path / "words" / "inside")
    async with run() as ui:
        form = await Form(ui).open()
        await form.plan(tmp_path / "model.pt")
        assert "leaves 3 things open: n_head, activation, tokenizer." in form.text
        assert "attention has 4 heads" in form.text
        assert form.button("convert").disabled
        heads, activation = form.screen.query(Answers).first().query(Select)
        line = form.screen.query_one(Answers).query_one(Input)
        await ui.wait(lambda: form.screen.focused is heads)
        heads.value, activation.value = "4", "gelu"
        line.value = str(tmp_path / "words" / "inside")
        line.focus()
        await ui.press("enter")
        await ui.wait(lambda: not form.button("convert").disabled, 60)
        assert "gpt2 · " in form.text
        heads.value = "8"
        await ui.wait(lambda: form.button("convert").disabled)
        form.field("source").value = "elsewhere.pt"
        await ui.wait(lambda: not form.screen.query_one(Answers).children)
