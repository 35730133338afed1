"""Run one of our modules in a process of its own: `python -P launcher.py MODULE ARGUMENTS`.

The child runs the very code that this file belongs to, wherever it is started and whatever else is
installed. `PYTHONPATH` could say that only by putting the folder around our packages, which may be
site-packages, before the standard library: a `queue.py` lying there would be taken for Python's.
"""

import importlib.machinery
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PACKAGES = ("chatapp", "convert")


def launch_command(module: str, *arguments: str) -> list[str]:
    """How `module` is started. -P: a file in the current folder is not taken for a module."""
    return [sys.executable, "-P", str(Path(__file__).absolute()), module, *arguments]


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
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
