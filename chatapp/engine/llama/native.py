"""llama.cpp brought up once in this process, with its log under our control.

llama.cpp reports why a load failed only in its log, so the callback set here keeps the last
errors. Everything it says goes to stderr, which the client drains into the engine log.
"""

import ctypes
import sys
from collections import deque

import llama_cpp.llama_cpp as lib

_WARN, _ERROR, _CONTINUED = 3, 4, 5  # enum ggml_log_level

_NO_MEMORY = (
    "failed to allocate",
    "unable to allocate",
    "cannot allocate",
    "can't allocate",
    "memory allocation",
    "out of memory",
    "outofdevicememory",
    "outofhostmemory",
    "bad_alloc",
)
"""llama.cpp's words, its backends', and the system's, in lower case."""

_problems: deque[str] = deque(maxlen=40)
_last_level = 0


def _on_log(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    global _last_level
    if level != _CONTINUED:
        _last_level = level
    if _last_level in (_WARN, _ERROR):
        line = text.decode("utf-8", "replace")
        sys.stderr.write(line)
        if _last_level == _ERROR and line.strip():
            _problems.append(line.strip())


_callback = lib.llama_log_callback(_on_log)


def start() -> None:
    """Initialise llama.cpp and take its log; calling again does no harm."""
    lib.llama_log_set(_callback, ctypes.c_void_p(0))
    lib.llama_backend_init()


def forget_problems() -> None:
    """Forget llama.cpp's errors so far, and collect those that come."""
    _problems.clear()


def first_problem(default: str) -> str:
    """llama.cpp's own first error line since `forget_problems`, without its function names."""
    for line in _problems:
        reason = line.split(": ", 1)[-1] if line.split(": ", 1)[0].isidentifier() else line
        return reason[:400].rstrip(".")
    return default


def lacked_memory() -> bool:
    """Whether an error since `forget_problems` is about memory that could not be had."""
    said = "\n".join(_problems).lower()
    return any(words in said for words in _NO_MEMORY)


def model_params() -> lib.llama_model_params:
    """llama.cpp's default parameters for a model, made safe for this machine.

    On processors with AMX, llama.cpp 0.5.0-dev repacks weights for AMX kernels that end in a
    segmentation fault with Q4_K and Q6_K tensors (`ggml_backend_amx_mul_mat`); without repacking
    the AVX-512 kernels are used.
    """
    params: lib.llama_model_params = lib.llama_model_default_params()
    if b"AMX_INT8 = 1" in lib.llama_print_system_info():
        params.use_extra_bufts = False
    return params


def struct_is_sane() -> bool:
    """False when the bindings and the library disagree about the parameter structures."""
    model, context = lib.llama_model_default_params(), lib.llama_context_default_params()
    return bool(
        -1 <= model.n_gpu_layers <= 999 and context.n_ctx <= 4096 and context.n_batch == 2048
    )
