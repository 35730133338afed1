"""Whether a model fits this machine, and how, before anything is loaded.

Promises numbers from the header alone: weights, keys and values exactly, the graph's buffers within
a few MiB (measured against llama.cpp's own figures). llama.cpp puts the last layers on the
GPU first, then the output; the token embedding stays in main memory. A sliding window saves nothing
here: the engine keeps every key, so that a later turn can reuse any beginning of the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chatapp.gguf.model_info import ModelInfo
from chatapp.gguf.size import size_text

Verdict = Literal["GPU", "part", "CPU", "too large"]
KvType = Literal["f16", "q8_0"]

DEFAULT_N_CTX = 8192
_LONGER_N_CTX = (32_768, 16_384)
"""Tried first where the model and such a context take no more than half of what a GPU has free."""
SHORTEST_N_CTX = 4096
"""A context is shortened to this, not further, to make a model fit."""
N_UBATCH = 512
"""Tokens the engine computes at once."""
_KV_BYTES: dict[KvType, float] = {"f16": 2, "q8_0": 34 / 32}
_KV_BLOCK = 32  # numbers of a head that share a scale in q8_0
_STATE_BYTES = 4
_SEQUENCES = 4  # alternatives the engine keeps room for
_OVERHEAD = 46 << 20  # Python and llama.cpp's libraries, without any model
_TOKEN_BYTES = 170  # of a vocabulary in memory: text, score, type, and the way back
_GPU_OVERHEAD = 88 << 20
"""Workspaces of CUDA's libraries, taken with the first tokens: 88 MiB on an H200, for every model.

A process's own CUDA context (there 526 MiB) is not in it: whoever asks a GPU for its free memory
has one already.
"""
_HOST_MARGIN = 512 << 20
_GPU_MARGIN = 512 << 20
_PADDING = 256  # llama.cpp rounds the context up to this


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device that layers can be put on."""

    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory that models can be put into."""

    free_bytes: int
    """Main memory that programs may still take."""
    total_bytes: int
    gpus: tuple[Gpu, ...] = ()
    """Empty as well when llama.cpp was built without them."""

    @property
    def gpu_bytes(self) -> int:
        """Free on all GPUs, the margins left out."""
        return sum(max(0, gpu.free_bytes - _GPU_MARGIN) for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of a model at one context length and KV type."""

    weights: int
    kv: int
    compute: int
    overhead: int = _OVERHEAD
    """The process itself, and the vocabulary."""

    @property
    def total(self) -> int:
        """All of it in main memory."""
        return self.weights + self.kv + self.compute + self.overhead


@dataclass(frozen=True, slots=True)
class Fit:
    """How a model is best held on a machine."""

    verdict: Verdict
    gpu_layers: int
    n_layers: int
    """The output counted as one, as llama.cpp does."""
    n_ctx: int
    kv_type: KvType
    needs: Needs
    reason: str = ""
    """Why it is not more; empty when all is well."""
    is_free: bool = True
    """Its part of the main memory is free now, not only there."""
    host_bytes: int = 0
    """What it takes of main memory."""

    @property
    def mark(self) -> str:
        """The verdict in a few words."""
        return {
            "GPU": "fits on the GPU",
            "part": f"{self.gpu_layers} of {self.n_layers} layers on the GPU",
            "CPU": "fits, CPU only",
            "too large": "too large",
        }[self.verdict]


def read_machine(facts: Mapping[str, Any]) -> Machine:
    """The machine as the engine describes it (`chatapp.engine.probe`)."""
    gpus = tuple(
        Gpu(device["description"], device["free_bytes"], device["total_bytes"])
        for device in facts.get("devices", [])
        if facts.get("gpu_offload") and device["type"] in ("gpu", "integrated gpu")
    )
    free, total = facts.get("memory_available_bytes", 0), facts.get("memory_total_bytes", 0)
    return Machine(free, total, gpus)


def count_needs(info: ModelInfo, n_ctx: int, kv_type: KvType = "f16") -> Needs:
    """What `info` takes with a context of `n_ctx` tokens."""
    weights = sum(info.layer_bytes) + sum(info.other_bytes.values())
    overhead = _OVERHEAD + _TOKEN_BYTES * info.n_vocab
    return Needs(weights, _kv_bytes(info, n_ctx, kv_type), _compute_bytes(info, n_ctx), overhead)


def plan(
    info: ModelInfo,
    machine: Machine,
    *,
    n_ctx: int = 0,
    kv_type: KvType | None = None,
    gpu_layers: int = -1,
) -> Fit:
    """The best way to hold `info` on `machine`.

    What is given is kept. Of what is not, the context is shortened first (down to 4096), then the
    cache is halved (q8_0), then layers stay off the GPU. On a GPU with room to spare the context is
    longer than usual.
    """
    if not n_ctx and gpu_layers < 0:
        for longer in _LONGER_N_CTX:
            fit = _place(info, machine, longer, kv_type or "f16", -1)
            roomy = gpu_needs(info, fit.needs, fit.gpu_layers) <= machine.gpu_bytes // 2
            if longer <= info.n_ctx_train and fit.verdict == "GPU" and fit.is_free and roomy:
                return fit
    contexts = [n_ctx] if n_ctx else _contexts(info)
    types: Sequence[KvType] = [kv_type] if kv_type else kv_types(info)
    ways = [(context, kind) for kind in types for context in contexts]
    fits = [_place(info, machine, context, kind, gpu_layers) for context, kind in ways]
    for verdict in ("GPU", "part", "CPU", "too large"):
        found = [fit for fit in fits if fit.verdict == verdict]
        if found:
            if verdict == "too large":
                return found[-1]
            # the first gives up least; more layers, and memory that is free now, are worth it
            return max(found, key=lambda fit: (fit.is_free, fit.gpu_layers))
    return fits[0]


def largest_context(
    info: ModelInfo, machine: Machine, *, kv_type: KvType = "f16", gpu_layers: int = -1
) -> int:
    """The longest context, a multiple of 256 and not beyond training, that fits as well as a short
    one; 0 when not even 256 tokens do."""
    most = max(_PADDING, info.n_ctx_train or DEFAULT_N_CTX)
    wanted = _place(info, machine, _PADDING, kv_type, gpu_layers)
    if wanted.verdict == "too large":
        return 0
    low, high = 1, most // _PADDING
    while low < high:
        middle = (low + high + 1) // 2
        found = _place(info, machine, middle * _PADDING, kv_type, gpu_layers)
        # fewer layers on a GPU that cannot hold all of them are no worse a fit
        good = found.verdict == wanted.verdict and found.is_free >= wanted.is_free
        low, high = (middle, high) if good else (low, middle - 1)
    return low * _PADDING


def gpu_needs(info: ModelInfo, needs: Needs, n: int) -> int:
    """Bytes on the GPU with `n` layers there, the last ones first, the output the first of all."""
    if not n:
        return 0
    copied = 0 if "output" in info.other_bytes else info.other_bytes.get("token_embd", 0)
    return _moved(info, needs, n) + copied + needs.compute + _GPU_OVERHEAD


def _moved(info: ModelInfo, needs: Needs, n: int) -> int:
    """Bytes of weights, keys and values that are on the GPU instead of in main memory."""
    if not n:
        return 0
    output = sum(info.other_bytes.get(name, 0) for name in ("output", "output_norm"))
    n_layers, layers = len(info.layer_bytes), n - 1
    share = layers / max(1, n_layers)
    return output + sum(info.layer_bytes[n_layers - layers :]) + int(needs.kv * share)


def kv_types(info: ModelInfo) -> tuple[KvType, ...]:
    """What keys and values can be held in; llama.cpp refuses q8_0 for heads of other widths."""
    return ("f16",) if any(n % _KV_BLOCK for n in info.head_width) else ("f16", "q8_0")


def rough_fit(size_bytes: int, machine: Machine) -> Verdict:
    """How a file of this size will probably fit, before its header can be read.

    An eighth of its size and 300 MB are added for keys, values and buffers: what models of 0.5 to
    8 billion parameters in 4 bits take at 4,096 tokens.
    """
    needed = size_bytes * 9 // 8 + (300 << 20)
    if machine.gpus and needed <= machine.gpu_bytes:
        return "GPU"
    if machine.total_bytes and needed > machine.total_bytes - _HOST_MARGIN + machine.gpu_bytes:
        return "too large"
    return "part" if machine.gpu_bytes else "CPU"


def guess_size(n_params: int) -> int:
    """Bytes of a model in Q4_K_M, before any file is known: 4.85 bits a weight."""
    return int(n_params * 4.85 / 8)


def rough_mark(size_bytes: int, machine: Machine | None) -> str:
    """`rough_fit` in a few words; empty when machine or size is unknown."""
    if machine is None or not size_bytes:
        return ""
    return {
        "GPU": "fits on the GPU",
        "part": "partly on the GPU",
        "CPU": "fits, CPU only",
        "too large": "too large",
    }[rough_fit(size_bytes, machine)]


def _contexts(info: ModelInfo) -> list[int]:
    n_ctx = min(info.n_ctx_train or DEFAULT_N_CTX, DEFAULT_N_CTX)
    found = [n_ctx]
    while n_ctx > SHORTEST_N_CTX:
        n_ctx = max(n_ctx // 2, SHORTEST_N_CTX)
        found.append(n_ctx)
    return found


def _place(info: ModelInfo, machine: Machine, n_ctx: int, kv_type: KvType, wanted: int) -> Fit:
    needs = count_needs(info, n_ctx, kv_type)
    n_layers = len(info.layer_bytes) + 1
    most = n_layers if wanted < 0 else min(wanted, n_layers)
    on_gpu = most if machine.gpus else 0
    fits = _fits_gpus(info, machine, needs, on_gpu)
    while wanted < 0 and on_gpu and not _fits_gpus(info, machine, needs, on_gpu):
        on_gpu -= 1
    rest = needs.total - _moved(info, needs, on_gpu)
    verdict: Verdict = "CPU"
    if on_gpu:
        verdict = "GPU" if on_gpu == n_layers else "part"
    needed = f"{size_text(rest)} of main memory"
    reason, is_free = "", not machine.free_bytes or rest <= machine.free_bytes
    if machine.total_bytes and rest > machine.total_bytes - _HOST_MARGIN:
        verdict, on_gpu = "too large", 0
        reason = f"It needs {needed}; this machine has {size_text(machine.total_bytes)}."
    elif not is_free:
        reason = f"It needs {needed} and {size_text(machine.free_bytes)} are free now."
    elif machine.gpus and not fits:
        free, total = size_text(machine.gpu_bytes), size_text(needs.total)
        reason = f"{free} are free on the GPU, and all of it needs {total}."
    return Fit(verdict, on_gpu, n_layers, n_ctx, kv_type, needs, reason, is_free, rest)


def _fits_gpus(info: ModelInfo, machine: Machine, needs: Needs, n: int) -> bool:
    if not machine.gpus:
        return False
    # every GPU that is used has buffers of its own
    extra = (needs.compute + _GPU_OVERHEAD) * (len(machine.gpus) - 1)
    return gpu_needs(info, needs, n) + extra <= machine.gpu_bytes


def _kv_bytes(info: ModelInfo, n_ctx: int, kv_type: KvType) -> int:
    cells = -(-n_ctx // _PADDING) * _PADDING
    state = info.state_width * _STATE_BYTES * _SEQUENCES
    return int(sum(info.kv_width) * cells * _KV_BYTES[kv_type]) + state


def _compute_bytes(info: ModelInfo, n_ctx: int) -> int:
    """The graph's buffers with flash attention: MLP, a few rows as wide as the model, the mask."""
    n_tokens = min(N_UBATCH, n_ctx)
    rows = 4 * n_tokens * (3 * info.n_ff + 4 * info.n_embd)
    mask = 2 * n_tokens * -(-n_ctx // _PADDING) * _PADDING
    logits = 4 * _SEQUENCES * info.n_vocab
    return rows + mask + logits
