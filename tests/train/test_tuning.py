"""Fine-tuning for real: tiny models of ours and of transformers', all weights and LoRA."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import peft
import pytest
import torch
from click.testing import CliRunner

from bench.lora import measure_llama
from chatapp.cli.train import train as command
from chatapp.errors import ChatAppError
from chatapp.gguf.seen import FILE, Seen
from chatapp.train.bases import FolderBase, open_base
from chatapp.train.chats import Said
from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.data import Batch, ChatTurns, Sample
from chatapp.train.language_model import IGNORED, LanguageModel
from chatapp.train.progress import Progress
from chatapp.train.run import train
from chatapp.train.tuning import foretell_tuning, go_on_tuning, tune
from chatapp.train.tuning_settings import LoraSettings, Tuning
from chatapp.train.wishes import Wishes
from convert.pipeline import convert
from tests.engine.transformers_folders import TEMPLATE, write_gpt2, write_t5

LORA = LoraSettings(rank=4)
ANSWER = "the quick dog"


class Recorder:
    """Keeps what it is told; sends Ctrl+C at a step when asked to."""

    def __init__(self, interrupt_at: int = 0) -> None:
        self.losses: list[float] = []
        self.said: list[str] = []
        self._at = interrupt_at

    def report(self, progress: Progress) -> None:
        if progress.val_loss is not None:
            self.losses.append(progress.val_loss)
        if progress.step == self._at:
            signal.raise_signal(signal.SIGINT)

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bases by name: transformers' GPT-2 with a template and without, ours in both shapes."""
    place = tmp_path_factory.mktemp("bases")
    write_gpt2(place / "gpt2", chat_template=TEMPLATE)
    write_gpt2(place / "untold")
    text = place / "text.txt"
    text.write_text("\n".join(f"The {n} cats sat on {n} mats, said the dog." for n in range(200)))
    for shape in ("ours", "llama"):
        wishes = Wishes(
            steps=1, shape="gpt2" if shape == "ours" else shape, size="150K", context=64
        )
        train((text,), place / shape, wishes=wishes, reporter=Recorder())
    return place


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    talks = [[f"hello {n}", ANSWER] for n in range(24)]
    path.write_text("".join(f"{json.dumps(talk)}\n" for talk in talks))
    return path


def make_tuning(base: Path, chats: Path, *, lora: bool = False, steps: int = 24) -> Tuning:
    kind = LORA if lora else None
    return Tuning(base, (chats,), lora=kind, steps=steps, learning_rate=1e-2, batch_tokens=100)


def loss_of(model: LanguageModel, sample: Sample) -> float:
    (batch,) = [ChatTurns([sample], 128, 0, 0.0).batch(0, 1, 128)]
    model.eval()
    with torch.no_grad():
        return model.loss(batch.tokens, batch.targets).item()


def test_how_a_model_is_used_is_said_of_what_becomes_of_it(
    folders: Path, chats: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(folders / "ours", tmp_path / "base"))
    (base / "generation_config.json").write_text('{"temperature": 0.0, "chatapp_guide": true}')
    done = tune(make_tuning(base, chats, steps=2), tmp_path / "out", Recorder())
    for folder in (done.folder, tmp_path / "out" / "best"):
        used = json.loads((folder / "generation_config.json").read_text())
        assert used == {"temperature": 0.0, "chatapp_guide": True}


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("name", ["gpt2", "untold", "ours", "llama"])
def test_the_loss_on_answers_falls_and_what_is_written_has_it(
    name: str, lora: bool, folders: Path, chats: Path, tmp_path: Path
) -> None:
    recorder, out = Recorder(), tmp_path / "out"
    done = tune(make_tuning(folders / name, chats, lora=lora), out, recorder)
    assert recorder.losses[-1] < recorder.losses[0] - 0.3
    assert (out / "best").is_dir()
    assert (out / FILE).is_file()
    seen = Seen.parse((out / FILE).read_text())
    assert seen is not None

    talk = (Said("user", "hello 99"), Said("assistant", ANSWER))
    base = open_base(folders / name, 0, "", frozen=False)
    sample = base.encode(talk)
    untuned = loss_of(base.model, sample)
    if lora:
        assert done.command.startswith(f"chatapp convert {folders / name} --lora {done.folder}")
        assert not (out / "model.safetensors").exists()
        inside = base.model.body if isinstance(base, FolderBase) else base.model
        config = peft.PeftConfig.from_pretrained(str(done.folder))
        adapted = peft.PeftModel(inside, config)  # type: ignore[arg-type]
        adapted.load_adapter(str(done.folder), "default")
        tuned = base.model
    else:
        assert done.command == f"chatapp --model {done.folder}"
        again = open_base(done.folder, 0, "", frozen=False)
        assert again.encode(talk) == sample  # with the template that was trained with
        assert again.template == ""
        tuned = again.model
    assert loss_of(tuned, sample) < untuned - 0.4

    merged = {"lora": done.folder} if lora else {}
    source = folders / name if lora else done.folder
    file = convert(source, tmp_path / "tuned.gguf", ftype="F32", parity="off", **merged).output
    assert measure_llama(file, [sample]) == pytest.approx(loss_of(tuned, sample), rel=0.01)


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("name", ["gpt2", "ours"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    name: str, lora: bool, folders: Path, chats: Path, tmp_path: Path
) -> None:
    tuning = make_tuning(folders / name, chats, lora=lora, steps=12)
    tune(tuning, tmp_path / "whole", Recorder())
    with pytest.raises(KeyboardInterrupt):
        tune(tuning, tmp_path / "broken", Recorder(interrupt_at=10))
    go_on_tuning(tmp_path / "broken", reporter=Recorder())
    state = "" if name == "ours" and not lora else "training"
    whole, broken = (load_checkpoint(tmp_path / run / state) for run in ("whole", "broken"))
    assert whole.iter_num == broken.iter_num == 12
    assert whole.model.keys() == broken.model.keys()
    for key, tensor in whole.model.items():
        assert torch.equal(tensor, broken.model[key]), key
    if lora:
        assert all(".lora_" in key for key in whole.model)


def test_masked_tokens_carry_no_loss(folders: Path, chats: Path) -> None:
    base = open_base(folders / "gpt2", 0, "", frozen=False)
    model = base.model.eval()
    sample = base.encode((Said("user", "hello"), Said("assistant", ANSWER)))
    batch = ChatTurns([sample, sample], 128, 0, 0.0).batch(0, 2 * len(sample.tokens), 128)
    assert batch.tokens.shape[0] == 2
    short = batch.targets.clone()
    short[1, : short.shape[1] // 2] = IGNORED
    short[1, -3] = IGNORED  # rows that differ in where their answers are
    logits = model.body(batch.tokens).logits.log_softmax(-1)  # type: ignore[union-attr]
    wanted = short != IGNORED
    picked = logits[wanted].gather(1, short[wanted][:, None])
    assert model.loss(batch.tokens, short).item() == pytest.approx(-picked.mean().item(), rel=1e-5)
    unmasked = Batch(batch.tokens, batch.tokens)
    assert model.loss(unmasked.tokens, unmasked.targets, masked=False).item() != pytest.approx(
        -picked.mean().item(), rel=1e-3
    )


def test_what_cannot_be_tuned_is_refused_and_nothing_is_written(
    folders: Path, chats: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bad = tmp_path / "bad.jsonl"
    long = json.dumps(["hello " * 200, "a dog"])
    bad.write_text(f'["a", "b"]\n{long}\n{{"messages": [{{"role": "boss"}}]}}\n')
    with pytest.raises(ChatAppError, match=r"bad.jsonl, line 3 has the role 'boss'"):
        tune(make_tuning(folders / "gpt2", bad), out, Recorder())
    bad.write_text(f'["a", "b"]\n{long}\n')
    with pytest.raises(ChatAppError, match=r"bad.jsonl, line 2 has \d+ tokens; the context is 128"):
        tune(make_tuning(folders / "gpt2", bad), out, Recorder())
    write_t5(tmp_path / "t5")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for base, reason in (
        (tmp_path / "t5", "makes a text of a text"),
        (tmp_path / "model.gguf", "cannot be trained"),
        (tmp_path / "absent", "no model at"),
        (tmp_path, "no config.json"),
    ):
        with pytest.raises(ChatAppError, match=reason):
            tune(make_tuning(base, chats), out, Recorder())
    assert not out.exists()
    (out / "x").mkdir(parents=True)
    with pytest.raises(ChatAppError, match="not empty"):
        tune(make_tuning(folders / "gpt2", chats), out, Recorder())


def test_a_run_goes_on_with_its_own_chats_alone(folders: Path, chats: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(
            make_tuning(folders / "gpt2", chats, lora=True, steps=12),
            tmp_path / "out",
            Recorder(interrupt_at=10),
        )
    chats.write_text(chats.read_text().replace("hello 3", "hello you"))
    with pytest.raises(ChatAppError, match="not those that the run"):
        go_on_tuning(tmp_path / "out", reporter=Recorder())
    (tmp_path / "out" / "finetune.json").write_text('{"base": 5}')
    with pytest.raises(ChatAppError, match="no record"):
        go_on_tuning(tmp_path / "out", reporter=Recorder())


def test_bad_lines_are_left_out_when_that_is_asked_for(
    folders: Path, chats: Path, tmp_path: Path
) -> None:
    with chats.open("a") as file:
        file.write('{"messages": []}\n')
    tuning = Tuning(folders / "gpt2", (chats,), skip_bad=True, minutes=0.02)
    recorder = Recorder()
    tune(tuning, tmp_path / "out", recorder)
    assert f"{chats}, line 25 is empty." in recorder.said
    assert "1 line is left out." in recorder.said


def test_a_dry_run_says_what_would_be_and_writes_nothing(
    folders: Path, chats: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    lines = foretell_tuning(make_tuning(folders / "gpt2", chats, lora=True), Recorder())
    said = "\n".join(lines)
    assert [line.split()[0] for line in lines] == [
        *("model", "chats", "steps", "time", "memory", "disk")
    ]
    assert "trained (LoRA of rank 4)" in said
    assert "23 (" in said
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_trains_goes_on_and_says_what_is_next(
    folders: Path, chats: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["finetune", str(folders / "gpt2"), str(chats), "--lora", "--steps", "2"]
    done = CliRunner().invoke(command, [*words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(out)
    assert "--chat" in done.stderr
    assert json.loads((out / "adapter_config.json").read_text())["peft_type"] == "LORA"
    done = CliRunner().invoke(command, ["resume", str(out), "--steps", "4"])
    assert load_checkpoint(out / "training").iter_num == 4
    for wrong in (["--rank", "4"], ["--steps", "2", "--epochs", "1"]):
        asked = [*words[:3], *wrong, "--out", str(out)]
        assert CliRunner().invoke(command, asked).exit_code == 2
    shutil.rmtree(out)
    assert CliRunner().invoke(command, [*words, "--dry-run"]).exit_code == 0
    assert not out.exists()
