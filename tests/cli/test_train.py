"""`chatapp train` in a real child process; what it trains is tested with the trainer."""

from pathlib import Path

from tests.cli.conftest import Run


def test_missing_torch_is_one_sentence(chatapp: Run, tmp_path: Path) -> None:
    # A module that cannot be found, in front of the real one.
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    root = Path(__file__).parents[2]
    text = tmp_path / "text.txt"
    text.write_text("Some text.")
    done = chatapp("train", str(text), "-o", "out", PYTHONPATH=f"{blocked}:{root}")
    assert done.returncode == 1
    assert done.stderr == (
        "chatapp: Training needs torch, which is not installed.\n"
        "  pip install '.[train]' (in the folder of chatapp's sources)\n"
    )


def test_wrong_use(chatapp: Run, tmp_path: Path) -> None:
    assert chatapp("train").returncode == 2
    assert chatapp("train", "x.txt").returncode == 2
    done = chatapp("train", "nowhere.txt", "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "nowhere.txt" in done.stderr
    assert not (tmp_path / "out").exists()
