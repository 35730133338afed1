"""Run `llama_cpp.server` with the parameters for a model that our own engine takes.

llama.cpp's defaults end in a segmentation fault on processors with AMX
(`chatapp.engine.llama.native.model_params`), and with weights packed otherwise than ours its
numbers, and so its text, would differ from what our engine says. The server ends with its stdin, so
that none outlives the tests.
"""

import os
import runpy
import sys
import threading

import llama_cpp.llama_cpp as lib

from chatapp.engine.llama.native import model_params

_DEFAULTS = lib.llama_model_default_params
_USE_EXTRA_BUFTS: bool = model_params().use_extra_bufts


def _params() -> lib.llama_model_params:
    params = _DEFAULTS()
    params.use_extra_bufts = _USE_EXTRA_BUFTS
    return params


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    lib.llama_model_default_params = _params
    runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)
