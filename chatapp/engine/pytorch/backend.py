"""The PyTorch backend: one model as transformers runs it, requests one after the other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch
import transformers
from msgspec.structs import replace
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.chat.counting import count_prompt, render_prompt
from chatapp.engine.chat.manner import Manner, find_manner
from chatapp.engine.chat.prompt import Prompt, build_completion, build_source
from chatapp.engine.embedding import Embed, Embedded, refuse_chat
from chatapp.engine.protocol import (
    Finished,
    Generate,
    LoadOptions,
    Measure,
    Measured,
    ModelDescription,
)
from chatapp.engine.pytorch.folder import Folder, read_folder
from chatapp.engine.pytorch.generation import TorchGeneration
from chatapp.engine.pytorch.scoring import score_text
from chatapp.engine.pytorch.weights import TorchWeights
from chatapp.engine.scoring import Score, Scored
from chatapp.errors import EngineError, UsageError
from chatapp.gguf.fit import DEFAULT_N_CTX
from chatapp.gguf.sandbox import TemplateProcess
from chatapp.paths import read_path
from chatapp.recommended import read_recommended
from chatapp.thinking import Thinking

RUNTIME = "PyTorch, not converted"


class TorchBackend:
    """Holds one model. Nothing of a prompt is kept: every answer reads it from its beginning."""

    name = "torch"
    version = f"torch {torch.__version__}, transformers {transformers.__version__}"

    def __init__(self) -> None:
        self._weights: TorchWeights | None = None
        self._manner: Manner | None = None
        self._templates: TemplateProcess | None = None
        self._description: ModelDescription | None = None
        self._told: set[str] = set()
        """Notices on prompts that were given since the model was loaded."""

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Load a folder that transformers has saved, freeing the last model first."""
        self.unload()
        started = time.perf_counter()
        path = read_path(options.path)
        report(0.0)
        if options.n_threads:
            torch.set_num_threads(options.n_threads)
        folder = read_folder(path)
        if _makes_embeddings(folder):
            raise refuse_chat(path, ", if it can be converted")
        self._weights = weights = TorchWeights(folder, use_gpu=options.gpu_layers != 0)
        self._templates = TemplateProcess()
        self._manner = manner = find_manner(
            weights.templates,
            (folder.name,),
            weights.vocab,
            options,
            self._templates,
            is_text_to_text=weights.is_encoder_decoder,
        )
        n_ctx, notice = _choose_n_ctx(weights, options)
        recommended, ignored = read_recommended(weights.recommended)
        n_layers = weights.n_layers
        report(1.0)
        self._description = ModelDescription(
            path=options.path,
            name=folder.name,
            arch=folder.model_type,
            size_bytes=weights.size_bytes,
            n_params=weights.n_params,
            n_ctx=n_ctx,
            n_ctx_train=weights.n_ctx_train or n_ctx,
            n_vocab=weights.vocab.n_tokens,
            n_layers=n_layers,
            gpu_layers=n_layers + 1 if weights.device_name else 0,
            devices=[weights.device_name] if weights.device_name else [],
            gpu_note="" if weights.device_name else "PyTorch computes on the CPU.",
            chat_template=manner.template is not None,
            template_hash=manner.template.hash if manner.template else "",
            sampling=recommended,
            fingerprint=folder.fingerprint,
            load_s=time.perf_counter() - started,
            notices=[*notice, *weights.notices, *manner.notices, *ignored],
            runtime=RUNTIME,
        )
        return self._description

    def unload(self) -> None:
        """Free the model that is loaded, if one is."""
        if self._templates is not None:
            self._templates.close()
        self._weights = self._manner = self._templates = self._description = None
        self._told.clear()

    def measure(self, request: Measure) -> Measured:
        """Count the prompt that these messages make, by rendering and tokenizing it."""
        if self._manner is None:
            raise EngineError("No model is loaded.")
        measured = count_prompt(self._manner, request)
        return replace(measured, total=measured.total + len(self._tail))

    def embed(self, _request: Embed) -> Embedded:
        """Refused: checkpoints that make embeddings are converted."""
        raise UsageError("Embeddings are made by models that run in llama.cpp.")

    def score(self, request: Score, emit: Emit, cancelled: Cancellation) -> Scored:
        """Say how likely a text is."""
        if self._weights is None or self._description is None:
            raise EngineError("No model is loaded.")
        return score_text(self._weights, self._description.n_ctx, request, emit, cancelled)

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Answer the messages, or go on from the prompt."""
        weights, manner, model = self._weights, self._manner, self._description
        if weights is None or manner is None or model is None:
            raise EngineError("No model is loaded.")
        request = replace(request, params=request.params.filled(model.sampling))
        prompt = self._build_prompt(manner, request)
        if manner.is_text_to_text:  # `generate` begins the decoder's part by itself
            prompt = dataclasses.replace(prompt, tokens=[*prompt.source, *self._tail])
        answer = TorchGeneration(weights, manner, model.n_ctx, request, prompt, emit)
        finished = answer.run(cancelled)
        return replace(finished, timings=replace(finished.timings, load_s=model.load_s))

    @property
    def _tail(self) -> list[int]:
        """What the tokenizer puts behind a prompt: an encoder wants it, a text that goes on not."""
        weights = self._weights
        return weights.vocab.tail if weights and weights.is_encoder_decoder else []

    def _build_prompt(self, manner: Manner, request: Generate) -> Prompt:
        if request.prompt is not None:
            build = build_source if manner.is_text_to_text else build_completion
            return build(manner.vocab, request.prompt)
        prompt = render_prompt(manner, request)
        if manner.is_raw or manner.is_text_to_text:
            return prompt
        thinking = Thinking.parse(request.think)
        budget = thinking.budget(knows_effort=bool(manner.understood.efforts))
        new = tuple(notice for notice in prompt.notices if notice not in self._told)
        self._told.update(new)
        return dataclasses.replace(prompt, thought_budget=budget, notices=new)


def _makes_embeddings(folder: Folder) -> bool:
    """Whether sentence-transformers saved it, or it is an encoder without a head that writes."""
    if (folder.path / "modules.json").is_file():
        return True
    is_encoder = folder.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    writes = (
        folder.config.get("is_decoder") is True
        or folder.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    )
    saved_as = ("Model", "ForMaskedLM", "ForPreTraining")
    return is_encoder and not writes and folder.architecture.endswith(saved_as)


def _choose_n_ctx(weights: TorchWeights, options: LoadOptions) -> tuple[int, list[str]]:
    trained = weights.n_ctx_train
    usual = min(trained or DEFAULT_N_CTX, DEFAULT_N_CTX)
    wanted = options.n_ctx or usual
    if not trained or wanted <= trained:
        return wanted, []
    if weights.has_learned_positions:
        notice = (
            f"The context is {trained} tokens, not {wanted}: this model has learned positions for "
            f"{trained} and none beyond."
        )
        return trained, [notice]
    notice = (
        f"The context of {wanted} tokens is longer than the {trained} this model was trained for; "
        "answers may get worse beyond that."
    )
    return wanted, [notice]
