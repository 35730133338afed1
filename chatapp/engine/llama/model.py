"""One loaded model with its context: what llama.cpp holds in memory for us.

Loading refuses early what llama.cpp would answer with an abort or minutes of swapping: a context
longer than a learned position table, a model larger than memory. Every refusal carries numbers or
llama.cpp's own reason.
"""

import time
from collections.abc import Callable
from pathlib import Path

import llama_cpp.llama_cpp as lib
from msgspec.structs import replace

from chatapp.engine.chat.manner import find_manner
from chatapp.engine.llama import native
from chatapp.engine.llama.description import describe
from chatapp.engine.llama.mapping import release_pages
from chatapp.engine.llama.model_file import check_file
from chatapp.engine.llama.placing import NoRoomError, Planned, place, plan_ways
from chatapp.engine.llama.remembered import Way
from chatapp.engine.llama.templates import read_templates
from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.llama.weights import Weights
from chatapp.engine.protocol import LoadOptions
from chatapp.gguf.fit import DEFAULT_N_CTX
from chatapp.gguf.processors import count_threads
from chatapp.gguf.sandbox import TemplateProcess
from chatapp.paths import read_path

_LEARNED_POSITIONS = {"gpt2", "starcoder", "mpt", "bert"}
_KV_TYPES = {"f16": 1, "q8_0": 8}  # enum ggml_type
_FLASH_OFF, _FLASH_AUTO = 0, -1  # enum llama_flash_attn_type
_GPU_BATCHES = 4
"""Batches handed over at once: the GPU computes one while the next is prepared."""


class LoadedModel:
    """A model and its context. `close` gives all memory back."""

    def __init__(self, options: LoadOptions, report: Callable[[float], None]) -> None:
        started = time.perf_counter()
        path = read_path(options.path)
        size = check_file(path)
        planned = plan_ways(path, options)
        self._templates = TemplateProcess()
        self._templates.start()  # while the weights are read
        try:
            place(path, options, planned, lambda way: self._open(path, options, way, report))
        except BaseException:  # whatever it was, the template's process may not stay
            self._templates.close()
            raise
        try:
            self._say_what_was_given_up(options, planned)
            release_pages(path)
            self.manner = find_manner(
                dict(read_templates(self.weights)),
                self._names,
                self.vocab,
                options,
                self._templates,
                is_text_to_text=self.weights.is_encoder_decoder,
            )
            self.notices += self.manner.notices
            self.description = describe(self, path, size, time.perf_counter() - started, planned)
        except BaseException:  # whatever it was, nobody else could give the memory back
            self.close()
            raise

    def _open(
        self, path: Path, options: LoadOptions, way: Way, report: Callable[[float], None]
    ) -> None:
        """Weights and context as `way` has them; `ModelError`, and nothing held, if not."""
        options = replace(options, n_ctx=way.n_ctx, kv_type=way.kv_type)
        self.notices: list[str] = []
        self.weights = Weights(path, way.gpu_layers, report)
        try:
            self.vocab = Vocab(self.weights.handle)
            self.n_ctx_train = self.weights.n_ctx_train
            self.n_ctx = self._choose_n_ctx(options)
            self.is_on_gpu = self.weights.is_on_gpu
            batches = _GPU_BATCHES if self.is_on_gpu else 1
            self.n_batch: int = max(32, min(options.n_batch * batches, self.n_ctx))
            self.n_ubatch: int = min(options.n_batch, self.n_batch)
            if self.weights.is_encoder_decoder:  # what it reads, it reads at once
                self.n_batch = self.n_ubatch = self.n_ctx
                options = self._without_flash(options)
            self.n_parallel = max(1, min(options.n_parallel, lib.llama_max_parallel_sequences()))
            self.n_threads = options.n_threads or count_threads()
            self.adapts_threads = options.adapt_threads and not self.is_on_gpu
            self.kv_type, self._flash_attn = options.kv_type, options.flash_attn
            self.context = self._make_context(path)
        except BaseException:  # whatever it was, the weights may not stay in memory
            self.weights.close()
            raise
        self.memory = lib.llama_get_memory(self.context)

    def _without_flash(self, options: LoadOptions) -> LoadOptions:
        """T5's bias by distance has no place in flash attention, nor keys in 8 bits without."""
        if options.kv_type == "q8_0":
            self.notices.append("Keys and values are held in 16 bits: this model takes no q8_0.")
        return replace(options, flash_attn=False, kv_type="f16")

    def _say_what_was_given_up(self, options: LoadOptions, planned: Planned) -> None:
        usual = min(self.n_ctx_train or DEFAULT_N_CTX, DEFAULT_N_CTX)
        if not options.n_ctx and self.n_ctx < usual:
            self.notices.append(
                f"The context is {self.n_ctx} tokens: {usual} do not fit into memory."
            )
        if self.kv_type != options.kv_type and self.kv_type == "q8_0":
            self.notices.append(
                "Keys and values are held in 8 bits (q8_0): in 16 they do not fit into memory."
            )
        on_gpu = self.weights.gpu_layers
        if on_gpu < planned.way.gpu_layers:
            self.notices.append(
                f"{on_gpu} layers are on the GPU: {planned.way.gpu_layers} were planned "
                "and did not fit."
            )
        elif planned.short_of:
            self.notices.append(
                f"{on_gpu} of {self.weights.n_layers + 1} layers are on the GPU. {planned.short_of}"
            )

    def close(self) -> None:
        """Free the context and the weights, and end the process of the template."""
        self._templates.close()
        lib.llama_free(self.context)
        self.weights.close()

    def _choose_n_ctx(self, options: LoadOptions) -> int:
        trained = self.n_ctx_train or DEFAULT_N_CTX
        wanted = options.n_ctx or min(trained, DEFAULT_N_CTX)
        if wanted <= trained:
            return wanted
        if self.weights.arch in _LEARNED_POSITIONS:
            self.notices.append(
                f"The context is {trained} tokens, not {wanted}: this model has learned "
                f"positions for {trained} and none beyond."
            )
            return trained
        self.notices.append(
            f"The context of {wanted} tokens is longer than the {trained} this model was trained "
            "for; answers may get worse beyond that."
        )
        return wanted

    def context_params(self) -> lib.llama_context_params:
        """Parameters of a context as this one is, for whoever needs another for these weights."""
        params: lib.llama_context_params = lib.llama_context_default_params()
        params.n_ctx = self.n_ctx
        params.n_batch = self.n_batch
        params.n_ubatch = self.n_ubatch
        params.n_seq_max = self.n_parallel
        params.n_outputs_max = self.n_parallel  # the default, n_batch, is n_batch x n_vocab floats
        params.n_threads = params.n_threads_batch = self.n_threads
        params.flash_attn_type = _FLASH_AUTO if self._flash_attn else _FLASH_OFF
        params.type_k = params.type_v = _KV_TYPES[self.kv_type]
        params.kv_unified = True  # alternatives share the prompt's cells
        return params

    def _make_context(self, path: Path) -> int:
        native.forget_problems()
        context = lib.llama_init_from_model(self.weights.handle, self.context_params())
        if not context:
            reason = native.first_problem("llama.cpp gave no reason")
            raise NoRoomError(
                f"{path.name} was read, but no context of {self.n_ctx} tokens could be made: "
                f"{reason}.",
                "Try a shorter one, for instance --n-ctx 2048.",
            )
        handle: int = context
        return handle

    @property
    def start_token(self) -> int:
        """What the decoder of a text-to-text model begins with: BOS where the file names none."""
        start: int = lib.llama_model_decoder_start_token(self.weights.handle)
        return start if start >= 0 else int(lib.llama_vocab_bos(self.vocab.handle))

    @property
    def _names(self) -> list[str]:
        """What the file calls the model."""
        return [self.weights.meta(f"general.{key}") for key in ("name", "finetune", "basename")]
