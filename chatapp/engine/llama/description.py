"""What the engine tells of a loaded model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import llama_cpp.llama_cpp as lib

from chatapp.engine.llama import devices
from chatapp.engine.llama.model_file import fingerprint
from chatapp.engine.protocol import ModelDescription
from chatapp.gguf.guided import GUIDE
from chatapp.gguf.naming import name_model
from chatapp.paths import spell_path
from chatapp.recommended import read_recommended

if TYPE_CHECKING:
    from chatapp.engine.llama.embedding import EmbeddingModel
    from chatapp.engine.llama.model import LoadedModel
    from chatapp.engine.llama.placing import Planned


def describe(
    model: LoadedModel | EmbeddingModel,
    path: Path,
    size: int,
    load_s: float,
    planned: Planned,
) -> ModelDescription:
    """`model`, from the file `path` of `size` bytes, that took `load_s` seconds to load as its
    header had it `planned`."""
    recommended, ignored = read_recommended(planned.sampling)
    found = devices.list_devices()
    return ModelDescription(
        path=spell_path(path),
        name=planned.name or name_model(model.weights.meta, path, model.weights.arch),
        arch=model.weights.arch,
        size_bytes=size,
        n_params=lib.llama_model_n_params(model.weights.handle),
        n_ctx=model.n_ctx,
        n_ctx_train=model.weights.n_ctx_train,
        n_vocab=model.vocab.n_tokens,
        n_layers=model.weights.n_layers,
        kv_type=model.kv_type,
        gpu_layers=model.weights.gpu_layers,
        devices=[device.description for device in found if device.is_gpu],
        gpu_note="" if model.weights.gpu_layers else _why_no_gpu(found),
        chat_template=model.manner.template is not None,
        template_hash=model.manner.template.hash if model.manner.template else "",
        sampling=recommended,
        fingerprint=fingerprint(path),
        load_s=load_s,
        notices=[*model.notices, *ignored],
        guide=model.weights.meta(GUIDE) == "true",
    )


def _why_no_gpu(found: list[devices.Device]) -> str:
    if any(device.is_gpu for device in found):
        return "No layer is on the GPU: --gpu-layers 0, or none fits its free memory."
    return devices.gpu_note()
