"""What this machine offers llama.cpp: devices with their memory, main memory.

Devices come from ggml's own backend registry through ctypes, because llama-cpp-python binds no
call for free memory. Bytes everywhere.
"""

import ctypes
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as lib
from llama_cpp._ggml import libggml

from chatapp.engine.llama import native
from chatapp.gguf import processors
from chatapp.gguf.main_memory import memory_bytes as memory_bytes

_TYPES = {0: "cpu", 1: "gpu", 2: "integrated gpu", 3: "accelerator"}  # enum ggml_backend_dev_type


@dataclass(frozen=True, slots=True)
class Device:
    """One device that ggml computes on, such as a GPU."""

    name: str
    description: str
    type: str
    free_bytes: int
    total_bytes: int

    @property
    def is_gpu(self) -> bool:
        """Whether layers can be offloaded to it."""
        return self.type in ("gpu", "integrated gpu")


def list_devices() -> list[Device]:
    """Every device ggml knows, the CPU included."""
    ggml = libggml
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    for name, result in (("name", ctypes.c_char_p), ("description", ctypes.c_char_p)):
        function = getattr(ggml, f"ggml_backend_dev_{name}")
        function.argtypes, function.restype = [ctypes.c_void_p], result
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_type.restype = ctypes.c_int
    size_p = ctypes.POINTER(ctypes.c_size_t)
    ggml.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, size_p, size_p]
    ggml.ggml_backend_dev_memory.restype = None
    return [
        _read_device(ggml, ggml.ggml_backend_dev_get(i))
        for i in range(ggml.ggml_backend_dev_count())
    ]


def _read_device(ggml: ctypes.CDLL, handle: int) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
    return Device(
        name=ggml.ggml_backend_dev_name(handle).decode("utf-8", "replace"),
        description=ggml.ggml_backend_dev_description(handle).decode("utf-8", "replace"),
        type=_TYPES.get(ggml.ggml_backend_dev_type(handle), "other"),
        free_bytes=free.value,
        total_bytes=total.value,
    )


def gpu_note() -> str:
    """Why no GPU can be used, and how to mend it; empty when one can."""
    if any(device.is_gpu for device in list_devices()):
        return ""
    if lib.llama_supports_gpu_offload():
        return "llama.cpp was built for GPUs but finds none; check the driver."
    if Path("/proc/driver/nvidia/version").exists():
        return _rebuild("an NVIDIA GPU", "CUDA")
    if Path("/dev/kfd").exists():
        return _rebuild("an AMD GPU", "HIP")
    return "llama.cpp was built without GPU support, and no GPU was found."


def _rebuild(what: str, flag: str) -> str:
    return (
        f"There is {what}, but llama.cpp was built for the CPU. Mend it with: "
        f'CMAKE_ARGS="-DGGML_{flag}=on" pip install --force-reinstall --no-cache-dir '
        f"llama-cpp-python=={llama_cpp.__version__}"
    )


def describe() -> dict[str, Any]:
    """Everything `chatapp doctor` wants to know of llama.cpp, as plain JSON values."""
    native.start()
    available, total = memory_bytes()
    return {
        "llama_cpp_python": llama_cpp.__version__,
        "llama_cpp": _version(),
        "struct_is_sane": native.struct_is_sane(),
        "system_info": lib.llama_print_system_info().decode("utf-8", "replace").strip(),
        "gpu_offload": bool(lib.llama_supports_gpu_offload()),
        "gpu_note": gpu_note(),
        "devices": [asdict(device) for device in list_devices()],
        "threads": processors.count_threads(),
        "cores": processors.count_cores(),
        "processor_quota": quota if (quota := processors.read_quota()) < inf else None,
        "memory_available_bytes": available,
        "memory_total_bytes": total,
    }


def _version() -> str:
    answer = lib.llama_version()
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
