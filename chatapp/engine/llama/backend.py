"""The llama.cpp backend: one model at a time, requests one after the other."""

import dataclasses
import time
from collections.abc import Callable

import llama_cpp
from msgspec.structs import replace

from chatapp.engine.backend import Cancellation, Emit
from chatapp.engine.chat.counting import count_prompt, render_prompt
from chatapp.engine.chat.prompt import Prompt, build_completion, build_source
from chatapp.engine.embedding import Embed, Embedded
from chatapp.engine.llama import native
from chatapp.engine.llama.cache import TokenCache
from chatapp.engine.llama.embedding import EmbeddingModel
from chatapp.engine.llama.generation import Generation
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.llama.scoring import Scoring
from chatapp.engine.protocol import (
    Finished,
    Generate,
    LoadOptions,
    Measure,
    Measured,
    ModelDescription,
)
from chatapp.engine.scoring import Score, Scored
from chatapp.errors import EngineError, UsageError
from chatapp.thinking import Thinking


class LlamaBackend:
    """Holds the loaded model and the cache of its last conversation, or an embedding model."""

    name = "llama"
    version: str = llama_cpp.__version__

    def __init__(self) -> None:
        native.start()
        if not native.struct_is_sane():
            raise EngineError(
                f"The bindings of llama-cpp-python {self.version} do not fit its library.",
                "Install it again: pip install --force-reinstall llama-cpp-python",
            )
        self._model: LoadedModel | None = None
        self._cache: TokenCache | None = None
        self._embedder: EmbeddingModel | None = None
        self._told: set[str] = set()
        """Notices on prompts that were given since the model was loaded."""

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Load a model file, freeing the last one first."""
        self.unload()
        if options.embed:
            self._embedder = EmbeddingModel(options, report)
            return self._embedder.description
        self._model = LoadedModel(options, report)
        self._cache = TokenCache(self._model)
        return self._model.description

    def unload(self) -> None:
        """Free the model that is loaded, if one is."""
        if self._cache:
            self._cache.close()
        if self._model:
            self._model.close()
        if self._embedder:
            self._embedder.close()
        self._model = self._cache = self._embedder = None
        self._told.clear()

    def _build_prompt(self, model: LoadedModel, request: Generate) -> Prompt:
        """The prompt of an answer, with the thinking that was asked for."""
        prompt = render_prompt(model.manner, request)
        if model.manner.is_raw:
            return prompt
        thinking, known = Thinking.parse(request.think), model.manner.understood
        budget = thinking.budget(knows_effort=bool(known.efforts))
        new = tuple(notice for notice in prompt.notices if notice not in self._told)
        self._told.update(new)
        return dataclasses.replace(prompt, thought_budget=budget, notices=new)

    def measure(self, request: Measure) -> Measured:
        """Count the prompt that these messages make, by rendering and tokenizing it."""
        if self._model is None:
            raise EngineError("No model is loaded.")
        return count_prompt(self._model.manner, request)

    def embed(self, request: Embed) -> Embedded:
        """Make embeddings with the model that was loaded for them."""
        if self._embedder is None:
            raise UsageError("The model was not loaded to make embeddings.")
        return self._embedder.embed(request)

    def score(self, request: Score, emit: Emit, cancelled: Cancellation) -> Scored:
        """Say how likely a text is; the conversation in the cache stays."""
        if self._model is None:
            raise EngineError("No model is loaded.")
        scoring = Scoring(self._model, request)
        try:
            return scoring.run(emit, cancelled)
        finally:
            scoring.close()

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Answer the messages, or go on from the prompt."""
        started = time.perf_counter()
        if self._model is None or self._cache is None:
            raise EngineError("No model is loaded.")
        vocab = self._model.vocab
        params = request.params.filled(self._model.description.sampling)
        request = replace(request, params=params)
        is_encoder_decoder = self._model.manner.is_text_to_text
        if request.prompt is None:
            prompt = self._build_prompt(self._model, request)
        elif is_encoder_decoder:
            prompt = build_source(vocab, request.prompt)
        else:
            prompt = build_completion(vocab, request.prompt)
        if is_encoder_decoder:
            prompt = dataclasses.replace(prompt, tokens=[self._model.start_token])
        return Generation(self._model, self._cache, request, prompt, emit, started).run(cancelled)
