"""What people take for a checkpoint and is none that we read: one sentence and the way out."""

from __future__ import annotations

import contextlib
from fnmatch import fnmatchcase
from pathlib import Path

from convert.errors import CheckpointError, UsageError

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_MAX_BELOW = 200  # folders, and files in each, that are looked at for a hint
_FROM_PYTORCH = "Give the model's PyTorch or safetensors files."
_UNPACK = "Unpack it first."
_OLD_GGML = ("in llama.cpp's format from before GGUF", "Convert the model it was made from.")

# (how the file begins, what it is, hint)
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"GGUF", "already a GGUF model file", "Open it with chatapp: chatapp --model FILE."),
    (b"lmgg", *_OLD_GGML),
    (b"fmgg", *_OLD_GGML),
    (b"tjgg", *_OLD_GGML),
    (
        b"24ka",
        "in llama2.c's own binary format",
        "Give the ckpt.pt that llama2.c's train.py wrote.",
    ),
    (b"\x89HDF", "an HDF5 file, as Keras and TensorFlow write", _FROM_PYTORCH),
    (b"\x93NUMPY", "a NumPy array", "Save the weights by name with torch.save."),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it with gunzip first."),
    (b"\xfd7zXZ", "compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x7fELF", "a program, not a checkpoint", _FROM_PYTORCH),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself",
        "Run git lfs pull where it came from.",
    ),
    (b"<", "a web page, not a checkpoint", "The download went wrong: fetch the file again."),
    (b"{", "JSON, not weights", "Give the model's folder."),
    (b"\0" * 64, "empty space that a download never filled", "Fetch the file again."),
    (b"\x80", "a bare pickle, not a file of torch.save", "Save the weights with torch.save."),
)
# (the file's name, what it is, hint)
_NAMES: tuple[tuple[str, str, str], ...] = (
    ("*.gguf", "GGUF model files", "Open one with chatapp: chatapp --model FILE."),
    (
        "adapter_config.json",
        "a LoRA adapter",
        "Give the model, and the adapter with it: chatapp convert MODEL --lora FOLDER.",
    ),
    ("*.onnx", "an ONNX model", _FROM_PYTORCH),
    ("*.h5", "a TensorFlow or Keras model", _FROM_PYTORCH),
    ("*.keras", "a Keras model", _FROM_PYTORCH),
    ("*.msgpack", "a Flax model", _FROM_PYTORCH),
    ("saved_model.pb", "a TensorFlow model", _FROM_PYTORCH),
    ("*.ckpt.index", "a TensorFlow checkpoint", _FROM_PYTORCH),
    ("*.ckpt.data-*", "a TensorFlow checkpoint", _FROM_PYTORCH),
    ("*.tflite", "a TensorFlow Lite model", _FROM_PYTORCH),
    ("*.npz", "NumPy arrays", "Save the weights by name with torch.save."),
    (
        "*.distcp",
        "a distributed checkpoint of PyTorch",
        "Join it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER ckpt.pt",
    ),
    (
        "zero_pp_rank_*",
        "a DeepSpeed ZeRO checkpoint",
        "Join it with the zero_to_fp32.py that DeepSpeed put beside it.",
    ),
    ("zero_to_fp32.py", "a DeepSpeed checkpoint", "Join it: python zero_to_fp32.py . joined"),
    ("*.incomplete", "an unfinished download", "Finish it, then convert."),
    ("*.aria2", "an unfinished download", "Finish it, then convert."),
    ("optimizer.pt", "the state of a training run, without weights", "Give the model's folder."),
    ("tokenizer.json", "a tokenizer without weights", "Give the folder with the weights."),
    ("tokenizer.model", "a tokenizer without weights", "Give the folder with the weights."),
    ("config.json", "a configuration without weights", "Download the whole model."),
)


def diagnose(path: Path, head: bytes, known: str) -> CheckpointError:
    """Why the file `path`, beginning with `head`, is no checkpoint; `known` lists what we read."""
    if not head:
        return CheckpointError(f"{path.name} is empty.", "Copy it again from where it was trained.")
    for beginning, kind, hint in _BEGINNINGS:
        if head.startswith(beginning):
            return CheckpointError(f"{path.name} is {kind}.", hint)
    for pattern, kind, hint in _NAMES:
        if fnmatchcase(path.name, pattern):
            return CheckpointError(f"{path.name} belongs to {kind}.", hint)
    if head[257:262] == b"ustar":
        return CheckpointError(f"{path.name} is a tar archive.", _UNPACK)
    return CheckpointError(
        f"{path.name} is in no format we read (it begins with {head[:8].hex(' ')}).",
        f"We read: {known}.",
    )


def diagnose_folder(folder: Path, names: list[str], looked_for: str) -> UsageError:
    """Why `folder`, which holds `names`, is no checkpoint."""
    for pattern, kind, hint in _NAMES:
        if any(fnmatchcase(name, pattern) for name in names):
            return UsageError(f"{folder} holds {kind}, and no checkpoint that we read.", hint)
    seen = ", ".join(name[:60] for name in names[:8]) or "nothing"
    below = _model_below(folder, names)
    return UsageError(
        f"No checkpoint found in {folder}: looked for {looked_for}; saw {seen}.",
        f"Is it in {below[:60]}, in this folder?" if below else "Name the file to convert.",
    )


def _model_below(folder: Path, names: list[str]) -> str:
    """The folder in `folder` that looks most like a model's: by the largest file of weights."""
    sizes = {}
    for name in [name for name in names if (folder / name).is_dir()][:_MAX_BELOW]:
        with contextlib.suppress(OSError):
            inside = [path for path in (folder / name).iterdir() if path.suffix in _WEIGHTS]
            sizes[name] = max((path.stat().st_size for path in inside[:_MAX_BELOW]), default=0)
    best = max(sizes, key=lambda name: sizes[name], default="")
    return best if sizes.get(best) else ""
