"""What each process really loads, seen in a child: linters do not see imports inside functions."""

import json
import subprocess
import sys

import pytest

from bench.startup import heavy_imports
from tests.architecture.sources import ROOT

# sqlite_utils imports numpy where it is installed, for its own column types. Hidden like this it
# does without, and an import of ours would fail.
_HIDE_NUMPY = "import sys; sys.modules['numpy'] = None\n"

# What imports torch in the converter: the references, each one when a proof asks for it, and what
# runs in the process of a model's own code.
_REFERENCES = r"convert\.(parity\.(?!references|measure)|author\.(calling|loading|model)$)\w*"

_LIST = """
import json, sys
found = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
print(json.dumps(sorted(found)))
"""


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a new interpreter has loaded after running `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_LIST}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    names: list[str] = json.loads(done.stdout)
    return set(names)


def modules_of(package: str, but: str = "$^") -> str:
    """Code that imports every module below `package` whose name does not match `but`."""
    return f"""
import importlib, pkgutil, re, {package}
for found in pkgutil.walk_packages({package}.__path__, {package!r} + "."):
    if not found.name.endswith("__main__") and not re.fullmatch({but!r}, found.name):
        importlib.import_module(found.name)
"""


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_the_command_line_starts_without_anything_heavy(argument: str) -> None:
    assert heavy_imports(argument) == []


def test_a_heavy_import_would_be_seen() -> None:
    assert "numpy" in loaded_by("import numpy")
    assert "sqlite_utils" in heavy_imports("history", "list")


def test_the_ui_process_never_loads_llama_cpp() -> None:
    everything = modules_of("chatapp.ui") + "import chatapp.cli.tui, chatapp.store.store"
    loaded = loaded_by(_HIDE_NUMPY + everything)
    assert {"textual", "sqlite_utils", "msgspec"} <= loaded
    assert not loaded & {"llama_cpp", "torch", "numpy", "gguf", "convert"}


def test_ask_loads_neither_llama_cpp_nor_a_screen() -> None:
    everything = "import chatapp.cli.ask, chatapp.cli.answering, chatapp.export"
    loaded = loaded_by(_HIDE_NUMPY + everything)
    assert "msgspec" in loaded
    assert not loaded & {"llama_cpp", "torch", "numpy", "textual", "rich"}


def test_the_engine_process_loads_no_screen_and_no_history() -> None:
    start = "from chatapp.engine.worker import make_backend\nmake_backend('llama')"
    loaded = loaded_by(start)
    assert "llama_cpp" in loaded
    assert not loaded & {"textual", "rich", "sqlite_utils", "torch", "convert"}


def test_the_echo_engine_needs_no_llama_cpp() -> None:
    start = "from chatapp.engine.worker import make_backend\nmake_backend('echo')"
    assert not loaded_by(start) & {"llama_cpp", "numpy", "jinja2"}


def test_the_converter_knows_nothing_of_the_chat() -> None:
    loaded = loaded_by(modules_of("convert", but=_REFERENCES))
    assert {"convert", "gguf"} <= loaded
    assert not loaded & {"msgspec", "torch", "textual"}
    assert not loaded_by("import convert, convert.cli") & {"numpy", "gguf", "llama_cpp"}


def test_the_converter_shares_the_lowest_layer_and_no_more() -> None:
    listed = "import sys, json\nprint(json.dumps([n for n in sys.modules if n[:8] == 'chatapp.']))"
    done = subprocess.run(
        [sys.executable, "-c", modules_of("convert", but=_REFERENCES) + listed],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    names: list[str] = json.loads(done.stdout)
    assert "chatapp.gguf.header" in names
    assert [name for name in names if not f"{name}.".startswith("chatapp.gguf.")] == []


def test_the_lowest_layer_loads_nothing_heavy() -> None:
    loaded = loaded_by(modules_of("chatapp.gguf", but=r"chatapp\.gguf\.rendering"))
    assert not loaded & {"numpy", "gguf", "msgspec", "jinja2", "llama_cpp", "asyncio"}


def test_reading_a_checkpoint_needs_no_torch() -> None:
    loaded = loaded_by("import convert.checkpoints, convert.architectures, convert.vocab")
    assert "numpy" in loaded
    assert not loaded & {"torch", "llama_cpp", "gguf"}


def test_naming_chatapp_costs_nothing() -> None:
    assert not loaded_by("import chatapp") & {"click", "msgspec", "asyncio"}
