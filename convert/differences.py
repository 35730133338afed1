"""Measures what differs between two models: metadata, weights, logits.

It promises figures in float64 and no more memory than a few blocks of rows (logits load both files
into llama.cpp, and are left out where memory is short).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isclose, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from chatapp.gguf.size import size_text
from convert.author.asked import Code
from convert.author.command import call_author
from convert.checkpoints.tensor import BLOCK_WEIGHTS, Tensor
from convert.errors import ProofError, UsageError
from convert.progress import Progress
from convert.samples import read_text
from convert.side import NO_ANSWERS, Side, open_side

TOKENIZER = "tokenizer."
MAX_TOKENS = 1024
_WINDOW = 512
_LOGITS_AT_ONCE = 1 << 24  # of one side; log-probabilities take 8 bytes each, several times
MAX_BYTES = 4 << 30  # of both files, to load them without being asked for it
# Half a unit in the last place, relative; float32's is below what float32 sums resolve.
ROUNDING = {"F64": 1e-6, "F32": 1e-6, "F16": 2.0**-11, "BF16": 2.0**-8}


def compare(
    a: Path,
    b: Path,
    progress: Progress,
    *,
    text: Path | None = None,
    logits: bool = True,
    tolerance: float | None = None,
    answers: Mapping[str, Any] = NO_ANSWERS,
    code: Code | None = None,
) -> dict[str, Any]:
    """The report on two models. Raises `ConvertError`.

    Keys: a, b, same, metadata ([key, a, b]), only_a, only_b, shapes ([name, a, b]), tensors (name,
    types, relative, max_abs, same; the worst first), logits. `relative` is ||a - b|| / ||a||, None
    where that is no number. `tolerance` replaces `ROUNDING`. `answers` are fields of `Options` for
    whichever of the two is a checkpoint. With `code`, the model's own, a GGUF is proved against the
    checkpoint that it was made of.
    """
    for path in (a, b):
        if not path.exists():
            raise UsageError(f"{path} does not exist.", "Give two GGUFs, checkpoints or folders.")
    words = read_text(text)
    said = {**answers, "code": code}  # it settles what a hand-written checkpoint leaves open
    first, second = open_side(a, said), open_side(b, said)
    if code is not None and (not logits or {first.gguf, second.gguf} != {False, True}):
        raise UsageError(
            "--code compares the logits of a GGUF with those of a checkpoint.",
            "Give a GGUF and a checkpoint, without --weights.",
        )
    shared = [name for name in first.tensors if name in second.tensors]
    shapes = [name for name in shared if _shape(first, name) != _shape(second, name)]
    alike = [name for name in shared if name not in set(shapes)]
    report: dict[str, Any] = {
        "a": describe(first),
        "b": describe(second),
        "metadata": compare_values(first, second),
        "only_a": [name for name in first.tensors if name not in second.tensors],
        "only_b": [name for name in second.tensors if name not in first.tensors],
        "shapes": [[name, _shape(first, name), _shape(second, name)] for name in shapes],
        "tensors": compare_tensors(first, second, alike, tolerance, progress),
    }
    found = ("metadata", "only_a", "only_b", "shapes")
    weights_same = all(tensor["same"] for tensor in report["tensors"])
    report["same"] = weights_same and not any(report[key] for key in found)
    report["logits"] = {"status": "not run", "reason": "switched off"}
    if code is not None:
        report["logits"] = prove_again(first, second, code, words, progress, answers)
        from convert.parity import limit_of

        found = report["logits"]
        report["same"] &= found.get("kl_mean", inf) <= limit_of(found)
    elif logits:
        report["logits"] = compare_logits(first, second, words, text is not None, progress)
    return report


def describe(side: Side) -> dict[str, Any]:
    """What a side of the comparison is, as plain values."""
    return {
        "path": str(side.path),
        "format": side.format,
        "arch": side.arch,
        "note": side.note,
        "n_tensors": len(side.tensors),
        "n_weights": sum(tensor.n_weights for tensor in side.tensors.values()),
    }


def compare_values(a: Side, b: Side) -> list[list[str]]:
    """[key, a's value, b's value] where they differ; a missing value is `-`."""
    values = {"architecture": a.arch} | a.values, {"architecture": b.arch} | b.values
    keys = [*dict.fromkeys([*values[0], *values[1]])]
    if any(TOKENIZER + "model" not in side for side in values):  # one side's could not be read
        keys = [key for key in keys if not key.startswith(TOKENIZER)]
    missing = object()
    pairs = [(key, values[0].get(key, missing), values[1].get(key, missing)) for key in keys]
    return [
        [key[:100], *("-" if v is missing else str(v)[:120] for v in (x, y))]
        for key, x, y in pairs
        if not _equal(x, y)
    ]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):  # one may have been through float32
        return isclose(a, b, rel_tol=1e-6) or (a != a and b != b)
    return bool(a == b)


def _shape(side: Side, name: str) -> list[int]:
    return list(side.tensors[name].shape)


def compare_tensors(
    a: Side, b: Side, names: list[str], tolerance: float | None, progress: Progress
) -> list[dict[str, Any]]:
    """How far the tensors `names`, which have the same shape, are apart; the worst first."""
    total = sum(a.tensors[name].n_weights for name in names)
    done, found = 0, []
    for name in names:
        x, y = a.tensors[name], b.tensors[name]
        relative, max_abs = measure(x, y)
        allowed = rounding(x.dtype, y.dtype) if tolerance is None else tolerance
        same = relative is not None and relative <= allowed
        types = [x.dtype, y.dtype]
        found.append(
            {"name": name, "types": types, "relative": relative, "max_abs": max_abs, "same": same}
        )
        done += x.n_weights
        progress("progress", step="compare", done=done, total=total)
    return sorted(found, key=lambda t: -1.0 if t["relative"] is None else 1 / (1 + t["relative"]))


def rounding(a: str, b: str) -> float:
    """The relative error that storing one of two types as the other may cause."""
    if a == b and a not in ROUNDING:
        return 0.0
    if a == b:
        return 1e-6
    return max(ROUNDING[a], ROUNDING[b]) if {a, b} <= ROUNDING.keys() else 0.0


def measure(a: Tensor, b: Tensor) -> tuple[float | None, float | None]:
    """(||a - b|| / ||a||, max |a - b|); None where something is not finite, or a is all zeros."""
    error = power = largest = 0.0
    step = max(1, BLOCK_WEIGHTS // max(1, a.n_cols))
    for start in range(0, a.n_rows, step):
        stop = min(start + step, a.n_rows)
        x = a.read(start, stop).astype(np.float64)
        with np.errstate(invalid="ignore"):
            gap = x - b.read(start, stop)
        error += float(np.square(gap).sum())
        power += float(np.square(x).sum())
        largest = max(largest, float(np.abs(gap).max(initial=0.0)))
    if not np.isfinite(error + power):
        return None, None
    if power == 0.0:
        return (0.0 if error == 0.0 else None), largest
    return sqrt(error / power), largest


def compare_logits(a: Side, b: Side, text: str, asked: bool, progress: Progress) -> dict[str, Any]:
    """What two GGUFs compute on `text`; why not, where it is not run. `asked`: at any size."""
    if not (a.gguf and b.gguf):
        return {"status": "not run", "reason": "only two GGUFs are run"}
    size = a.path.stat().st_size + b.path.stat().st_size
    if size > MAX_BYTES and not asked:
        return {"status": "not run", "reason": f"{size_text(size)}; --text FILE runs them"}
    try:
        return _run_both(a.path, b.path, text, progress)
    except ProofError as error:
        return {"status": "not run", "reason": error.message}


def prove_again(
    a: Side, b: Side, code: Code, text: str, progress: Progress, answers: Mapping[str, Any]
) -> dict[str, Any]:
    """What a GGUF and the checkpoint's own code compute on `text`. Raises `ConvertError`."""
    from convert.libllama import ModelFile
    from convert.parity import AUTO, Proof

    file, source = (a, b) if a.gguf else (b, a)
    assert source.source is not None
    checkpoint, model = source.source
    told = answers.get("settings", {})
    with call_author(code, checkpoint, model, told) as author, ModelFile(file.path) as loaded:
        proof = Proof(checkpoint, model, AUTO, text, progress, author)
        report = proof.compare(loaded)
    report["type"] = "F16" if _types(file) <= {"F32", "F16"} else "mixed"
    for side, name in ((file, "file"), (source, "source")):
        if f"perplexity_{name}" in report:
            report[f"perplexity_{'a' if side is a else 'b'}"] = report.pop(f"perplexity_{name}")
    return report


def _types(side: Side) -> set[str]:
    return {tensor.dtype for tensor in side.tensors.values()}


def _run_both(a: Path, b: Path, text: str, progress: Progress) -> dict[str, Any]:
    from convert.libllama import ModelFile  # 300 ms of llama.cpp
    from convert.parity.measure import Agreement

    with ModelFile(a) as first, ModelFile(b) as second:
        if first.n_tokens != second.n_tokens:
            return {"status": "not run", "reason": "the vocabularies differ in size"}
        bos = first.adds_bos or second.adds_bos
        fitting = max(16, _LOGITS_AT_ONCE // first.n_tokens)
        size = min(first.n_ctx_train, second.n_ctx_train, _WINDOW, fitting)
        windows = first.windows(text, MAX_TOKENS, size, bos=bos)
        if windows != second.windows(text, MAX_TOKENS, size, bos=bos):
            return {"status": "not run", "reason": "the tokenizers split the text differently"}
        total, done = sum(map(len, windows)), 0
        if total < 2:
            return {"status": "not run", "reason": "the text is shorter than two tokens"}
        sums = Agreement()
        for part in windows:
            sums.add(first.logits(part), second.logits(part), part)
            done += len(part)
            progress("progress", step="logits", done=done, total=total)
        figures = sums.report() | {"bos": bos}
    figures["perplexity_a"] = figures.pop("perplexity_source")
    figures["perplexity_b"] = figures.pop("perplexity_file")
    return {"status": "measured", **figures}
