"""What a model is, as plain values: read from headers and configuration, never from the weights.

It promises an answer as long as the file's format is known: a family or a tokenizer that is refused
leaves the rest standing, with the refusal beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from chatapp.gguf.ggml_types import file_type_name
from chatapp.gguf.header import Array, Header, Value
from convert.architectures import read_model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import NUMPY_TYPES, Tensor
from convert.errors import ConvertError, VocabError
from convert.metadata import REPORT_KEY
from convert.options import Options
from convert.pipeline import make_plan, open_source
from convert.plan import Plan
from convert.questions import OpenQuestions
from convert.vocab.chat import render_sample
from convert.vocab.vocabulary import Vocab

PROVENANCE = "chatapp.convert."
_LONGEST = 300  # characters of a value that is shown
_ITEMS = 16  # of a list that is shown
_ROLES = {"bos": "bos", "eos": "eos", "eot": "eot", "eom": "eom", "padding": "pad"}
_ROLES |= {"unknown": "unk", "seperator": "sep", "cls": "cls", "mask": "mask"}  # sic: seperator


def describe_gguf(header: Header) -> dict[str, Any]:
    """What a GGUF says of itself, as plain values."""
    number = header.integer("general.file_type")
    vocab = read_stored_vocab(header)
    return {
        "path": str(header.path),
        "format": f"GGUF version {header.version}",
        "bytes": header.n_bytes,
        "kind": header.text("general.type") or "model",
        "name": header.text("general.name"),
        "arch": header.arch,
        "evidence": [f"general.architecture is {header.arch or 'missing'}"],
        "license": header.text("general.license"),
        "type": None if number is None else file_type_name(number),
        "hparams": {key: _plain(value) for key, value in header.hparams.items()},
        "n_weights": sum(tensor.n_weights for tensor in header.tensors),
        "tensors": _count((t.kind, t.n_bytes) for t in header.tensors),
        "tokenizer": None if vocab is None else _describe_vocab(vocab),
        "chat_template": {} if vocab is None else _describe_template(vocab),
        "provenance": _provenance(header),
        "proof": _stored_proof(header),
        "notes": _notes(header),
    }


def list_stored(header: Header) -> list[dict[str, Any]]:
    """Every tensor of a GGUF with its shape and type, as plain values."""
    return [
        {"name": t.name, "shape": list(t.shape), "type": t.kind, "bytes": t.n_bytes}
        for t in header.tensors
    ]


def read_stored_vocab(header: Header) -> Vocab | None:
    """The vocabulary in a GGUF, as far as describing it needs; None where there is none."""
    tokens, model = header.array("tokenizer.ggml.tokens"), header.text("tokenizer.ggml.model")
    if tokens is None or not model:
        return None
    ids = {role: header.integer(f"tokenizer.ggml.{key}_token_id") for key, role in _ROLES.items()}
    texts = tuple(str(text) for text in tokens.items())
    return Vocab(
        model=model,
        pre=header.text("tokenizer.ggml.pre"),
        tokens=texts,
        kinds=(),
        merges=(),
        special_ids={role: i for role, i in ids.items() if i is not None and 0 <= i < len(texts)},
        add_bos=header.values.get("tokenizer.ggml.add_bos_token") is True,
        add_eos=header.values.get("tokenizer.ggml.add_eos_token") is True,
        chat_template=header.text("tokenizer.chat_template") or None,
        source=header.path,
    )


def list_values(header: Header) -> dict[str, Any]:
    """The hyper-parameters of a GGUF, whole."""
    return {
        key: value.items() if isinstance(value, Array) else value
        for key, value in header.hparams.items()
    }


def describe_checkpoint(options: Options) -> dict[str, Any]:
    """A checkpoint's description, and what converting it would do. Raises `ConvertError`."""
    checkpoint = open_source(options)
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "bytes": sum(path.stat().st_size for path in checkpoint.weight_files),
        "n_weights": sum(tensor.n_weights for tensor in checkpoint.tensors.values()),
        "tensors": _count((t.dtype, stored_bytes(t)) for t in checkpoint.tensors.values()),
        "training": _training(checkpoint),
        "notes": list(checkpoint.notes),
        **_understand(options, checkpoint),
    }


def list_saved(options: Options) -> list[dict[str, Any]]:
    """Every tensor of a checkpoint, under the names it was saved with."""
    return [
        {"name": t.name, "shape": list(t.shape), "type": t.dtype, "bytes": stored_bytes(t)}
        for t in open_source(options).tensors.values()
    ]


def stored_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor in the type it is stored in."""
    if tensor.dtype not in NUMPY_TYPES:
        return 0
    import numpy as np

    return tensor.n_weights * np.dtype(NUMPY_TYPES[tensor.dtype]).itemsize


def _understand(options: Options, checkpoint: Checkpoint) -> dict[str, Any]:
    """Architecture, tokenizer and sizes, as far as nothing is refused."""
    try:
        plan = make_plan(options)
    except ConvertError as refusal:
        refused: dict[str, Any] = {"refusal": {"message": refusal.message, "hint": refusal.hint}}
        refused |= {"says": _says(checkpoint)}
        if isinstance(refusal, OpenQuestions):
            refused |= {"questions": refusal.as_dict()}
    else:
        return _describe_plan(plan)
    try:
        model = read_model(checkpoint, options.arch)
    except ConvertError:  # the refusal says why
        return refused
    found = {"arch": model.arch, "layout": model.layout, "hparams": dict(model.hparams)}
    return {
        **found,
        "evidence": list(model.evidence),
        "ignored": [list(pair) for pair in model.ignored],
        **refused,
    }


def _says(checkpoint: Checkpoint) -> dict[str, str]:
    """What a configuration calls its model."""
    found = {key: checkpoint.config.get(key) for key in ("model_type", "architectures")}
    return {key: str(value)[:_LONGEST] for key, value in found.items() if value}


def _describe_plan(plan: Plan) -> dict[str, Any]:
    values = plan.as_dict()
    same = ("arch", "layout", "hparams", "evidence", "ignored", "sizes", "name", "notes")
    return {
        **{key: values[key] for key in same},
        "tokenizer": _describe_vocab(plan.vocab),
        "chat_template": _describe_template(plan.vocab),
    }


def _describe_vocab(vocab: Vocab) -> dict[str, Any]:
    return {
        "model": vocab.model,
        "pre": vocab.pre,
        "n_tokens": len(vocab.tokens),
        "special_ids": {
            role: {"id": i, "text": vocab.tokens[i][:_LONGEST]}
            for role, i in vocab.special_ids.items()
        },
        "add_bos": vocab.add_bos,
        "add_eos": vocab.add_eos,
    }


def _describe_template(vocab: Vocab) -> dict[str, Any]:
    """{} where there is none; else its length, and a sample of what it writes or why it fails."""
    if not vocab.chat_template:
        return {}
    report: dict[str, Any] = {"characters": len(vocab.chat_template)}
    try:
        return report | {"sample": render_sample(vocab)}
    except VocabError as error:
        return report | {"error": error.message}


def _count(tensors: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """Numbers and bytes of tensors, by type, the most bytes first."""
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for kind, n_bytes in tensors:
        numbers[kind] += 1
        sizes[kind] += n_bytes
    return {
        "count": numbers.total(),
        "bytes": sizes.total(),
        "types": {
            kind: {"count": numbers[kind], "bytes": size} for kind, size in sizes.most_common()
        },
    }


def _plain(value: Value) -> Any:
    """A value that JSON can carry, no longer than a person reads."""
    if isinstance(value, Array):
        if value.length > _ITEMS:
            return f"{value.length} values"
        return [_plain(item) for item in value.items()]
    if isinstance(value, str):
        return value[:_LONGEST]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _provenance(header: Header) -> dict[str, Any]:
    return {
        key.removeprefix(PROVENANCE): _plain(value)
        for key, value in header.values.items()
        if key.startswith(PROVENANCE) and key != REPORT_KEY
    }


def _stored_proof(header: Header) -> dict[str, Any] | None:
    """The report we stored, if this is one: anybody may have written the key."""
    try:
        proof = json.loads(header.text(REPORT_KEY), parse_constant=str)
    except (ValueError, RecursionError):
        return None
    parts = ("tokenizer", "parity")
    usable = isinstance(proof, dict) and all(isinstance(proof.get(key), dict) for key in parts)
    return proof if usable else None


def _notes(header: Header) -> list[str]:
    notes = []
    if not header.tensors:
        has = "A vocabulary" if "tokenizer.ggml.model" in header.values else "Metadata"
        notes.append(f"{has} and no weights: it can split text, and nothing else.")
    shards = header.integer("split.count") or 1
    if shards > 1:
        notes.append(f"One of {shards} shards: the figures are of this one.")
    odd = sorted({t.kind for t in header.tensors if not t.n_bytes and t.n_weights})
    if odd:
        notes.append(f"Tensor types that are not known here: {', '.join(odd[:4])}.")
    return notes


def _training(checkpoint: Checkpoint) -> dict[str, Any]:
    """How far it was trained, as far as nanoGPT and its kin say so."""
    facts = {
        "iteration": _first(checkpoint, ("iter_num", "iteration", "step", "global_step")),
        "epoch": _first(checkpoint, ("epoch",)),
        "validation_loss": _first(checkpoint, ("best_val_loss", "val_loss")),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _first(checkpoint: Checkpoint, names: Sequence[str]) -> float | int | None:
    for name in names:
        value = checkpoint.number(name)
        if value is not None and isfinite(value):
            return int(value) if value.is_integer() else value
    return None
