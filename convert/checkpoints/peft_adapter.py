"""A LoRA folder as PEFT writes it, merged into the model it was trained on.

It promises peft's own arithmetic, block of rows by block of rows, and that nothing of the adapter
is left out in silence: what has no place in the model is listed, what is not understood is refused
by name. An embedding that was trained on one side only is no longer tied to the output: the merged
model has both. The base is never fetched: it lies on the disk, or is asked for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.checkpoints import locate, open_checkpoint
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.objects import load_object
from convert.checkpoints.peft_arithmetic import add_bias, add_product, with_lengths, with_rows
from convert.checkpoints.peft_base import BaseModel
from convert.checkpoints.peft_config import CONFIG, AdapterConfig, Strength, misfit
from convert.checkpoints.peft_tensors import (
    WEIGHTS,
    AdapterTensors,
    Delta,
    find_weights,
    read_tensors,
)
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError, UsageError

# What the hub's quantised copies are called.
_QUANTISED = re.compile(r"[-_.](?:bnb|4bit|8bit|int4|int8|gptq|awq|fp8|nf4|gguf|hqq|mlx)\b", re.I)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def recognise(path: Path) -> bool:
    """Whether `path` is a PEFT adapter: its folder, or its weights inside."""
    folder = _folder(path)
    if not (folder / CONFIG).is_file():
        return False
    # a whole model beside a forgotten adapter_config.json is that model
    return find_weights(folder) is not None or not (folder / "config.json").is_file()


def find_base(path: Path) -> Path:
    """The model's folder that the adapter names, if it is on this disk. Raises `UsageError`."""
    folder = _folder(path)
    name = load_object(folder / CONFIG).get("base_model_name_or_path")
    if isinstance(name, str) and name and len(name) < 4096 and "\0" not in name:
        for place in (Path(name), folder / name):
            if place.exists() and place.resolve() != folder.resolve():
                return place
    said = f", {name[:80]!r}," if isinstance(name, str) and name else ""
    hint = f"Give the model's folder: chatapp convert MODEL --lora {folder}."
    if isinstance(name, str) and _QUANTISED.search(name):
        hint = f"That is a quantised copy: give the 16-bit model that it was made from. {hint}"
    raise UsageError(
        f"{folder.name} is a LoRA adapter; the model under it{said} is not on this disk.", hint
    )


def open_adapter(path: Path, base: Path | None = None) -> Checkpoint:
    """The adapter at `path` merged into `base`, or into the local model that it names itself.

    Raises `UsageError` where there is no base, `CheckpointError` where they do not fit.
    """
    model = find_base(path) if base is None else base
    if recognise(model):
        raise UsageError(
            f"{model} is a LoRA adapter too.", "Give the model that the adapters were trained on."
        )
    return merge(open_checkpoint(locate(model)), path)


def merge(base: Checkpoint, path: Path) -> Checkpoint:
    """`base` with the adapter at `path` merged into its weights, lazily.

    Raises `UsageError` where that is no adapter, `CheckpointError` where they do not fit.
    """
    folder = _folder(path)
    if not (folder / CONFIG).is_file():
        inside = sorted(found.parent.name for found in folder.glob(f"*/{CONFIG}"))[:4]
        named = f" It holds adapters in {', '.join(inside)[:200]}." if inside else ""
        raise UsageError(
            f"{folder} holds no {CONFIG}.{named}", "Give the folder that peft saved the adapter in."
        )
    return _Merge(base, folder).checkpoint()


def _folder(path: Path) -> Path:
    if path.name in {*WEIGHTS, CONFIG}:
        return path.parent
    beside = path.is_file() and (path.parent / CONFIG).is_file()
    return path.parent if beside and find_weights(path.parent) == path else path


class _Merge:
    def __init__(self, base: Checkpoint, folder: Path) -> None:
        self._config = AdapterConfig(folder)
        self._found: AdapterTensors = read_tensors(folder)
        self._base = base
        self._model = BaseModel(base, self._found.bases)
        self._folder = folder
        self._scales: dict[str, None] = {}

    def checkpoint(self) -> Checkpoint:
        found, model = self._found, self._model
        self._check_places()
        for name, tensor in found.replaced.items():
            model.put(name, tensor)
        for module, rows in found.tokens.items():
            self._put_rows(module, rows)
        modules = list(found.deltas)
        factors = [found.deltas[module].factors(module) for module in modules]
        strengths = self._config.strengths(modules, [a.shape[0] for a, _ in factors])
        for module, strength in zip(modules, strengths, strict=True):
            self._merge_module(module, found.deltas[module], strength)
        whole = [*found.replaced, *(f"{module}.weight" for module in modules)]
        # a tied output follows rows that were trained, and a whole embedding only if told to
        config, ties = model.settle_ties(
            kept=self._config.keeps_ties, follows=not any(map(model.is_embedding, whole))
        )
        return replace(
            self._base,
            tensors=model.tensors,
            config=config,
            notes=(*self._base.notes, *self._notes(), *ties, *self._config.notes),
            files=(*self._base.weight_files, found.path),
            adapter=self._folder,
        )

    def _check_places(self) -> None:
        found = self._found
        wanted = [f"{module}.weight" for module in (*found.deltas, *found.tokens)]
        wanted += [f"{module}.bias" for module, delta in found.deltas.items() if delta.bias]
        missing = [name for name in (*wanted, *found.replaced) if name not in self._model]
        if missing:
            names = ", ".join(name[:100] for name in sorted(missing)[:6])
            raise CheckpointError(
                f"{self._folder.name} adapts {len(missing)} weights that the model does not have: "
                f"{names}{', ...' if len(missing) > 6 else ''}.",
                "The adapter belongs to another model.",
            )

    def _put_rows(self, module: str, rows: Tensor) -> None:
        name = f"{module}.weight"
        weight, ids = self._model[name], self._config.token_ids(module)
        if rows.shape != (len(ids), weight.n_cols) or max(ids, default=0) >= weight.n_rows:
            raise misfit(
                module, f"{rows.shape} for {len(ids)} tokens up to {max(ids, default=0)}, "
                f"the model has {weight.shape}"
            )  # fmt: skip
        self._model.put(name, with_rows(weight, ids, rows))

    def _merge_module(self, module: str, delta: Delta, strength: Strength) -> None:
        name = f"{module}.weight"
        weight, (a, b) = self._model[name], delta.factors(module)
        turned = is_turned(weight, module, delta, self._config.is_turned, self._base.config)
        expected = (a.shape[1], b.shape[0]) if turned else (b.shape[0], a.shape[1])
        if weight.shape != expected:
            raise misfit(module, f"{weight.shape} in the model, {expected} in the adapter")
        merged = add_product(weight, a, b, strength.scale, turned=turned)
        lengths = delta.magnitude
        if (lengths is not None) != self._config.is_dora:
            what = "lacks" if lengths is None else "has"
            raise misfit(module, f"it {what} magnitudes, use_dora is {self._config.is_dora}")
        if lengths is not None:
            if lengths.n_weights != b.shape[0]:
                raise misfit(module, f"{lengths.n_weights} magnitudes for {b.shape[0]} outputs")
            merged = with_lengths(merged, lengths, turned=turned)
        self._model.put(name, merged)
        if delta.bias is not None:
            bias = self._model[f"{module}.bias"]
            if bias.shape != delta.bias.shape:
                raise misfit(module, f"biases of {bias.shape} and {delta.bias.shape}")
            self._model.put(f"{module}.bias", add_bias(bias, delta.bias, strength.scale))
        self._scales[str(strength)] = None

    def _notes(self) -> list[str]:
        found, notes = self._found, []
        if found.deltas:
            scales = list(self._scales)
            more = f" and {len(scales) - 3} more" if len(scales) > 3 else ""
            said = "; ".join(scales[:3]) + more
            notes.append(f"{len(found.deltas)} weights merged: {self._config.kind} {said}.")
        if found.replaced:
            names = ", ".join(sorted(found.replaced)[:4])
            more = ", ..." if len(found.replaced) > 4 else ""
            notes.append(f"{len(found.replaced)} weights replaced: {names[:300]}{more}.")
        n_rows = sum(rows.shape[0] for rows in found.tokens.values())
        if n_rows:
            notes.append(f"{n_rows} rows replaced in {', '.join(sorted(found.tokens))[:200]}.")
        trained_on = load_object(self._folder / CONFIG).get("base_model_name_or_path")
        if isinstance(trained_on, str) and _QUANTISED.search(trained_on):
            notes.append(
                f"It was trained on a quantised copy, {trained_on[:80]}, and is merged into whole "
                "weights: nearly what it was in training, and no worse."
            )
        if any((self._folder / name).is_file() for name in _TOKENIZERS):
            notes.append(
                f"The adapter has a tokenizer too; --tokenizer {self._folder} takes it instead of "
                "the model's."
            )
        return notes


# The modules of transformers' Conv1D, which keeps its weight [in, out], by model_type.
_CONV1D = frozenset({"c_attn", "c_proj", "c_fc", "q_attn"})
_WITH_CONV1D = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})


def is_turned(
    weight: Tensor, module: str, delta: Delta, said: bool, config: dict[str, Any]
) -> bool:
    """Whether `weight` is [in, out]: an embedding, or GPT-2's Conv1D.

    Its shape tells; a square one is asked for by the model's kind, and else by what the adapter
    says, which peft writes for the module that came last.
    """
    a, b = delta.factors(module)
    if delta.is_embedding:
        return True
    n_in, n_out = a.shape[1], b.shape[0]
    if n_in != n_out:
        return weight.shape == (n_in, n_out)
    kind = config.get("model_type")
    return said if kind is None else kind in _WITH_CONV1D and module.split(".")[-1] in _CONV1D
