"""Training: what is learned beside nanoGPT's published recipe, how fast, and what a kill costs.

`loss`: held-out loss of `chatapp train --chars` on Shakespeare at the size and the number of steps
of nanoGPT's recipe for a CPU (its readme: 1.88), over all of the last tenth of the text, as there.
`speed`: tokens/s of our loop against a bare loop over the same model, in turn; medians of pairs.
`kills`: a run killed at random moments and gone on with, against one that was not: how far the two
loss curves are apart.

    python -m bench.train [loss] [speed] [kills] [--text shakespeare.txt] [--steps 2000]
"""

import argparse
import gzip
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.device import autocast, pick_device
from chatapp.train.loop import Run, Stage
from chatapp.train.metering import read_log
from chatapp.train.model import ModelArgs
from chatapp.train.pretrain import heldout_batches, pretrain_stage
from chatapp.train.progress import Silent
from chatapp.train.run import train
from chatapp.train.settings import PretrainSettings, Recipe, Source
from chatapp.train.shapes import make_model
from chatapp.train.vocabulary import find_tokenizer
from chatapp.train.wishes import Wishes

SHAKESPEARE = Path("chatapp/builtin/recipe/data/tinyshakespeare.txt.gz")
PUBLISHED = 1.88
CONTEXT, ROWS = 64, 12
STEPS = 50
"""Of each loop, in turn."""
KILLED = """
characters = true
[model]
n_layer = 2
n_head = 2
n_embd = 64
block_size = 32
dropout = 0.1
[pretrain]
steps = 200
batch_tokens = 320
window = 32
eval_every = 25
[[text]]
path = "{text}"
"""


@dataclass(frozen=True, slots=True)
class Took:
    """How long some training steps took, in seconds."""

    wall: float
    cpu: float


def unpack(text: Path, folder: Path) -> Path:
    """The text as one plain file, which nanoGPT reads whole."""
    content = gzip.decompress(text.read_bytes()) if text.suffix == ".gz" else text.read_bytes()
    (folder / "input.txt").write_bytes(content.replace(b"\n\x0c\n", b"\n\n"))
    return folder / "input.txt"


def measure_loss(text: Path, folder: Path, steps: int) -> float:
    """Held-out loss in nats a character, in float32, over every window of the last tenth."""
    out = folder / "bard"
    wishes = Wishes(characters=True, context=CONTEXT, batch_tokens=CONTEXT * ROWS, steps=steps)
    began = time.perf_counter()
    train((text,), out, wishes=wishes, reporter=Silent())
    seconds = time.perf_counter() - began
    model = load_checkpoint(out).restore_model().eval()
    held = np.fromfile(out / "data" / "val.bin", np.uint16)
    batches = heldout_batches(held, CONTEXT, len(held), 64)
    with torch.no_grad():
        losses = [model.loss(batch.tokens, batch.targets).item() for batch in batches]
    weights = [batch.targets.numel() for batch in batches]
    value = float(np.average(losses, weights=weights))
    print(
        f"loss: {value:.3f} after {steps} steps, {model.count_parameters():,} parameters, "
        f"{seconds:.0f} s; nanoGPT's recipe: {PUBLISHED}"
    )
    return value


def measure_speed(text: Path, folder: Path, rounds: int, size: str) -> float:
    """The median ratio of tokens/s, ours over a bare loop's."""
    wishes = Wishes(characters=True, context=CONTEXT, batch_tokens=CONTEXT * ROWS, size=size)
    settings = PretrainSettings(steps=10**6, eval_every=10**6, long_from=1.0)
    recipe = wishes.change(
        Recipe(ModelArgs(), settings, text=(Source(text),), characters=True, share=0.1)
    )
    tokenizer = find_tokenizer(recipe, folder, False, Silent())
    vocab = Wishes(vocab_size=tokenizer.get_vocab_size())
    recipe = vocab.change(recipe)
    stage = pretrain_stage(recipe, tokenizer, folder / "speed", Silent())
    ours, bare = _ours(stage, recipe), BareLoop(recipe, folder / "speed" / "data" / "train.bin")
    pairs: list[tuple[Took, Took]] = []
    for number in range(rounds + 1):
        first, second = (ours, bare) if number % 2 else (bare, ours)
        took = _take(first), _take(second)
        if number:  # the first round warms up
            pairs.append(took if number % 2 else (took[1], took[0]))
    ratio = statistics.median(theirs.wall / mine.wall for mine, theirs in pairs)
    of_cpu = statistics.median(theirs.cpu / mine.cpu for mine, theirs in pairs)
    mine, theirs = (
        STEPS * CONTEXT * ROWS / statistics.median(took.wall for took in column)
        for column in zip(*pairs, strict=True)
    )
    print(
        f"speed: {size}, ours {mine:,.0f} tokens/s, bare loop {theirs:,.0f}, median ratio of "
        f"{rounds} pairs {ratio:.3f}; in CPU time, which others disturb less, {of_cpu:.3f}"
    )
    return ratio


def _take(loop: "Run | BareLoop") -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        loop.advance()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def _ours(stage: Stage, recipe: Recipe) -> Run:
    return Run(stage, make_model(recipe.model), None, Silent())


class BareLoop:
    """A training loop as one writes it in twenty lines, over the same model and precision."""

    def __init__(self, recipe: Recipe, data: Path) -> None:
        self.device = pick_device()
        self.model = make_model(recipe.model).to(self.device).train()
        self.data = np.memmap(data, np.uint16, "r")
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.95))

    def advance(self) -> None:
        """One step; the loss is asked for every ten steps by ours, and never here."""
        starts = torch.randint(len(self.data) - CONTEXT - 1, (ROWS,)).tolist()
        rows = [self.data[start : start + CONTEXT + 1].astype(np.int64) for start in starts]
        batch = torch.from_numpy(np.stack(rows)).to(self.device)
        with autocast(self.device):
            logits = self.model(batch[:, :-1].contiguous())
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), batch[:, 1:].flatten()
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


def measure_kills(text: Path, folder: Path, rounds: int) -> float:
    """The greatest distance between the loss curves of broken runs and of an unbroken one."""
    recipe = folder / "kills.toml"
    recipe.write_text(KILLED.format(text=text))
    command = [sys.executable, "-m", "chatapp", "train", str(recipe), "--resume", "-o"]
    whole = folder / "whole"
    assert _start([*command, str(whole)]).wait() == 0
    wanted = {line["step"]: line["loss"] for line in read_log(whole)}
    draw, worst, kills = random.Random(7), 0.0, 0
    for number in range(rounds):
        out = folder / f"broken{number}"
        while True:
            child = _start([*command, str(out)])
            before = len(read_log(out))
            more = draw.randint(1, 12)
            while child.poll() is None and len(read_log(out)) < before + more:
                time.sleep(0.002)
            time.sleep(draw.random() / 20)
            if child.poll() == 0:
                break
            child.kill()
            child.wait()
            kills += 1
        broken = {line["step"]: line["loss"] for line in read_log(out)}
        assert broken.keys() == wanted.keys()
        worst = max(worst, *(abs(broken[step] - wanted[step]) for step in wanted))
    print(f"kills: {rounds} runs, {kills} kills, curves at most {worst:.1e} apart")
    return worst


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=surroundings, stdout=quiet, stderr=quiet)


def main() -> None:
    """Measure what the command line asks for, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=["loss", "speed", "kills"], default=[])
    parser.add_argument("--text", type=Path, default=SHAKESPEARE)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", default="tiny")
    arguments = parser.parse_args()
    wanted = arguments.what or ["loss", "speed", "kills"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text = unpack(arguments.text, folder)
        if "loss" in wanted:
            measure_loss(text, folder, arguments.steps)
        if "speed" in wanted:
            measure_speed(text, folder, arguments.rounds, arguments.size)
        if "kills" in wanted:
            measure_kills(text, folder, arguments.rounds)


if __name__ == "__main__":
    main()
