"""What the functions that a checkpoint's pickle names stand for.

Each is our own and makes plain values, of lengths that are in the pickle; any other function
becomes an inert stub.
"""

from __future__ import annotations

import struct
from typing import Any

from convert.checkpoints.inert import Global, Stub, as_key
from convert.checkpoints.pickles import Rebuild
from convert.checkpoints.storages import as_sizes, rebuild_tensor, rebuild_tensor_v3

# numpy's names of types, as struct's.
_NUMBERS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b"} | {
    "u8": "Q",
    "u4": "I",
    "u2": "H",
    "u1": "B",
    "b1": "?",
}


def _first(value: Any, *_: Any) -> Any:
    return value


def _rebuild_dict(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    return {as_key(key): value for key, value in pairs}


def _rebuild_set(values: Any = (), *_: Any) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise TypeError("a set of no list")
    return list(values)


def _rebuild_bytes(text: Any = "", *_: Any) -> bytes:
    """`_codecs.encode(text, 'latin1')`: how protocol 2, which torch.save uses, writes bytes."""
    if not isinstance(text, str):
        raise TypeError("bytes of no text")
    return text.encode("latin-1")


def _rebuild_number(kind: Any, data: Any = b"", *_: Any) -> Any:
    """A numpy scalar, such as a loss."""
    name = kind.args[0] if isinstance(kind, Stub) and kind.args else None
    code = _NUMBERS.get(name) if isinstance(name, str) else None
    if code is None or not isinstance(data, bytes) or len(data) != struct.calcsize(code):
        return Stub("numpy.scalar")
    return struct.unpack(f"<{code}", data)[0]


def _rebuild_from_type(function: Any, kind: Any, args: Any, *_: Any) -> Any:
    """A tensor with a class or attributes of its own."""
    known = REBUILDERS.get(str(function)) if isinstance(function, Global) else None
    if known is None or known is _rebuild_from_type or not isinstance(args, tuple):
        name = str(kind)[:100] if isinstance(kind, Global) else "its own"
        return Stub(f"torch tensor of class {name}")
    return known(*args)


REBUILDERS: dict[str, Rebuild] = {
    "collections.OrderedDict": _rebuild_dict,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._tensor._rebuild_from_type": _rebuild_from_type,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": lambda sizes=(), *_: as_sizes(sizes),
    "builtins.set": _rebuild_set,
    "__builtin__.set": _rebuild_set,
    "_codecs.encode": _rebuild_bytes,
    "numpy.core.multiarray.scalar": _rebuild_number,
    "numpy._core.multiarray.scalar": _rebuild_number,
}
