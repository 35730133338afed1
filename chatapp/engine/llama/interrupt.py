"""A decode that is running is interrupted through llama.cpp's abort callback.

The callback is libc's `strlen` on a two-byte flag: "" is 0 (go on), one character is 1 (abort). So
llama.cpp's threads read the flag without taking Python's lock between the operations of a graph.
It works on the CPU only; on a GPU a chunk of tokens takes milliseconds. Every request has a flag of
its own: a cancel is set in another thread, and one that comes late finds the flag of a request that
is over.
"""

import contextlib
import ctypes
from collections.abc import Iterator

import llama_cpp.llama_cpp as lib

from chatapp.engine.backend import Cancellation
from chatapp.engine.llama.c_library import c_library

ABORTED = 2
"""What llama.cpp's decode returns then."""

_Flag = ctypes.Array[ctypes.c_char]


class Interrupt:
    """What aborts the decodes of one context."""

    def __init__(self, context: int) -> None:
        self._context = context
        self._abort = ctypes.cast(c_library().strlen, lib.ggml_abort_callback)
        self._flag = self._watch()

    @property
    def is_set(self) -> bool:
        """Whether the request that runs is to be aborted."""
        return bool(self._flag[0] != b"\0")

    @contextlib.contextmanager
    def by(self, cancelled: Cancellation) -> Iterator[None]:
        """Within this, setting `cancelled` aborts a decode that is running."""
        flag = self._flag = self._watch()

        def abort() -> None:
            flag[0] = b"x"

        cancelled.on_set = abort
        if cancelled.is_set():  # it was set before `on_set` was there to be called
            abort()
        try:
            yield
        finally:
            cancelled.on_set = None
            self._flag = self._watch()  # `abort` may be running, or about to

    def _watch(self) -> _Flag:
        """A new flag that llama.cpp looks at; it must be kept until another takes its place."""
        flag: _Flag = ctypes.create_string_buffer(2)
        lib.llama_set_abort_callback(self._context, self._abort, ctypes.cast(flag, ctypes.c_void_p))
        return flag
