"""Perplexity of one text: ours beside PyTorch's and llama-perplexity's.

Trains a small GPT-2 on the first part of a text for a minute, converts it to F32, F16, Q8_0 and
Q4_K_M, and measures the part behind it with each; then measures the text with real models. Beside
each stands what `llama-perplexity` says of the same file, where it is found. The aim: no more than
0.5 % between two programs, and between PyTorch and F32.

    python -m bench.perplexity [--text FILE] [--llama-perplexity PROGRAM] [--windows 20]
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.models import find_model
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import ChatAppError
from chatapp.evaluate.perplexity import Perplexity, measure_perplexity

TYPES = ("F32", "F16", "Q8_0", "Q4_K_M")
MODELS = ("smollm2", "gemma3-270m")
N_CTX = 512
N_STEPS, N_BATCH = 100, 4
_DOCUMENTS = Path(__file__).parents[1] / "docs"
_SAID = re.compile(r"PPL = ([\d.]+) \+/- ([\d.]+)")


def main() -> None:
    """Print the perplexity of each model beside llama-perplexity's, a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, help="by default our own documents")
    parser.add_argument("--llama-perplexity", default=shutil.which("llama-perplexity"))
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--no-training", action="store_true", help="the models alone")
    asked = parser.parse_args()
    files = [asked.text] if asked.text else sorted(_DOCUMENTS.glob("*.md"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    print(f"{'':24}{'ours':>22}{'llama-perplexity':>24}{'apart':>10}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        half = len(text) // 2
        made = [] if asked.no_training else _make_models(folder, text[:half], text[half:])
        for name, path, part in (*made, *_find_models(asked.models, text)):
            _measure(name, path, part, asked.windows, asked.llama_perplexity, folder)


def _measure(
    name: str, path: Path, text: str, windows: int, program: str | None, folder: Path
) -> None:
    ours = asyncio.run(_ours(path, text, windows))
    theirs = None
    if program and path.suffix == ".gguf":
        theirs = _theirs(program, path, text, windows, folder)
    line = f"{name:24}{ours.perplexity:12.4f} ± {ours.stderr:7.4f}"
    if theirs:
        line += f"{theirs[0]:14.4f} ± {theirs[1]:7.4f}{ours.perplexity / theirs[0] - 1:+10.3%}"
    print(line, flush=True)


async def _ours(path: Path, text: str, windows: int) -> Perplexity:
    client = EngineClient()
    try:
        backend: Any = "auto" if path.suffix == ".gguf" else "torch"
        model = await client.load(LoadOptions(path=str(path), n_ctx=N_CTX, backend=backend))
        return await measure_perplexity(client, model, text, n_ctx=N_CTX, most_windows=windows)
    finally:
        await client.stop()


def _theirs(
    program: str, path: Path, text: str, windows: int, folder: Path
) -> tuple[float, float] | None:
    file = folder / "text"
    file.write_text(text, encoding="utf-8")
    command = [program, "-m", str(path), "-f", str(file), "-c", str(N_CTX), "-b", str(N_CTX)]
    done = subprocess.run(
        [*command, "--chunks", str(windows)], capture_output=True, text=True, check=False
    )
    found = _SAID.search(done.stdout + done.stderr)
    return (float(found[1]), float(found[2])) if found else None


def _find_models(names: list[str], text: str) -> Iterator[tuple[str, Path, str]]:
    for name in names:
        try:
            path = Path(find_model(name))
            yield path.stem[:22], path, text
        except (ChatAppError, OSError) as error:
            print(f"{name} is passed over: {error}", file=sys.stderr)


def _make_models(folder: Path, read: str, kept: str) -> Iterator[tuple[str, Path, str]]:
    from convert.pipeline import convert

    checkpoint = _train(folder / "gpt2", read)
    yield "GPT-2, PyTorch", checkpoint, kept
    for ftype in TYPES:
        file = folder / f"{ftype}.gguf"
        convert(checkpoint, file, ftype=ftype, parity="off")
        yield f"GPT-2, {ftype}", file, kept


def _train(folder: Path, text: str) -> Path:
    """A GPT-2 of 2 layers, 256 wide, with a byte-level BPE of 1,024 tokens."""
    import torch
    import transformers
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([text], vocab_size=1024, show_progress=False)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer)
    ids = torch.tensor(tokenizer.encode(text, verbose=False))
    torch.manual_seed(1)
    shape: Any = {
        "vocab_size": 1024,
        "n_positions": N_CTX,
        "n_embd": 256,
        "n_layer": 2,
        "n_head": 4,
    }
    config = transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0)
    model: Any = transformers.GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(N_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, step / 20) * (1 - step / N_STEPS)
        begins = torch.randint(len(ids) - N_CTX, (N_BATCH,)).tolist()
        rows = torch.stack([ids[begin : begin + N_CTX] for begin in begins])
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
