"""CONVERTING.md's table of conversions, measured: `python -m tests.convert.table`.

Every source is a tiny random model, two layers of 64, converted at F16 and at Q8_0 and compared
with PyTorch on the converter's own sample text.
"""

from __future__ import annotations

import base64
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import torch

from convert import parity
from convert.pipeline import convert
from convert.progress import silent

BYTES = "byte-level BPE"
ENCODERS = {"DistilBERT": "WordPiece", "ModernBERT": BYTES, "nomic-embed": "WordPiece"}
Row = tuple[str, str, str, Callable[[Path], tuple[Path, dict[str, Any]]]]


def rows() -> Iterator[Row]:
    """(source, family, tokenizer, writer of the source and the options to convert it)."""
    yield from _nanogpt()
    yield from _hand_written()
    yield from _llamas()
    yield from _hugging_face()
    yield from _tokenizers()
    yield from _adapters()
    yield from _encoders()


def _nanogpt() -> Iterator[Row]:
    from tests.convert.conftest import make_state
    from tests.convert.tiny import write_tokenizer

    args = {"n_layer": 2, "n_head": 4, "n_embd": 64, "block_size": 64, "vocab_size": 512}
    alphabet = "".join(map(chr, (10, *range(32, 96), *range(97, 123))))

    def write(folder: Path, *, bias: bool, chars: bool = False) -> tuple[Path, dict[str, Any]]:
        size = {"vocab_size": len(alphabet)} if chars else {}
        said = {**args, **size, "bias": bias}
        folder.mkdir()
        torch.save({"model": make_state(said), "model_args": said}, folder / "ckpt.pt")
        if chars:
            stoi = {character: index for index, character in enumerate(alphabet)}
            (folder / "meta.pkl").write_bytes(pickle.dumps({"stoi": stoi}))
        else:
            write_tokenizer(folder)
        return folder, {}

    yield "nanoGPT `ckpt.pt`, bias on", "GPT-2", BYTES, lambda f: write(f, bias=True)
    yield "nanoGPT `ckpt.pt`, bias off", "GPT-2", BYTES, lambda f: write(f, bias=False)
    yield (
        "nanoGPT `ckpt.pt`",
        "GPT-2",
        "characters (`meta.pkl`)",
        lambda f: write(f, bias=False, chars=True),
    )


def _hand_written() -> Iterator[Row]:
    from tests.convert.hand_written import randomise, save
    from tests.convert.test_gpt2_spellings import CASES

    names = {
        "lecture": "Karpathy's lecture (heads apart, ReLU)",
        "raschka": "Raschka's book (`W_query`, `scale`)",
        "mingpt": "minGPT, first version",
        "encoder": "PyTorch's `nn.TransformerEncoderLayer`",
        "own": "hand-written (`gamma`, fused QKV)",
    }
    for key, (kind, settings, _) in CASES.items():

        def write(folder: Path, kind: Any = kind, settings: Any = settings) -> Any:
            torch.manual_seed(5)
            return save(folder, randomise(kind())), {"settings": settings}

        yield names[key], "GPT-2", BYTES, write


def _llamas() -> Iterator[Row]:
    from tests.convert.test_llama_spellings import WRITERS
    from tests.convert.tiny import write_tokenizer

    names = {
        "llama2.c": "llama2.c `.pt`",
        "meta": "Meta `consolidated.*.pth`, two shards",
        "torchtune": "torchtune",
        "litgpt": "litgpt",
        "litgpt-grouped": "litgpt before 0.5.4",
    }
    for key, writer in WRITERS.items():

        def write(folder: Path, writer: Any = writer) -> Any:
            write_tokenizer(folder)
            return writer(folder), {}

        yield names[key], "Llama", BYTES, write


def _hugging_face() -> Iterator[Row]:
    import transformers as hf

    from tests.convert.recent import RECENT, TITLES
    from tests.convert.test_families import MODELS
    from tests.convert.test_families_beyond_llama import MODELS as BEYOND
    from tests.convert.test_gpt2_spellings import GPT2
    from tests.convert.tiny import write_hf

    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    families = {
        "llama": "Llama",
        "llama-llama3": "Llama 3.1 (scaled rope)",
        "llama-yarn": "Llama, YaRN",
        "mistral": "Mistral",
        "mistral3": "Mistral Small 3.1 (text)",
        "mistral3-ministral3": "Ministral 3 (text), YaRN",
        "mixtral": "Mixtral",
        "qwen2": "Qwen2",
        "qwen3": "Qwen3",
        "qwen3moe": "Qwen3-MoE",
        "qwen2moe": "Qwen2-MoE",
        "smollm3": "SmolLM3",
        "olmo2": "OLMo 2",
        "olmo3": "OLMo 3",
        "olmo3-yarn": "OLMo 3, YaRN",
        "granite": "Granite 3",
        "gemma": "Gemma 1",
        "gemma2": "Gemma 2",
        "gemma3": "Gemma 3",
        "phi3": "Phi-3",
        "phi3-longrope": "Phi-3, LongRoPE",
        "starcoder2": "StarCoder2",
        "gptneox": "GPT-NeoX",
        "falcon-7b": "Falcon 7B",
        "falcon-40b": "Falcon 40B",
    }

    def gpt2() -> Any:
        return hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2))

    for family, make in (
        ("GPT-2", gpt2),
        *((title, MODELS[key]) for key, title in families.items()),
        *((title, RECENT[key]) for key, title in TITLES.items()),
        *BEYOND.values(),
    ):
        # a state of random weights as large as elsewhere multiplies what Q8_0 rounds
        scale = 1.0 if family in TITLES.values() else 3.0

        def write(folder: Path, make: Any = make, scale: float = scale) -> Any:
            torch.manual_seed(3)
            return write_hf(folder, make().eval(), scale=scale), {}

        yield "Hugging Face folder", family, BYTES, write


def _tokenizers() -> Iterator[Row]:
    import transformers as hf

    from tests.convert import test_vocab_kinds as kinds
    from tests.convert.test_families import GATED
    from tests.convert.tiny import write_hf

    def ranks(folder: Path) -> int:
        pieces = kinds.make_ranks(folder / "made")
        lines = [f"{base64.b64encode(piece).decode()} {rank}" for piece, rank in pieces.items()]
        (folder / "tokenizer.model").write_text("\n".join(lines))
        return len(pieces)

    names: dict[str, Callable[[Path], int]] = {
        "SentencePiece, BPE": lambda f: kinds.train_sentencepiece(f, **kinds.BPE, **kinds.PLAIN),
        "SentencePiece, unigrams": lambda f: kinds.train_sentencepiece(f, vocab_size=600),
        "`tokenizer.json`, BPE with ▁": lambda f: kinds.train_metaspace(f, "llama"),
        "tiktoken's ranks": ranks,
    }
    for name, train in names.items():
        split = {"pre": "llama-bpe"} if train is ranks else {}  # ranks do not say how text is

        def write(folder: Path, train: Any = train, split: Any = split) -> Any:
            torch.manual_seed(3)
            with tempfile.TemporaryDirectory() as made:
                n_tokens = train(Path(made))
                model = hf.LlamaForCausalLM(hf.LlamaConfig(**GATED | {"vocab_size": n_tokens}))
                write_hf(folder, model.eval())
                (folder / "tokenizer.json").unlink()
                (folder / "tokenizer_config.json").unlink()
                for path in Path(made).glob("tokenizer*"):
                    shutil.copy(path, folder)
            return folder, split

        yield "Hugging Face folder", "Llama", name, write


def _adapters() -> Iterator[Row]:
    from tests.convert.test_lora import CASES, make

    names = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA", "conv1d": "LoRA"}
    for key, title in names.items():
        model, config = CASES[key]
        family = "GPT-2" if key == "conv1d" else "Llama"

        def write(folder: Path, model: Any = model, config: Any = config) -> Any:
            torch.manual_seed(3)
            base, adapter, _ = make(folder, model(), **config)
            return base, {"lora": adapter}

        yield f"Hugging Face folder + PEFT {title}", family, BYTES, write


def _encoders() -> Iterator[Row]:
    from tests.convert.test_bert import write

    yield (
        "Hugging Face folder",
        "BERT (embeddings)",
        "WordPiece",
        lambda f: (write(f, "Bert", "Model"), {}),
    )
    yield (
        "Hugging Face folder",
        "RoBERTa (embeddings)",
        BYTES,
        lambda f: (write(f, "Roberta", "Model", type_vocab_size=1, pad_token_id=1), {}),
    )
    from tests.convert.test_encoders import write_kind as write_encoder

    for name, tokenizer in ENCODERS.items():

        def write_other(folder: Path, name: str = name) -> Any:
            return write_encoder(folder, name), {}

        yield "Hugging Face folder", f"{name} (embeddings)", tokenizer, write_other
    from tests.convert.test_t5 import KINDS
    from tests.convert.test_t5 import write as write_t5

    for name in KINDS:

        def write_kind(folder: Path, name: str = name) -> Any:
            return write_t5(folder, name), {}

        yield "Hugging Face folder", name, "SentencePiece, unigrams", write_kind


def measure(write: Callable[[Path], tuple[Path, dict[str, Any]]], folder: Path) -> list[str]:
    """Top-1, mean KL and the largest difference of two logits at F16 and at Q8_0, or the lowest
    cosine, as the table has them."""
    source, options = write(folder / "model")
    cells = []
    for ftype in ("F16", "Q8_0"):
        result = convert(source, folder / f"{ftype}.gguf", ftype=ftype, progress=silent, **options)
        assert result.proof is not None
        found = result.proof["parity"]
        if found.get("kind") == "embedding":
            cells += [f"cosine {found['cosine_min']:.4f}", "", ""]
        else:
            cells += [
                f"{found['top1']:.1%}",
                f"{found['kl_mean']:.0e}",
                f"{found['logit_gap_max']:.0e}",
            ]
    return cells


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    parity.MAX_MEAN_KL = inf  # a row says how far a file is that is not kept, too
    print("| Source | Family | Tokenizer | F16 top-1 | KL | max Δ | Q8_0 top-1 | KL | max Δ |")
    print("|---|---|---|---|---|---|---|---|---|")
    for source, family, tokenizer, write in rows():
        with tempfile.TemporaryDirectory() as name:
            cells = measure(write, Path(name))
        print(f"| {source} | {family} | {tokenizer} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
