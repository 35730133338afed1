"""What is in the package that people install."""

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from chatapp.evaluate.examples import SETS
from tests.architecture.sources import PACKAGES, ROOT, python_files

_HEAVY = {"torch", "tokenizers", "transformers", "pytest"}
"""What chatting does without."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built as `pip` would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> set[str]:
    """Paths inside the wheel."""
    return set(wheel.namelist())


def test_the_wheel_holds_both_packages(names: set[str]) -> None:
    recipe = Path("chatapp/builtin/recipe")
    ours = {str(path) for path in python_files(*PACKAGES) if recipe not in path.parents}
    assert ours <= names
    assert "chatapp/__main__.py" in ours
    assert "convert/__main__.py" in ours


def test_the_wheel_holds_styles_presets_examples_and_the_model(names: set[str]) -> None:
    styles = {str(path.relative_to(ROOT)) for path in (ROOT / "chatapp").rglob("*.tcss")}
    assert styles
    assert styles <= names
    ready = ROOT / "chatapp" / "presets" / "ready"
    presets = {str(path.relative_to(ROOT)) for path in ready.glob("*.toml")}
    assert len(presets) == 5
    assert presets <= names
    sets = {f"chatapp/evaluate/sets/{name}.jsonl" for name in SETS}
    assert sets <= names
    assert "chatapp/guide/retrieval/data/learned.npz" in names
    model = "chatapp/builtin/model.gguf"
    assert (model in names) == (ROOT / model).is_file()


def test_the_wheel_holds_nothing_else(names: set[str]) -> None:
    folders = {name.split("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(PACKAGES)
    assert [name for name in names if "/recipe/" in name] == []
    suffixes = {Path(name).suffix for name in names if ".dist-info/" not in name}
    data = {".gguf", ".gz", ".json", ".jsonl", ".model", ".npz", ".toml"}
    assert suffixes <= {".py", ".tcss", ".md"} | data


def test_the_wheel_carries_its_licence_and_its_command(
    wheel: zipfile.ZipFile, names: set[str]
) -> None:
    (licence,) = (name for name in names if name.endswith("/LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    (scripts,) = (name for name in names if name.endswith("/entry_points.txt"))
    assert "chatapp = chatapp.__main__:main" in wheel.read(scripts).decode()


def test_chatting_needs_no_torch(wheel: zipfile.ZipFile, names: set[str]) -> None:
    (metadata,) = (name for name in names if name.endswith("/METADATA"))
    required = email.message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist", [])
    base = {_name_of(line) for line in required if "extra ==" not in line}
    assert {"click", "textual", "llama-cpp-python"} <= base
    assert not base & _HEAVY
    assert "torch" in {_name_of(line) for line in required}


def test_every_dependency_gives_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    silent = [
        requirement
        for requirement in [*project["dependencies"], *extras["test"]]
        if not re.search(rf'^\s*"{re.escape(requirement)}",\s+# \S', text, re.MULTILINE)
    ]
    assert silent == []


def _name_of(requirement: str) -> str:
    return re.split(r"[\s;<>=\[!~]", requirement, maxsplit=1)[0].lower()
