"""What memory allows: how fast it is read here, and how much of it one token reads.

Each token that is decoded reads every weight once, and the keys and values of all tokens before it.
On a processor that is what takes the time, so bandwidth divided by those bytes is a bound that no
program passes with this model file.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chatapp.gguf.header import Header, TensorEntry, read_header
from chatapp.gguf.hparams import read_kv_width

_MOST_BYTES = 512 << 20
"""More than any cache holds; less where memory is short."""
_PASSES = 4
_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32}
_LOOKED_UP = ("token_embd", "position_embd", "token_types", "per_layer_token_embd")
"""Tables of which a token reads a row."""


def measure_bandwidth(n_threads: int, most_bytes: int = _MOST_BYTES) -> float:
    """Bytes read from memory in a second by so many threads: the best of a few passes over at most
    `most_bytes`."""
    import numpy as np
    import psutil

    free = psutil.virtual_memory().available
    size = min(most_bytes, free // 8) // (4 * n_threads)
    shares = [np.ones(size, dtype=np.float32) for _ in range(n_threads)]
    kernels = [lambda share: np.dot(share, share), lambda share: share.view(np.int32).max()]
    best = 0.0
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(_PASSES):
            for kernel in kernels:
                started = time.perf_counter()
                list(pool.map(kernel, shares))
                best = max(best, 4 * size * n_threads / (time.perf_counter() - started))
    return best


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """What one step of decoding reads."""

    weights: int
    """Once, however many sequences are decoded together; of experts, those one token uses."""
    kv_per_token: float
    """Of every sequence, for each token before."""
    window: int
    """Tokens that are looked back at, at most; 0: all."""

    def bound(self, bandwidth: float, depth: int, batch: int) -> float:
        """Tokens a second, of `batch` sequences together, that `bandwidth` bytes a second allow.

        An upper bound: where only some layers have a window, all are taken to have it.
        """
        n = min(depth, self.window) if self.window else depth
        return batch * bandwidth / (self.weights + batch * n * self.kv_per_token)


def read_token_bytes(path: Path, kv_type: str) -> TokenBytes:
    """What a token reads, from the header of a model file. Raises `GgufError`."""
    header = read_header(path)
    has_output = any(tensor.name == "output.weight" for tensor in header.tensors)
    weights = sum(_count(tensor, header, has_output=has_output) for tensor in header.tensors)
    width = sum(read_kv_width(header))
    window = header.number(f"{header.arch}.attention.sliding_window")
    return TokenBytes(int(weights), width * _KV_BYTES.get(kv_type, 2.0), window)


def _count(tensor: TensorEntry, header: Header, *, has_output: bool) -> float:
    table = tensor.name.partition(".")[0]
    if table in _LOOKED_UP and (has_output or table != "token_embd"):
        return 0.0
    if "_exps." in tensor.name:
        n = header.number(f"{header.arch}.expert_count")
        used = header.number(f"{header.arch}.expert_used_count")
        return tensor.n_bytes * used / n if n and used else float(tensor.n_bytes)
    return float(tensor.n_bytes)
