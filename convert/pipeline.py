"""A conversion from end to end: plan, read, map, quantise, write, prove; one function a step.

It promises a proved file under the final name, or an exception and nothing left. Memory follows a
block of rows, not the model (the proof in PyTorch, which is optional, needs the whole model).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from typing import Any

from convert.architectures import read_model
from convert.checkpoints import locate, open_checkpoint
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import CheckpointError, UsageError
from convert.generation_config import read_temperature
from convert.output import PartFile, check_output
from convert.plan import Plan, choose_ftype, choose_name, choose_output, fallback_notes, fit_vocab
from convert.progress import Progress, silent
from convert.samples import PROSE
from convert.vocab import read_vocab

_HASH_BLOCK = 4 << 20


@dataclass(frozen=True)
class Result:
    """What a conversion did. After a dry run `bytes` is 0 and there is no `proof`."""

    output: Path
    bytes: int
    plan: dict[str, Any]
    proof: dict[str, Any] | None
    seconds: float


def convert(
    source: Path,
    output: Path | None = None,
    *,
    ftype: str | None = None,
    parity: bool = True,
    parity_text: Path | None = None,
    name: str | None = None,
    license_id: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> Result:
    """Convert `source`, a checkpoint or its folder, to a GGUF. Raises `ConvertError`."""
    started = time.monotonic()
    plan = make_plan(source, output, ftype, name, license_id)
    progress("plan", **plan.as_dict())
    check_output(plan, force)
    text = _read_text(parity_text)
    if dry_run:
        return Result(plan.output, 0, plan.as_dict(), None, time.monotonic() - started)
    before = _stamp(plan.checkpoint.path)
    with PartFile(plan.output) as part:
        progress("step", name="read")
        provenance = describe_source(plan.checkpoint, progress)
        progress("step", name="write")
        part.write(plan, provenance, progress)
        if _stamp(plan.checkpoint.path) != before:
            raise CheckpointError(
                f"{plan.checkpoint.path.name} changed while it was being read.",
                "Is it still training? Copy the checkpoint and convert the copy.",
            )
        progress("step", name="prove")
        proof = prove(part.path, plan, text if parity else None, progress)
        part.fill_report(proof)
        size = part.commit()
    seconds = time.monotonic() - started
    progress("done", output=str(plan.output), bytes=size, seconds=round(seconds, 2))
    return Result(plan.output, size, plan.as_dict(), proof, seconds)


def make_plan(
    source: Path, output: Path | None, ftype: str | None, name: str | None, license_id: str | None
) -> Plan:
    """Read names and shapes, map them, and decide everything else. No weight is read."""
    wanted, reason = choose_ftype(ftype)
    checkpoint = open_checkpoint(locate(source))
    model = read_model(checkpoint)
    vocab = read_vocab(checkpoint.folder, model.n_vocab)
    model, cut = fit_vocab(model, vocab)
    notes = (*checkpoint.notes, *model.notes, *vocab.notes, *cut, *fallback_notes(model, wanted))
    temperature, unusable = read_temperature(checkpoint.folder)
    if unusable:
        notes += (unusable,)
    if vocab.chat_template is None:
        notes += ("No chat template: a base model, which completes text.",)
    return Plan(
        checkpoint=checkpoint,
        model=model,
        vocab=vocab,
        ftype=wanted,
        type_reason=reason,
        output=choose_output(checkpoint.path, output, wanted),
        name=choose_name(checkpoint.path, name),
        license=license_id,
        temperature=temperature,
        notes=notes,
    )


def describe_source(checkpoint: Checkpoint, progress: Progress) -> dict[str, str | int | float]:
    """Provenance for the metadata: who converted what, and how far it was trained."""
    facts: dict[str, str | int | float] = {
        "version": _own_version(),
        "source.format": checkpoint.format,
        "source.sha256": _hash_file(checkpoint.path, progress),
    }
    iteration = checkpoint.fact("iter_num")
    if type(iteration) is int and 0 <= iteration < 1 << 32:
        facts["source.iteration"] = iteration
    loss = checkpoint.number("best_val_loss")
    if loss is not None and isfinite(loss) and abs(loss) < 1e30:
        facts["source.validation_loss"] = loss
    return facts


def prove(path: Path, plan: Plan, text: str | None, progress: Progress) -> dict[str, Any]:
    """The proof's report: tokenizer by text, and logits on `text` unless it is None."""
    from convert import parity  # 300 ms of llama.cpp, and for the proof only
    from convert.libllama import ModelFile
    from convert.vocab.proof import prove as prove_vocab

    with ModelFile(path) as file:
        tokenizer = prove_vocab(file, plan.vocab)
        logits: dict[str, Any] = {"status": "not run", "reason": "switched off"}
        if text is not None:
            logits = parity.run(plan.checkpoint, plan.model, file, text, progress)
    report = {"tokenizer": tokenizer, "parity": logits}
    progress("proof", **report)
    return report


def _read_text(path: Path | None) -> str:
    if path is None:
        return PROSE
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _hash_file(path: Path, progress: Progress) -> str:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
            done += len(block)
            progress("progress", step="read", done=done, total=total)
    return digest.hexdigest()


def _own_version() -> str:
    try:
        return version("chatapp")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "source tree"
