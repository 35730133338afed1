"""One of two models that are compared: a GGUF or a checkpoint, under llama.cpp's names.

It promises lazy tensors whatever the file: a GGUF's rows are decoded as they are read, so memory
follows a block of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chatapp.gguf.header import Header, is_gguf
from convert.architectures import read_model
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.gguf_file import open_header, read_tensors
from convert.checkpoints.tensor import Tensor
from convert.description import list_values, read_stored_vocab
from convert.errors import ConvertError, VocabError
from convert.options import Options
from convert.pipeline import make_plan, open_source
from convert.questions import OpenQuestions
from convert.vocab.vocabulary import Vocab


@dataclass(frozen=True)
class Side:
    """A model file or checkpoint, opened for comparing."""

    path: Path
    format: str
    arch: str
    values: dict[str, Any]
    """What it says of itself: hyper-parameters and tokenizer, under GGUF keys."""
    tensors: dict[str, Tensor]
    gguf: bool
    note: str = ""
    """What could not be read of it."""
    source: tuple[Checkpoint, Model] | None = None
    """Of a checkpoint: as it was read, and as it was understood."""


NO_ANSWERS: Mapping[str, Any] = MappingProxyType({})


def open_side(path: Path, answers: Mapping[str, Any] = NO_ANSWERS) -> Side:
    """The model in `path`; `answers` are fields of `Options` to a checkpoint's open questions.

    Raises `ConvertError`.
    """
    if is_gguf(path):
        return _open_gguf(open_header(path))
    options = Options(path, **answers)
    try:
        plan = make_plan(options)
    except VocabError as error:
        return _open_weights(options, error)
    except OpenQuestions as error:
        if [question.name for question in error.questions] != ["tokenizer"]:
            raise
        return _open_weights(options, error)
    return Side(
        path=path,
        format=plan.checkpoint.format,
        arch=plan.model.arch,
        values=dict(plan.model.hparams) | _tokenizer(plan.vocab),
        tensors={tensor.name: tensor for tensor in plan.model.tensors},
        gguf=False,
        source=(plan.checkpoint, plan.model),
    )


def _open_weights(options: Options, error: ConvertError) -> Side:
    """A checkpoint whose tokenizer is missing or refused: its weights compare all the same."""
    checkpoint = open_source(options)
    model = read_model(checkpoint, options.arch)
    return Side(
        path=options.source,
        format=checkpoint.format,
        arch=model.arch,
        values=dict(model.hparams),
        tensors={tensor.name: tensor for tensor in model.tensors},
        gguf=False,
        note=error.message,
        source=(checkpoint, model),
    )


def _open_gguf(header: Header) -> Side:
    vocab = read_stored_vocab(header)
    return Side(
        path=header.path,
        format=f"GGUF version {header.version}",
        arch=header.arch,
        values=list_values(header) | ({} if vocab is None else _tokenizer(vocab)),
        tensors=read_tensors(header),
        gguf=True,
    )


def _tokenizer(vocab: Vocab) -> dict[str, Any]:
    digest = sha256("\0".join(vocab.tokens).encode("utf-8", "replace")).hexdigest()[:16]
    template = sha256((vocab.chat_template or "").encode("utf-8", "replace")).hexdigest()[:16]
    return {
        "tokenizer.model": vocab.model,
        "tokenizer.pre": vocab.pre,
        "tokenizer.tokens": f"{len(vocab.tokens)} tokens, hash {digest}",
        "tokenizer.special_ids": dict(sorted(vocab.special_ids.items())),
        "tokenizer.add_bos": vocab.add_bos,
        "tokenizer.add_eos": vocab.add_eos,
        "tokenizer.chat_template": f"hash {template}" if vocab.chat_template else "none",
    }
