"""The C library that this process has loaded already."""

import ctypes


def c_library() -> ctypes.CDLL:
    """What `strlen` and its kind are found in."""
    try:
        return ctypes.CDLL(None)
    except TypeError:  # Windows: a library has a name
        return ctypes.CDLL("ucrtbase")
