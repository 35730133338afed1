"""Run one of our modules in a process of its own: `python -P launcher.py MODULE ARGUMENTS`.

The child runs the very code that this file belongs to, wherever it is started and whatever else is
installed. `PYTHONPATH` could say that only by putting the folder around our packages, which may be
site-packages, before the standard library: a `queue.py` lying there would be taken for Python's.
"""

import importlib.machinery
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PACKAGES = ("chatapp", "convert")
_WITH_PARENT = "--with-parent"
_TIDY_S = 10.0  # for removing what was begun; a step in C code ends before a signal is looked at


def launch_command(module: str, *arguments: str) -> list[str]:
    """How `module` is started. -P: a file in the current folder is not taken for a module."""
    return [sys.executable, "-P", str(Path(__file__).absolute()), module, *arguments]


def launch_with_us(module: str, *arguments: str) -> list[str]:
    """How `module`, which reads no stdin, is started so that it ends with us, however we end: stdin
    is to be a pipe of which we hold the other end."""
    python, flag, launcher, *rest = launch_command(module, *arguments)
    return [python, flag, launcher, _WITH_PARENT, *rest]


def _end_with_parent() -> None:
    """Wait for the end of stdin, then end this process: as SIGTERM does, and if need be at once."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_TIDY_S)
    os._exit(1)


class OwnPackages:
    """Finds our packages beside this file, before anybody looks at `sys.path`."""

    _root = str(Path(__file__).absolute().parents[1])

    @classmethod
    def find_spec(
        cls, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Python's question to every finder; None leaves a module to the next one."""
        if name not in PACKAGES:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [cls._root])


if __name__ == "__main__":
    sys.meta_path.insert(0, OwnPackages)
    sys.argv = sys.argv[1:]
    if sys.argv[0] == _WITH_PARENT:
        sys.argv = sys.argv[1:]
        threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
