"""A PEFT LoRA as a GGUF adapter, which llama.cpp adds to a model file when that is loaded.

It promises a file that does to the converted model what peft's does to the original, or a refusal:
the format has plain factors and one number for their strength, no magnitudes (DoRA), no weights
trained whole and no biases. Strengths that differ go into B. Factors are written as F32, for they
are small and the strength may be large.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray

from convert.adapter_map import MERGE, Factors, Pair, map_factors
from convert.architectures import is_hand_written
from convert.checkpoints import peft_adapter
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.peft_adapter import is_turned
from convert.checkpoints.peft_base import BaseModel
from convert.checkpoints.peft_config import AdapterConfig, misfit
from convert.checkpoints.peft_tensors import AdapterTensors, read_tensors
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError, OutputError, UsageError
from convert.ftype import F32
from convert.options import Options
from convert.output import PartFile
from convert.progress import Progress, silent
from convert.writing import write_tensors


@dataclass(frozen=True)
class AdapterFile:
    """The adapter file that was written."""

    output: Path
    bytes: int
    arch: str
    n_adapted: int
    """Tensors of the model file that it changes."""
    alpha: float
    """As the file has it: the strength times the rank, or 0 where strengths are in B."""
    notes: tuple[str, ...]


def run_adapter(options: Options, progress: Progress = silent) -> AdapterFile:
    """Write the LoRA of `options`, or the one its source is, as an adapter. Raises `ConvertError`.

    Without an output it goes beside the folder: NAME-lora.gguf.
    """
    started = time.monotonic()
    _check_options(options)
    folder, source = options.lora, options.source
    if folder is None:
        folder, source = source, peft_adapter.find_base(source)
    base = _open_base(replace(options, source=source, lora=None), progress)
    output = options.output or folder.resolve().with_name(f"{folder.resolve().name}-lora.gguf")
    output = output / f"{folder.resolve().name}-lora.gguf" if output.is_dir() else output
    progress("step", name="write")
    written = write_adapter(
        folder, base, output, arch=options.arch, force=options.force, progress=progress
    )
    for note in written.notes:
        progress("note", text=note)
    seconds = round(time.monotonic() - started, 2)
    progress("done", output=str(written.output), bytes=written.bytes, seconds=seconds)
    return written


def _check_options(options: Options) -> None:
    if options.lora is None and not peft_adapter.recognise(options.source):
        raise UsageError(
            f"{options.source} is no LoRA folder.", "Give the one of the adapter with --lora."
        )
    given = {
        "-q": options.ftype,
        "--fit": options.fit,
        "--max-kl": options.max_kl,
        "--imatrix": options.imatrix,
        "--dry-run": options.dry_run or None,
    }
    unused = [flag for flag, value in given.items() if value is not None]
    if unused:
        raise UsageError(f"{unused[0]} says nothing about an adapter, which is small and F32.")


def _open_base(options: Options, progress: Progress) -> Checkpoint:
    """The base, as it is converted itself: one that was written by hand is measured, or its open
    questions are asked, for how it was built decides what becomes of the factors."""
    from convert.pipeline import open_source, understand

    base = open_source(options)
    if is_hand_written(base, options.arch):
        base, _, _ = understand(options, progress)
    elif options.code is not None:
        raise UsageError("--code says nothing about an adapter of a model in a form that is known.")
    for note in base.notes:
        progress("note", text=note)
    return base


def write_adapter(
    folder: Path,
    base: Checkpoint,
    output: Path,
    *,
    arch: str | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> AdapterFile:
    """Write the adapter in `folder` for the model file that `base` converts to.

    Rows cut off the vocabulary or added to it (`fit_vocab`) are not known here: llama.cpp refuses
    an adapter of the output or embedding that has others. Raises `ConvertError`.
    """
    if output.exists() and not force:
        raise UsageError(f"{output} exists already.", "Give --force to replace it, or -o NAME.")
    config, found = AdapterConfig(folder), read_tensors(folder)
    _refuse(config, found, base)
    model, pairs = map_factors(base, arch, _factors(config, found, base))
    alpha, pairs = _settle(pairs)
    tensors = [tensor for pair in pairs for tensor in (pair.a, pair.b)]
    with PartFile(output) as part:
        try:
            _write(part.path, folder.name, model.arch, alpha, tensors, progress)
        except OSError as error:
            raise OutputError(
                f"{part.path} cannot be written: {error.strerror or error}.",
                "Free some space or choose another folder with -o.",
            ) from error
        size = part.commit()
    said = f"alpha {alpha:.6g}" if alpha else "strengths in B"
    note = f"{len(pairs)} tensors adapted: {config.kind}, {said}."
    return AdapterFile(output, size, model.arch, len(pairs), alpha, (note, *config.notes))


def _refuse(config: AdapterConfig, found: AdapterTensors, base: Checkpoint) -> None:
    whole = [*found.replaced, *found.tokens]
    biased = [module for module, delta in found.deltas.items() if delta.bias]
    resized = [name for name, tensor in found.bases.items() if _differs(base, name, tensor)]
    for names, what in (
        ([config.where] if config.is_dora else [], "DoRA's magnitudes"),
        (whole, "weights trained whole"),
        (biased, "trained biases"),
        (resized, "a resized vocabulary"),
    ):
        if names:
            raise CheckpointError(
                f"A GGUF adapter cannot hold {what}, as {config.where} has ({names[0][:100]}).",
                MERGE,
            )


def _differs(base: Checkpoint, name: str, tensor: Tensor) -> bool:
    model = BaseModel(base, {})
    return name not in model or model[name].shape != tensor.shape


def _factors(config: AdapterConfig, found: AdapterTensors, base: Checkpoint) -> list[Factors]:
    model = BaseModel(base, {})
    modules = list(found.deltas)
    products = [found.deltas[module].factors(module) for module in modules]
    strengths = config.strengths(modules, [a.shape[0] for a, _ in products])
    factors = []
    for module, (a, b), strength in zip(modules, products, strengths, strict=True):
        name = model.find(f"{module}.weight")
        if name is None:
            raise misfit(module, "the model has no such weight")
        if name not in base.tensors:
            raise CheckpointError(
                f"{module[:100]} is tied to the embedding, and adapted alone.", MERGE
            )
        delta, weight = found.deltas[module], base.tensors[name]
        turned = is_turned(weight, module, delta, config.is_turned, base.config)
        expected = (a.shape[1], b.shape[0]) if turned else (b.shape[0], a.shape[1])
        if weight.shape != expected:
            raise misfit(module, f"{weight.shape} in the model, {expected} in the adapter")
        factors.append(Factors(name, a, b, strength, turned, delta.is_embedding))
    return factors


def _settle(pairs: list[Pair]) -> tuple[float, list[Pair]]:
    """The file's alpha, and the pairs with what it does not say folded into B.

    llama.cpp multiplies with alpha / rank, and with 1 where alpha is 0.
    """
    alphas = {scale * len(pair.scales) for pair in pairs for scale in pair.scales}
    if len(alphas) == 1:
        return alphas.pop(), pairs
    return 0.0, [replace(pair, b=_scaled(pair.b, pair.scales)) for pair in pairs]


def _scaled(b: Tensor, scales: tuple[float, ...]) -> Tensor:
    factors = np.asarray(scales, np.float32)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = b.read(start, stop) * factors
        return scaled

    return replace(b, read=read, identity=(*b.identity, "scaled", scales))


def _write(
    path: Path, name: str, arch: str, alpha: float, tensors: list[Tensor], progress: Progress
) -> None:
    writer = GGUFWriter(path, arch)
    try:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        writer.add_name(name)
        writer.add_description(f"Converted from the PEFT adapter {name} by chatapp.")
        for tensor in tensors:
            writer.add_tensor_info(
                tensor.name,
                tensor.shape,
                np.dtype(np.float32),
                F32.tensor_bytes(tensor.shape),
                raw_dtype=GGMLQuantizationType.F32,
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        write_tensors(writer.fout[0], [(tensor, F32) for tensor in tensors], {}, progress)
    finally:
        writer.close()
