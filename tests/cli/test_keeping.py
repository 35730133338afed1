"""`chatapp models default, rm, import` as they are typed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.paths import BUILTIN_MODEL, find_paths


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "disk" / "mine.gguf"
    path.parent.mkdir()
    shutil.copy(BUILTIN_MODEL, path)
    return path


def models(*words: str, answer: str = "") -> tuple[int, str, str]:
    command = [sys.executable, "-m", "chatapp", "models", *words]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["env", f"PYTHONPATH={root}", *command], capture_output=True, text=True, input=answer
    )
    return done.returncode, done.stdout, done.stderr


def test_a_model_comes_becomes_the_default_and_goes(mine: Path) -> None:
    there = find_paths().models / "mine.gguf"
    assert models("import", str(mine)) == (0, f"{there}\n", "")
    code, _, err = models("import", str(mine))
    assert (code, "is there already" in err) == (1, True)
    assert models("default", "mine")[0] == 0
    assert models("default") == (0, f"{there}\n", "")
    [default] = [line for line in models("list")[1].splitlines() if line.startswith("*  ")]
    assert "mine.gguf, models folder" in default
    assert models("default", "builtin")[0] == 0
    assert models("default")[1] == f"{BUILTIN_MODEL}\n"
    code, _, err = models("rm", "mine", answer="n\n")
    assert (code, there.exists()) == (130, True)
    assert models("default", "mine")[0] == 0
    code, out, err = models("rm", "mine", "--yes")
    assert (code, out, there.exists()) == (0, "", False)
    assert "are free again" in err
    assert "It was the default. From now on: the built-in model." in err
    assert models("default")[1] == f"{BUILTIN_MODEL}\n"
    assert mine.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("rm", "builtin", "-y"), "cannot be removed"),
        (("rm", "nothing", "-y"), "There is no model nothing"),
        (("default", "nothing"), "There is no model nothing"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: tuple[str, ...], reason: str, mine: Path
) -> None:
    code, out, err = models(*words)
    assert (code, out) == (1, "")
    assert reason in err


def test_a_model_of_another_program_is_left_to_it(mine: Path) -> None:
    code, _, err = models("rm", str(mine), "-y")
    assert code == 1
    assert "is not in the models folder" in err
    assert mine.exists()
