"""`chatapp train` in a real child process; what it trains is tested with the trainer."""

import re
from pathlib import Path

import click
import pytest

from chatapp.cli.train import train
from chatapp.cli.training import _end
from chatapp.errors import ChatAppError
from chatapp.evaluate.overlap import find_overlap
from chatapp.gguf.seen import Overlap
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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("tokenizer empty.txt -o out", 1, "There is no text in empty.txt"),
        ("empty.txt -o out", 1, "There is no text in empty.txt"),
        ("empty.txt --chars -o out", 1, "There is no text in empty.txt"),
        ("other.jsonl -o out", 1, "other.jsonl, line 1 has no text."),
        ("number.jsonl -o out", 1, "number.jsonl, line 1 has a text that is none."),
        ("text.txt --tokenizer none -o out", 2, "There is no tokenizer at none."),
        ("text.txt --tokenizer text.txt -o out", 2, "There is no tokenizer at text.txt."),
        ("text.txt --size 999999B -o out", 2, "999,999,000,000,000 parameters.* The largest has"),
        ("text.txt --size 10 -o out", 2, "of 10 parameters.* The smallest has"),
        ("text.txt --minutes nan -o out", 2, "nan is no number"),
        ("text.txt --minutes inf -o out", 2, "inf is no number"),
        ("text.txt --dropout nan -o out", 2, "nan is no number"),
        ("finetune base text.txt --epochs nan -o out", 2, "nan is no number"),
        ("resume text.txt", 2, "text.txt is no folder of a run"),
        ("resume none", 2, "none is no folder of a run"),
        ("sample text.txt", 1, "There is no checkpoint at text.txt"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("To be, or not to be, that is the question.\n" * 40)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "other.jsonl").write_text('{"txt": 3}\n')
    (tmp_path / "number.jsonl").write_text('{"text": 3}\n')
    before = sorted(tmp_path.iterdir())
    with pytest.raises((ChatAppError, click.UsageError)) as caught:
        train.main(words.split(), standalone_mode=False)
    assert caught.value.exit_code == code
    assert re.search(said, str(caught.value))
    assert sorted(tmp_path.iterdir()) == before


def test_what_comes_next_can_be_pasted(capfd: pytest.CaptureFixture[str]) -> None:
    _end(Path("输出 文件夹", "ckpt.pt"))
    assert capfd.readouterr().err == "Next: chatapp --model '输出 文件夹'\n"


def test_a_short_way_and_commands_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def invoke(*words: str) -> str:
        train.main(list(words), standalone_mode=False)
        return capfd.readouterr().out

    text = tmp_path / "text.txt"
    text.write_text("To be, or not to be, that is the question.\n" * 40)
    out = str(tmp_path / "out")
    said = invoke("--chars", str(text), "--size", "tiny", "--steps", "1", "-o", out)
    assert said == f"{tmp_path / 'out' / 'ckpt.pt'}\n"
    assert find_overlap(tmp_path / "out" / "ckpt.pt", text.read_text()) == Overlap(1, 1.0)
    assert invoke("resume", out, "--steps", "2") == said
    assert invoke("sample", out, "To be", "--tokens", "5").startswith("To be")
    with pytest.raises(ChatAppError, match="holds no run"):
        invoke("resume", str(tmp_path))
    assert invoke("tokenizer", str(text), "-o", out) == f"{tmp_path / 'out' / 'tokenizer.json'}\n"
    with pytest.raises(click.UsageError, match="--out"):
        invoke(str(text))
    with pytest.raises(click.UsageError, match="leave out --tokenizer"):
        invoke(str(text), "--chars", "--tokenizer", out)
    assert "pretrain" in invoke("--help")
