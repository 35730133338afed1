"""What happens to a run: killed, out of memory, on a full disk, no longer a number, in several
processes; and both shapes through the converter."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chatapp.errors import ChatAppError, UsageError
from chatapp.train import keeping, loop, stepping
from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.data import Batch
from chatapp.train.language_model import IGNORED
from chatapp.train.llama import LlamaArgs
from chatapp.train.loop import measure
from chatapp.train.metering import read_log
from chatapp.train.model import ModelArgs
from chatapp.train.parallel import Ranks
from chatapp.train.plan import choose_rate
from chatapp.train.plot import draw_losses
from chatapp.train.progress import Silent
from chatapp.train.run import foretell, go_on, learn_tokenizer, train
from chatapp.train.shapes import SIZES, count, make_model, resize
from chatapp.train.stepping import Stepper
from chatapp.train.tuning import tune
from chatapp.train.tuning_settings import Tuning
from chatapp.train.wishes import Wishes
from convert.cli import main as convert
from tests.architecture.sources import ROOT

RECIPE = """
threads = 1
[model]
n_layer = 2
n_head = 2
n_embd = 32
block_size = 32
vocab_size = 300
{model}
[pretrain]
steps = 200
batch_tokens = 64
window = 16
long_from = 1.0
warmup = 2
eval_every = 20
eval_rows = 4
{pretrain}
[[text]]
path = "text.txt"
"""


def write_recipe(folder: Path, model: str = "", pretrain: str = "", steps: int = 200) -> Path:
    lines = [f"The {n} cats sat on {n} mats and said hello to dog {n % 7}." for n in range(300)]
    (folder / "text.txt").write_text("\n".join(lines))
    path = folder / "recipe.toml"
    made = RECIPE.format(model=model, pretrain=pretrain)
    path.write_text(made.replace("steps = 200", f"steps = {steps}"))
    return path


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def curve(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_log(folder)]


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path):
    recipe = write_recipe(tmp_path, model="dropout = 0.1")
    train((recipe,), tmp_path / "whole", reporter=Silent())
    draw = random.Random(time.time())
    out = tmp_path / "broken"
    command = [sys.executable, "-m", "chatapp", "train", str(recipe), "-o", str(out), "--resume"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    kills = 0
    for lines in sorted(draw.sample(range(1, 9), 2)):
        child = subprocess.Popen(command, env=surroundings, stderr=subprocess.DEVNULL)
        while child.poll() is None and len(read_log(out)) < lines:
            time.sleep(0.001)
        child.kill()
        kills += child.wait() == -signal.SIGKILL
    assert kills
    go_on(out, reporter=Silent())
    whole, broken = curve(tmp_path / "whole"), curve(out)
    assert [step for step, _ in broken] == [step for step, _ in whole] == list(range(10, 201, 10))
    for (_, ours), (_, theirs) in zip(broken, whole, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_folder_is_one_runs_until_its_process_ends(tmp_path: Path):
    recipe = write_recipe(tmp_path, steps=1)
    out = tmp_path / "not there" / "out"
    code = "import sys, time; from pathlib import Path; from chatapp.train.claiming import claim\n"
    code += "with claim(Path(sys.argv[1])): print(flush=True); time.sleep(600)"
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            for resume in (False, True):
                with pytest.raises(ChatAppError, match="Another process is training in"):
                    train((recipe,), out, resume=resume, reporter=Silent())
            with pytest.raises(ChatAppError, match="Another process is training in"):
                tune(Tuning(tmp_path, (recipe,)), out, Silent())
            assert not list(out.iterdir())
        finally:
            other.kill()
    train((recipe,), out, reporter=Silent())


def test_a_run_that_fails_leaves_no_empty_folder(tmp_path: Path):
    write_recipe(tmp_path)
    with pytest.raises(UsageError, match="too short"):
        wishes = Wishes(minutes=1e-6, context=16, size="30k")
        train((tmp_path / "text.txt",), tmp_path / "new" / "out", wishes=wishes, reporter=Silent())
    chats = tmp_path / "chats.jsonl"
    chats.write_text('["hello", "Good day."]\n')
    with pytest.raises(UsageError, match="no model at"):
        tune(Tuning(tmp_path / "none", (chats,)), tmp_path / "new", Silent())
    assert sorted(tmp_path.iterdir()) == [chats, tmp_path / "recipe.toml", tmp_path / "text.txt"]
    with pytest.raises(UsageError, match="is no folder"):
        train((tmp_path / "text.txt",), tmp_path / "text.txt" / "out", reporter=Silent())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_both_shapes_learn_go_on_and_convert(tmp_path: Path, shape: str, optimizer: str):
    more = 'shape = "llama"\nn_kv_head = 1' if shape == "llama" else ""
    told = f'optimizer = "{optimizer}"\nlearning_rate = 1e-2'
    recipe = write_recipe(tmp_path, more, told, steps=60)
    out = tmp_path / "out"
    train((recipe,), out, wishes=Wishes(steps=40), reporter=Silent())
    first, last = curve(out)[0][1], curve(out)[-1][1]
    assert last < first - 1
    train((recipe,), out, resume=True, reporter=Silent())
    checkpoint = load_checkpoint(out)
    assert checkpoint.iter_num == 60
    assert ("parts" in checkpoint.optimizer) == (optimizer == "muon")
    assert torch.isfinite(checkpoint.model["lm_head.weight"]).all()
    if optimizer == "muon":
        return
    best = load_checkpoint(out / "best")
    assert (best.iter_num, best.optimizer) == (best.best_step, {})
    assert best.best_val_loss <= checkpoint.best_val_loss
    assert convert([str(out / "best"), "-o", str(tmp_path / "model.gguf")]) == 0


def test_a_llama_is_hugging_faces(tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    recipe = write_recipe(tmp_path, 'shape = "llama"\nn_kv_head = 1\n', steps=2)
    out = tmp_path / "out"
    train((recipe,), out, reporter=Silent())
    checkpoint = load_checkpoint(out)
    ours = checkpoint.restore_model().eval()
    config = transformers.AutoConfig.from_pretrained(out)
    theirs = transformers.AutoModelForCausalLM.from_config(config).eval()
    theirs.load_state_dict(checkpoint.model)
    tokens = torch.arange(24)[None] * 5 % config.vocab_size
    with torch.no_grad():
        assert torch.allclose(ours(tokens), theirs(tokens).logits, atol=1e-5)


def test_sizes_by_name_and_by_number():
    args: ModelArgs | LlamaArgs
    for args in (ModelArgs(), LlamaArgs()):
        for name in ("tiny", "mini"):
            made = resize(args, name)
            assert count(made) == make_model(made).count_parameters()
            assert (made.n_layer, made.n_head, made.n_embd) == SIZES[name]
        for size, wanted in {"10M": 1e7, "124m": 1.24e8, "800k": 8e5, "1.5B": 1.5e9}.items():
            assert count(resize(args, size)) == pytest.approx(wanted, rel=0.15)
        for size in ("huge", "-3", "10X", "10", "0", ""):
            with pytest.raises(UsageError):
                resize(args, size)
    gpt2 = resize(ModelArgs(vocab_size=50257), "gpt2")
    assert count(gpt2) == 124_439_808
    assert choose_rate(124_000_000) == pytest.approx(6e-4)


def test_memory_that_is_too_small_halves_the_rows_and_keeps_the_gradient(monkeypatch):
    for module in (stepping, loop):
        monkeypatch.setattr(module, "autocast", lambda _device: nullcontext())
    torch.manual_seed(0)
    model = make_model(ModelArgs(1, 1, 8, 8, True, 16))
    tokens, targets = torch.randint(16, (6, 8)), torch.randint(16, (6, 8))
    targets[0, :5], targets[3] = IGNORED, IGNORED
    batch = Batch(tokens, targets, masked=True)
    whole = Stepper(model, print, Ranks())
    loss = whole.backward(batch)
    for rows in (0, 2, 5):
        assert measure(model, (batch, batch), rows) == pytest.approx(loss.item(), abs=1e-6)
    wanted = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    model.zero_grad()
    said: list[str] = []

    def short(tokens, *rest):
        if len(tokens) > 2:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
        return model.loss(tokens, *rest)

    stepper = Stepper(model, said.append, Ranks(), loss=short)
    assert torch.allclose(stepper.backward(batch), loss, atol=1e-6)
    assert stepper.rows == 1 or len(said) == 2
    for weight, before in zip(model.parameters(), wanted, strict=True):
        assert weight.grad is not None
        assert torch.allclose(weight.grad, before, atol=1e-6)
    stepper = Stepper(model, said.append, Ranks(), loss=lambda *_: short(range(9)))
    with pytest.raises(ChatAppError, match="a single row of 8 tokens"):
        stepper.backward(batch)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_was_good(tmp_path: Path, monkeypatch):
    recipe = write_recipe(tmp_path, steps=60)
    real = Stepper.backward
    steps = 0

    def broken(self, batch):
        nonlocal steps
        steps += 1
        loss = real(self, batch)
        if steps == 45:
            self.model.lm_head.weight.grad.mul_(math.nan)
        return loss

    monkeypatch.setattr(Stepper, "backward", broken)
    with pytest.raises(ChatAppError, match="no longer a number") as caught:
        train((recipe,), tmp_path / "out", reporter=Silent())
    assert caught.value.hint
    kept = load_checkpoint(tmp_path / "out")
    assert kept.iter_num == 40
    assert all(torch.isfinite(tensor).all() for tensor in kept.model.values())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("write")])
def test_no_room_for_a_checkpoint_keeps_the_one_before(tmp_path: Path, monkeypatch, error):
    recipe = write_recipe(tmp_path, steps=60)
    real = keeping.save_checkpoint

    def full(checkpoint, folder):
        if checkpoint.iter_num == 40:
            raise error
        return real(checkpoint, folder)

    monkeypatch.setattr(keeping, "save_checkpoint", full)
    with pytest.raises(ChatAppError, match="step 40 cannot be written") as caught:
        train((recipe,), tmp_path / "out", reporter=Silent())
    assert "train resume" in caught.value.hint
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "out").iter_num == 20
    go_on(tmp_path / "out", reporter=Silent())
    assert [step for step, _ in curve(tmp_path / "out")] == list(range(10, 61, 10))


def test_too_little_text_is_said_before_anything_is_trained(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    learn_tokenizer((tmp_path / "text.txt",), tmp_path / "words", 300, Silent())
    (tmp_path / "text.txt").write_text("Too little text.")
    with pytest.raises(ChatAppError, match="too few for windows of 16, which need 33"):
        train((recipe,), tmp_path / "out", reporter=Silent())
    (tmp_path / "text.txt").write_text(" \n")
    for wishes in (Wishes(), Wishes(characters=True), Wishes(tokenizer=tmp_path / "words")):
        with pytest.raises(ChatAppError, match=r"There is no text in .*text.txt"):
            train((recipe,), tmp_path / "other", wishes=wishes, reporter=Silent())
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "other").exists()
    recipe.write_text(recipe.read_text().replace("long_from = 1.0", "long_from = 0.9"))
    (tmp_path / "text.txt").write_text(" ".join(str(n * 7919 % 97) for n in range(50)))
    with pytest.raises(ChatAppError, match="windows of 32"):
        train((recipe,), tmp_path / "third", reporter=Silent())


def test_another_tokenizer_does_not_fit(tmp_path: Path):
    recipe = write_recipe(tmp_path, steps=1)
    out = tmp_path / "out"
    train((recipe,), out, reporter=Silent())
    facts = json.loads((out / "data" / "data.json").read_text())
    (out / "data" / "data.json").write_text(json.dumps({**facts, "tokenizer": "another"}))
    with pytest.raises(ChatAppError, match="another tokenizer"):
        go_on(out, Wishes(steps=2), Silent())


def test_minutes_choose_the_rest_and_a_dry_run_writes_nothing(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    text = tmp_path / "text.txt"
    before = sorted(tmp_path.iterdir())
    lines = foretell((text,), Wishes(minutes=0.2, context=16, size="30k"))
    assert [line.split()[0] for line in lines] == [
        "model",
        "data",
        "steps",
        "time",
        "memory",
        "disk",
    ]
    assert "context 16" in lines[0]
    assert "seconds" in lines[3]
    assert foretell((recipe,), Wishes(shape="llama"))
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(UsageError, match="too short"):
        foretell((text,), Wishes(minutes=1e-6, context=16, size="30k"))
    with pytest.raises(UsageError, match="Leave out --steps"):
        foretell((text,), Wishes(minutes=1, steps=5))


def test_two_processes_train_what_one_would(tmp_path: Path):
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no processes that talk")
    recipe = write_recipe(tmp_path, steps=20)
    train((recipe,), tmp_path / "one", reporter=Silent())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    arguments = ["--standalone", "-m", "chatapp", "train", str(recipe), "-o", str(tmp_path / "two")]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*launcher, *arguments], env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for (step, ours), (_, theirs) in zip(
        curve(tmp_path / "two"), curve(tmp_path / "one"), strict=True
    ):
        assert ours == pytest.approx(theirs, abs=1e-3), step
    ours, theirs = load_checkpoint(tmp_path / "two"), load_checkpoint(tmp_path / "one")
    assert torch.allclose(ours.model["lm_head.weight"], theirs.model["lm_head.weight"], atol=5e-3)
    assert ours.model.keys() == theirs.model.keys()
    go_on(tmp_path / "two", Wishes(steps=30), Silent())
    assert load_checkpoint(tmp_path / "two").iter_num == 30


def test_what_is_wished_goes_before_the_recipe(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    out = tmp_path / "out"
    wishes = Wishes(steps=3, shape="llama", size="tiny", context=20, vocab_size=280, dropout=0.1)
    train((recipe,), out, wishes=replace(wishes, learning_rate=0.01), reporter=Silent())
    args = load_checkpoint(out).model_args
    assert (args["shape"], args["n_embd"], args["block_size"]) == ("llama", 128, 20)
    assert args["vocab_size"] == 280
    record = json.loads((out / "run.json").read_text())
    assert record["pretrain"]["learning_rate"] == 0.01


def test_a_tokenizer_serves_several_models(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    made = learn_tokenizer((tmp_path / "text.txt",), tmp_path / "words", 320, Silent())
    wishes = Wishes(steps=1, tokenizer=made.parent)
    train((recipe,), tmp_path / "out", wishes=wishes, reporter=Silent())
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == made.read_bytes()
    assert load_checkpoint(tmp_path / "out").model_args["vocab_size"] <= 320
    made.write_text(made.read_text().replace("<|endoftext|>", "<|over|>"))
    with pytest.raises(ChatAppError, match=r"no token .*endoftext"):
        train((recipe,), tmp_path / "third", wishes=wishes, reporter=Silent())


def test_a_picture_of_the_loss_where_it_can_be_drawn(tmp_path: Path, monkeypatch):
    lines = [{"step": step, "loss": 4.0 - step / 99} for step in range(10, 100, 10)]
    lines[-1]["val_loss"] = 3.5
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "log.jsonl").write_text(text + '{"step": 100, "lo')
    assert read_log(tmp_path) == lines
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw_losses(tmp_path) is None
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    named = tmp_path / "模型"  # for which matplotlib's font has no letters, and would warn
    named.mkdir()
    (tmp_path / "log.jsonl").rename(named / "log.jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = draw_losses(named)
    assert picture is not None
    assert picture.read_bytes().startswith(b"\x89PNG")
    (named / "log.jsonl").unlink()
    assert draw_losses(named) is None
