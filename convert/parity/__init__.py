"""Proves a conversion by logits: the checkpoint in PyTorch against the file in llama.cpp.

The references are the only modules that import torch, and only when a proof runs. A proof is an
answer to one question, whether the file is the same model; where it cannot run, the report says
why, and that is no failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatapp.gguf.size import size_text
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import OtherModelError
from convert.libllama import ModelFile
from convert.parity.measure import Agreement
from convert.parity.references import Reference, Unavailable, load_reference
from convert.progress import Progress
from convert.witness import CODE, flags_of, name_of

MAX_WEIGHTS = 3_000_000_000  # of `auto`: in PyTorch 12 GB of float32 and a minute a window
MAX_MEAN_KL = 0.1  # nats; Q8_0 measures below 0.01, a wrong head count or transpose above 1
MAX_MEAN_KL_OF_CODE = (
    0.005  # in 16 bits and more, where the same model measures 1e-5; SiLU for GELU 0.05
)
_EXACT = frozenset({"F32", "F16", "BF16"})
GREEDY = 24  # tokens of the greedy continuation
_WINDOW = 512
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Scope:
    """How much of a proof is wanted."""

    max_tokens: int
    max_weights: int | None


AUTO = Scope(1024, MAX_WEIGHTS)
FULL = Scope(16_384, None)


class Proof:
    """The reference's answers on one text, computed once and compared with any number of files."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: Model,
        scope: Scope,
        text: str,
        progress: Progress,
        reference: Reference | None = None,
    ) -> None:
        """Load the reference, unless one is there. Raises `Unavailable`."""
        if reference is None:
            check_memory(model.n_weights, scope.max_weights)
            reference = load_reference(checkpoint, model)
        self._reference = reference
        self._text = text
        self._scope = scope
        self._progress = progress
        self._expected: list[NDArray[np.float32]] = []
        self._greedy: list[int] = []

    def compare(self, file: ModelFile) -> dict[str, Any]:
        """The report on one file: `Agreement.report` with status, reference and greedy text."""
        windows = file.windows(self._text, self._scope.max_tokens, _WINDOW)
        if len(windows) > 1:  # whole windows: LongRoPE depends on how long the text is
            windows = [window for window in windows if len(window) == len(windows[0])]
        total, done = sum(map(len, windows)), 0
        if total < 2:
            return {"status": "not run", "reason": "the text is shorter than two tokens"}
        sums = Agreement()
        for index, part in enumerate(windows):
            if index == len(self._expected):
                self._expected.append(self._reference.logits(part))
            expected, found = self._expected[index], file.logits(part)
            n = min(expected.shape[1], found.shape[1])  # padding cut, or an end token added
            sums.add(expected[:, :n], found[:, :n], part)
            done += len(part)
            self._progress("progress", step="parity", done=done, total=total)
        report = {
            "status": "measured",
            "against": self._reference.against,
            "reference": self._reference.name,
            "bos": file.adds_bos,
            **({"notes": list(notes)} if (notes := self._reference.notes) else {}),
            **sums.report(),
        }
        n_prompt = max(1, min(16, len(windows[0]) // 2))
        return report | {"greedy": self._continue(file, windows[0][:n_prompt])}

    def _continue(self, file: ModelFile, prompt: list[int]) -> dict[str, str]:
        n = min(GREEDY, file.n_ctx_train - len(prompt))
        if not self._greedy:
            self._greedy = _follow(
                lambda ids: self._reference.logits(ids)[:, : file.n_tokens], prompt, n
            )
        found = _follow(file.logits, prompt, n)
        return {
            "prompt": _shorten(file.detokenize(prompt)),
            "source": _shorten(file.detokenize(self._greedy)),
            "file": _shorten(file.detokenize(found)),
        }


def limit_of(report: dict[str, Any]) -> float:
    """The mean KL that the same model may have in the file's type, by what it is compared with."""
    exact = report["against"] == CODE and report.get("type") in _EXACT
    return MAX_MEAN_KL_OF_CODE if exact else MAX_MEAN_KL


def judge(report: dict[str, Any], model: Model) -> None:
    """Raise `OtherModelError` when the file at source precision is another model."""
    if report["status"] == "measured" and not report["kl_mean"] <= limit_of(report):
        hint = "An unstable model may pass with -q F32 or --parity off."
        if report["against"] == CODE:
            hint = "The checkpoint was read otherwise than its code computes."
            hint += "".join(f"\nTaken: {line}." for line in flags_of(model))
        raise OtherModelError(
            f"The file does not compute what {name_of(report)} does: top-1 agreement "
            f"{report['top1']:.1%}, mean KL {report['kl_mean']:.3g}.",
            f"Nothing was kept. {hint}",
        )


def _follow(
    logits: Callable[[Sequence[int]], NDArray[np.float32]], prompt: list[int], n: int
) -> list[int]:
    """The n most likely next tokens after `prompt`, one by one."""
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(logits(ids)[-1].argmax()))
    return ids[len(prompt) :]


def _shorten(text: bytes) -> str:
    return text.decode("utf-8", "replace")[:200]


def check_memory(n_weights: int, most: int | None) -> None:
    """Raise `Unavailable` where a model of `n_weights` is more than `most`, or than memory."""
    if most is not None and n_weights > most:
        raise Unavailable(
            f"{n_weights / 1e9:.1f} G weights take PyTorch minutes; --parity full runs it"
        )
    needed, free = 10 * n_weights, _available_memory()  # float32 twice while loading, logits
    if free is not None and needed > free:
        raise Unavailable(
            f"PyTorch would need {size_text(needed)} of memory and {size_text(free)} are free"
        )


def _available_memory() -> int | None:
    """Bytes free for a new process, or None where the system does not say (macOS)."""
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return None
