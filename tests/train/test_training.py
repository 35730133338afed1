"""Tiny real runs: the loss falls, and an interrupted run ends where an uninterrupted one does."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from chatapp.errors import ChatAppError, ConfigError, UsageError
from chatapp.train.chat_format import Turn
from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.data import Batch, PackedText
from chatapp.train.language_model import IGNORED
from chatapp.train.model import GPT, ModelArgs
from chatapp.train.progress import Progress
from chatapp.train.run import train
from chatapp.train.sample import answer, load_model
from chatapp.train.schedule import learning_rate
from chatapp.train.settings import read_recipe
from chatapp.train.wishes import Wishes

RECIPE = """
threads = 1
guide = true
[model]
n_layer = 2
n_head = 2
n_embd = 32
block_size = 64
vocab_size = 300
dropout = 0.1
[pretrain]
steps = 12
batch_tokens = 256
window = 32
warmup = 2
eval_every = 4
learning_rate = 1e-2
[finetune]
steps = 60
batch_tokens = 256
window = 48
warmup = 2
eval_every = 30
learning_rate = 2e-2
[[text]]
path = "text.txt"
[[chat]]
path = "chat.jsonl"
"""
TALK = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Good day."}]


class Recorder:
    """Keeps what it is told; sends Ctrl+C at a step when asked to."""

    def __init__(self, interrupt_at: int = 0) -> None:
        self.seen: list[Progress] = []
        self._at = interrupt_at

    def report(self, progress: Progress) -> None:
        self.seen.append(progress)
        if progress.stage == "pretrain" and progress.step == self._at:
            signal.raise_signal(signal.SIGINT)

    def say(self, text: str) -> None:
        assert text


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    lines = [f"The {n} cats sat on {n} mats and said hello to dog {n % 7}." for n in range(300)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    (tmp_path / "chat.jsonl").write_text(f"{json.dumps({'messages': TALK})}\n" * 120)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def assert_same_weights(left: Path, right: Path) -> None:
    ours, theirs = load_checkpoint(left), load_checkpoint(right)
    assert ours.iter_num == theirs.iter_num
    for name, tensor in ours.model.items():
        assert torch.equal(tensor, theirs.model[name]), name


def test_training_learns_to_answer_and_to_stop(recipe: Path, tmp_path: Path):
    recorder = Recorder()
    assert train((recipe,), tmp_path / "out", reporter=recorder).is_file()
    for stage in ("pretrain", "finetune"):
        losses = [seen.val_loss for seen in recorder.seen if seen.stage == stage and seen.val_loss]
        assert losses[-1] < losses[0]
    model, tokenizer = load_model(tmp_path / "out")
    text, stopped = answer(model, tokenizer, [Turn("user", "hello")], temperature=0)
    assert (text, stopped) == ("Good day.", True)
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert config["eos_token"] == "<|end|>"
    used = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert used == {"chatapp_guide": True}
    assert "chat_template" in config


def test_a_resumed_run_equals_an_uninterrupted_one(recipe: Path, tmp_path: Path):
    train((recipe,), tmp_path / "whole", reporter=Recorder())
    with pytest.raises(KeyboardInterrupt):
        train((recipe,), tmp_path / "broken", reporter=Recorder(interrupt_at=8))
    assert load_checkpoint(tmp_path / "broken" / "pretrain").iter_num == 8
    train((recipe,), tmp_path / "broken", resume=True, reporter=Recorder())
    assert_same_weights(tmp_path / "whole" / "pretrain", tmp_path / "broken" / "pretrain")
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")


def test_a_finished_run_is_not_overwritten(recipe: Path, tmp_path: Path):
    text = recipe.parent / "text.txt"
    train((text,), tmp_path / "out", wishes=Wishes(steps=1), reporter=Recorder())
    with pytest.raises(ChatAppError, match="already holds"):
        train((text,), tmp_path / "out", wishes=Wishes(steps=1), reporter=Recorder())


def test_own_text_files_need_no_recipe(recipe: Path, tmp_path: Path):
    text = recipe.parent / "text.txt"
    train((text,), tmp_path / "out", wishes=Wishes(steps=2), reporter=Recorder())
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.iter_num == 2
    assert checkpoint.model_args["vocab_size"] == len(checkpoint.model["lm_head.weight"])
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert config["eos_token"] == "<|endoftext|>"
    assert "chat_template" not in config


def test_progress_goes_to_stderr_and_nothing_to_stdout(recipe: Path, tmp_path: Path, capsys):
    train((recipe,), tmp_path / "out")
    said = capsys.readouterr()
    assert said.out == ""
    for word in ("pretrain", "finetune", "12/12", "60/60", "tok/s", "held-out"):
        assert word in said.err


def test_checkpoints_carry_nanogpts_names():
    for bias in (True, False):
        names = set(GPT(ModelArgs(1, 1, 8, 4, bias, 16)).state_dict())
        weights = {
            f"transformer.h.0.{name}.weight"
            for name in ("ln_1", "ln_2", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
        }
        outer = {f"transformer.{name}.weight" for name in ("wte", "wpe", "ln_f")} | {
            "lm_head.weight"
        }
        biases = {name.replace("weight", "bias") for name in weights | {"transformer.ln_f.weight"}}
        assert names == weights | outer | (biases if bias else set())


def test_loss_counts_only_wanted_targets():
    torch.manual_seed(0)
    model = GPT(ModelArgs(1, 1, 8, 8, True, 16))
    tokens, targets = torch.randint(16, (2, 6)), torch.randint(16, (2, 6))
    targets[0], targets[1, :5] = IGNORED, IGNORED
    logits = model(tokens)[1, 5]
    expected = torch.nn.functional.cross_entropy(logits, targets[1, 5])
    assert torch.allclose(model.loss(tokens, targets), expected)


def test_an_epoch_reads_every_window_once_and_every_position_is_trained():
    text = PackedText(np.arange(1000, dtype=np.uint16), block_size=64, seed=3)
    count = (1000 - 16 - 1) // 16
    batches: list[Batch] = [text.batch(step, 1, 16) for step in range(count)]
    starts = [int(batch.tokens[0, 0]) for batch in batches]
    assert len(set(starts)) == count
    assert len({start % 16 for start in starts}) == 1
    trained = {
        batch.offset + at
        for step in range(600)
        for batch in [text.batch(step, 1, 16)]
        for at in range(16)
    }
    assert trained == set(range(64))


def test_the_learning_rate_warms_up_and_decays():
    rates = [learning_rate(step, 100, 1.0, 0.1, 10) for step in range(101)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("n_layer", "n_layers", "Did you mean n_layer"),
        ("n_head = 2", "n_head = 5", "n_head"),
        ("steps = 12", "steps = 0", "steps is 0"),
        ("steps = 12", 'steps = "many"', "steps must be a whole number"),
        ('path = "text.txt"', 'path = "gone.txt"', "gone.txt"),
        ("threads = 1", "threads = ", "cannot be read"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_reason(recipe: Path, before, after, message):
    recipe.write_text(recipe.read_text().replace(before, after, 1))
    with pytest.raises((ConfigError, UsageError)) as caught:
        read_recipe(recipe)
    assert message in str(caught.value)


def test_a_broken_line_is_named(recipe: Path, tmp_path: Path):
    with (recipe.parent / "chat.jsonl").open("a") as stream:
        stream.write('{"messages": [{"role": "user"}]}\n')
    with pytest.raises(ChatAppError, match="line 121"):
        train((recipe,), tmp_path / "out", reporter=Recorder())
