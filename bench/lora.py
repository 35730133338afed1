"""What LoRA on some chats teaches a Hugging Face model, before and after, in PyTorch and llama.cpp.

    python -m bench.lora FOLDER CHATS.jsonl [--chats 200] [--heldout 40] [--turns 4] [--steps 60]

Fine-tunes FOLDER with `chatapp train finetune --lora` on the first turns of some chats, converts
the base and the adapter to one file each, and measures the loss on the answers of held-out chats,
in nats a token: all four on the same token ids.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chatapp.train.bases import open_base
from chatapp.train.chats import Chat, Complaints, read_chats
from chatapp.train.data import ChatTurns, Sample
from chatapp.train.device import pick_device
from chatapp.train.language_model import LanguageModel
from chatapp.train.tuning import tune
from chatapp.train.tuning_settings import LoraSettings, Tuning


def main() -> None:
    """Run it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("chats", type=Path)
    parser.add_argument("--chats", dest="count", type=int, default=200)
    parser.add_argument("--heldout", type=int, default=40)
    parser.add_argument("--turns", type=int, default=4, help="Messages of a chat, from its first.")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--type", default="F16", help="Of the model files.")
    parser.add_argument("--out", type=Path, help="Keep what is made here.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run(asked, asked.out or Path(name))


def run(asked: argparse.Namespace, place: Path) -> None:
    """Fine-tune, convert and measure in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    found = read_chats([asked.chats], Complaints())[: asked.count + asked.heldout]
    write_chats(found[: asked.count], place / "train.jsonl", asked.turns)
    write_chats(found[asked.count :], place / "heldout.jsonl", asked.turns)
    base = open_base(asked.folder, 0, "", frozen=False)
    held = [
        base.encode(chat.messages) for chat in read_chats([place / "heldout.jsonl"], Complaints())
    ]
    before = measure_torch(base.model, held)
    began = time.monotonic()
    done = tune(
        Tuning(
            asked.folder,
            (place / "train.jsonl",),
            heldout=(place / "heldout.jsonl",),
            lora=LoraSettings(asked.rank),
            steps=asked.steps,
        ),
        place / "tuned",
    )
    seconds = time.monotonic() - began
    after = measure_torch(adapted(base.model, done.folder), held)
    convert(place / "base.gguf", asked.type, asked.folder)
    convert(place / "tuned.gguf", asked.type, asked.folder, "--lora", str(done.folder))
    print(f"{asked.count} chats, {asked.steps} steps, {seconds:.0f} s; {len(held)} held out,")
    print(f"{sum(sum(sample.spoken[1:]) for sample in held)} tokens of answers. Nats a token:\n")
    print("| | before | after |")
    print("|---|---|---|")
    print(f"| PyTorch | {before:.4f} | {after:.4f} |")
    told = [measure_llama(place / f"{name}.gguf", held) for name in ("base", "tuned")]
    print(f"| llama.cpp, {asked.type} | {told[0]:.4f} | {told[1]:.4f} |")


def write_chats(chats: Sequence[Chat], path: Path, turns: int) -> None:
    """The first `turns` messages of each chat, a line each."""
    with path.open("w", encoding="utf-8") as file:
        for chat in chats:
            said = [{"role": m.role, "content": m.content} for m in chat.messages[:turns]]
            file.write(f"{json.dumps({'messages': said}, ensure_ascii=False)}\n")


@torch.no_grad()
def measure_torch(model: LanguageModel, held: Sequence[Sample]) -> float:
    """Mean loss over all tokens of answers, in float32."""
    model.to(pick_device()).eval()
    total, count = 0.0, 0
    for sample in held:
        batch = ChatTurns([sample], len(sample.tokens), 0, 0.0).batch(0, 1, len(sample.tokens))
        wanted = sum(sample.spoken[1:])
        inputs = batch.tokens.to(pick_device()), batch.targets.to(pick_device())
        total += model.loss(*inputs).item() * wanted
        count += wanted
    return total / count


def adapted(model: Any, folder: Path) -> LanguageModel:
    """The model with the adapter in `folder`, as peft loads it."""
    import peft

    model.body = peft.PeftModel.from_pretrained(model.body, str(folder))
    return model  # type: ignore[no-any-return]


def measure_llama(path: Path, held: Sequence[Sample]) -> float:
    """The same in llama.cpp, on the same token ids."""
    import llama_cpp

    longest = max(len(sample.tokens) for sample in held)
    model = llama_cpp.Llama(
        str(path),
        n_ctx=longest,
        n_batch=longest,
        n_threads_batch=torch.get_num_threads(),  # one that waits for a busy core costs minutes
        n_gpu_layers=-1,
        logits_all=True,
        verbose=False,
    )
    total, count = 0.0, 0
    for sample in held:
        model.reset()  # type: ignore[no-untyped-call]
        model.eval(sample.tokens)
        logits = model.scores[: len(sample.tokens)].astype(np.float64)
        top = logits.max(axis=1, keepdims=True)
        norms = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
        for at in range(1, len(sample.tokens)):
            if sample.spoken[at]:
                total += norms[at - 1] - logits[at - 1, sample.tokens[at]]
                count += 1
    return float(total / count)


def convert(path: Path, kind: str, source: Path, *more: str) -> None:
    """Make a model file; what the converter says goes to stderr."""
    command = [sys.executable, "-m", "chatapp", "convert", str(source), "-o", str(path)]
    subprocess.run(
        [*command, "-q", kind, "--parity", "off", "--force", *more],
        check=True,
        stdout=sys.stderr,
    )


if __name__ == "__main__":
    main()
