"""A model is called by its own name, or by its file's where that says nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatapp.gguf.naming import name_model, name_source

FILE = Path("/models/Good-Name-7B.Q4_K_M.gguf")


@pytest.mark.parametrize(
    "junk",
    [
        *("", "  ", "\n", "-", "...", "?", "N/A", "1", "2024-05-01", "20240501_120000", "7B"),
        *("model", "Model", "models", "tmp", "Temp", "unnamed", "Untitled", "None", "null"),
        *("unknown", "output", "merged", "Merged Model", "my_model", "final model", "model2"),
        *("ggml-model-q4_0", "ggml-model-f16.gguf", "pytorch_model.bin", "model.safetensors"),
        *("checkpoint-1000", "Checkpoint 1000", "ckpt_5", "epoch-3", "global_step1000", "step_900"),
        *("best checkpoint", "Smollm2 135M 8k Lc100K Mix1 Ep2", "run-3", "exp7", "outputs"),
        *("/srv/models/llama", "/tmp/x", "./llama", "..", "~/llama", "C:\\models\\llama", "a\\b"),
        *("models/llama", "snapshots/8c1f0a", "tmp/tmpab12", "llama/", "content/drive/x"),
        *("tmpx3_9kd2a", "Tmpx39Kd2A", "tmp.Xk29fLq01a", "tmp-abcdef12", "Tmp8Fj29Dk Model"),
        *(
            "989aa7980e4cf806f80c7fef2b1adb7bc71aa306",
            "989Aa7980E4Cf806",
            "8c1f0a3",
            "sha256-8c1f0a3e",
        ),
        *("snapshot 989aa7980e", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        *("LLaMA", "LLaMA v2", "llama v2", "qwen2", "{name}", "<model>", "$MODEL", "%s"),
        *("Hf", "HF model", "merged 16bit", "merged_fp16", "Base Model", "instruct", "V2"),
    ],
)
def test_junk_is_no_name(junk: str) -> None:
    assert name_model(_header(junk), FILE, "qwen2") == "Good-Name-7B.Q4_K_M"


@pytest.mark.parametrize(
    "name",
    [
        *("Qwen3 0.6B", "Qwen2.5 7B Instruct", "Llama 3.2 1B", "Llama 2", "Meta Llama 3 8B"),
        *("gpt2", "Mistral-7B-Instruct-v0.3", "meta-llama/Llama-3.2-1B", "Qwen/Qwen3-8B"),
        *(
            "SmolLM2 135M Instruct",
            "Gemma 4 E4B It",
            "gpt-oss-20b",
            "Ministral 3 8B",
            "LFM2.5 1.2B",
        ),
        *("chatapp built-in", "random 22x1024", "Step 3.5 Flash", "Step3", "Phi 4", "Yi 34B", "o1"),
        *(
            "通义千问",
            "Сайга",
            "Base Camp",
            "The Model Tea",
            "Tmux Helper",
            "DeepSeek R1 0528 Qwen3 8B",
        ),
        *("Facade", "decade", "models--acme--tiny", "GLM 4.7 Flash", "K2 Think", "OLMo 3 7B"),
    ],
)
def test_a_name_stays(name: str) -> None:
    assert name_model(_header(name), FILE, "llama") == name


@pytest.mark.parametrize(
    ("file", "called"),
    [
        ("tiny-00001-of-00003.gguf", "tiny"),
        ("tiny.GGUF", "tiny"),
        ("tiny.q8_0", "tiny.q8_0"),
        ("bad\udcff.gguf", "bad\ufffd"),
        ("ggml-model-q4_0.gguf", "ggml-model-q4_0"),
        ("sha256-" + "1f" * 32, "sha256-" + "1f" * 32),
    ],
)
def test_the_name_of_a_file(file: str, called: str) -> None:
    assert name_model(_header("model"), Path(file), "llama") == called


def test_a_blob_is_called_by_what_it_was_made_of() -> None:
    header = {
        "general.name": "989aa7980e4cf806f80c7fef2b1adb7bc71aa306",
        "general.basename": "tiny",
        "general.size_label": "9M",
    }
    blob = Path("sha256-" + "1f" * 32)
    assert name_model(lambda key: header.get(key, ""), blob, "llama") == "tiny 9M"
    assert name_model(lambda key: header.get(key, ""), FILE, "llama") == "Good-Name-7B.Q4_K_M"


@pytest.mark.parametrize(
    ("name", "quantisation", "called"),
    [
        ("Tiny 9M", "Q4_K_M", "Tiny 9M Q4_K_M"),
        ("Tiny 9M", "Q8_0", "Tiny 9M Q8_0"),
        ("Tiny-9M-Q4_K_M", "Q4_K_M", "Tiny-9M-Q4_K_M"),
        ("Tiny 9M q4 k m", "Q4_K_M", "Tiny 9M q4 k m"),
        ("Tiny 9M fp16", "F16", "Tiny 9M fp16"),
        ("Tiny 9M BF16", "BF16", "Tiny 9M BF16"),
        ("Tiny 9M", "", "Tiny 9M"),
        ("Tiny 9M", "type 99", "Tiny 9M"),
        ("model", "Q4_K_M", "Good-Name-7B.Q4_K_M"),
        ("model", "Q8_0", "Good-Name-7B.Q4_K_M Q8_0"),
        ("chatapp built-in", "Q8_0", "chatapp built-in"),
    ],
)
def test_the_quantisation_is_told_once(name: str, quantisation: str, called: str) -> None:
    assert name_model(_header(name), FILE, "llama", quantisation) == called


def _header(name: str) -> Callable[[str], str]:
    return lambda key: name if key == "general.name" else ""


@pytest.mark.parametrize(
    ("place", "said", "name"),
    [
        ("gpt-1.5", "gpt2", "gpt-1.5"),
        ("poems/checkpoint-500", "gpt2", "poems"),
        ("poems/run-3/final", "gpt2", "poems"),
        ("models--anna--poems/snapshots/989aa7980e4cf806f80c7fef2b1adb7bc71aa306", "", "poems"),
        ("poems/model", "", "poems"),
        ("poems/llama", "", "llama"),
        ("hf", "anna/poems", "poems"),
        ("output", "/srv/anna/poems", "poems"),
        ("output", "/srv/anna/checkpoint-9", "output"),
        ("output", ["poems"], "output"),
        ("poems/ckpt.pt", "", "poems"),
        ("poems/small.safetensors", "", "small"),
        ("poems/model-00001-of-00002.safetensors", "", "poems"),
    ],
)
def test_a_checkpoint_is_called_by_what_tells(
    place: str, said: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "anna"
    monkeypatch.setenv("HOME", str(home))
    path = home / place
    (path.parent if path.suffix in (".pt", ".safetensors") else path).mkdir(parents=True)
    assert name_source(path, said) == name
