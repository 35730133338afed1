"""Where a checkpoint runs: converted and kept, or in PyTorch with the reason."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chatapp.engine import converted
from chatapp.engine.protocol import LoadOptions, ModelDescription
from chatapp.engine.routing import load_model
from chatapp.engine.worker import make_backend
from chatapp.errors import ChatAppError, ConversionError, EngineError, ModelError

MODEL = ModelDescription(
    path="", name="m", arch="a", size_bytes=0, n_params=0, n_ctx=8, n_ctx_train=8, n_vocab=2,
    n_layers=1, gpu_layers=0,
)  # fmt: skip


class Loads:
    """What was asked of which backend."""

    def __init__(self, refuses: dict[str, ChatAppError] | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.progress: list[tuple[float, str]] = []
        self._refuses = refuses or {}

    def route(self, path: Path | str, backend: Any = "auto", local: str = "llama") -> Any:
        options = LoadOptions(path=str(path), backend=backend)
        return load_model(options, local, self._switch, self._report)

    def _switch(self, name: str) -> Any:
        loads = self

        class Backend:
            def load(self, options: LoadOptions, report: Any) -> ModelDescription:
                if name in loads._refuses:
                    raise loads._refuses[name]
                loads.asked.append((name, options.path))
                return replace(MODEL, path=options.path)

        return Backend()

    def _report(self, fraction: float, doing: str = "loading") -> None:
        self.progress.append((fraction, doing))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "poems" / "checkpoint-500"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The converter writes 1,000 bytes, and refuses what is called xlnet."""
    made: list[Path] = []

    async def convert(source: Path, output: Path, report: Any) -> None:
        report(0.5)
        if "xlnet" in source.name:
            raise ConversionError("xlnet is not known.", "These are: GPT-2.")
        output.write_bytes(b"GGUF" + bytes(996))
        made.append(source)

    monkeypatch.setattr(converted, "_convert", convert)
    return made


def test_a_checkpoint_is_converted_once(
    checkpoint: Path, conversions: list[Path], home: Path
) -> None:
    loads = Loads()
    first = loads.route(checkpoint)
    assert first.path == str(checkpoint)
    assert "was converted" in first.notices[0]
    assert loads.progress == [(0.5, "converting")]
    assert loads.route(checkpoint).notices == []
    assert conversions == [checkpoint]
    (name, path), again = loads.asked
    assert (name, path) == again
    assert (name, Path(path).name) == ("llama", "poems.gguf")
    assert list((home / "converted").glob("**/*.*")) == [Path(path)]


def test_a_source_that_changed_is_converted_again_and_the_old_file_goes(
    checkpoint: Path, conversions: list[Path], home: Path
) -> None:
    loads = Loads()
    loads.route(checkpoint)
    (checkpoint / "model.safetensors").write_bytes(b"more weights")
    loads.route(checkpoint)
    assert len(conversions) == 2
    assert [str(p) for p in (home / "converted").glob("*/*")] == [loads.asked[-1][1]]
    (checkpoint / "tokenizer.json").write_text("{}")
    loads.route(checkpoint)
    assert len(conversions) == 3


def test_what_was_not_used_for_longest_goes_when_there_is_too_much(
    tmp_path: Path, conversions: list[Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted, "MOST_BYTES", 2500)
    files = [tmp_path / f"{name}.pt" for name in "abc"]
    loads = Loads()
    for number, file in enumerate(files[:2]):
        file.write_bytes(b"x")
        loads.route(file)
        os.utime(Path(loads.asked[-1][1]).parent, (number, number))
    loads.route(files[0])  # used again: the other one is older now
    files[2].write_bytes(b"x")
    loads.route(files[2])
    kept = {str(path) for path in (home / "converted").glob("*/*")}
    assert kept == {loads.asked[0][1], loads.asked[3][1]}


def test_what_a_killed_conversion_left_is_removed(
    checkpoint: Path, conversions: list[Path], home: Path
) -> None:
    left = home / "converted" / "making-999999999"
    left.mkdir(parents=True)
    (left / "model.gguf.part").write_bytes(b"half")
    Loads().route(checkpoint)
    assert not left.exists()


def test_what_cannot_be_converted_runs_in_pytorch_with_the_reason(
    checkpoint: Path, conversions: list[Path]
) -> None:
    xlnet = checkpoint.rename(checkpoint.with_name("xlnet"))
    loads = Loads()
    assert "not converted: xlnet is not known." in loads.route(xlnet).notices[0]
    assert loads.asked == [("torch", str(xlnet))]
    with pytest.raises(ConversionError, match="not known"):
        loads.route(xlnet, backend="llama")
    refusing = Loads({"torch": EngineError("PyTorch is not installed.", "pip install it.")})
    with pytest.raises(ModelError, match="xlnet is not known") as caught:
        refusing.route(xlnet)
    for said in ("These are: GPT-2.", "PyTorch is not installed.", "pip install it."):
        assert said in caught.value.hint


def test_what_would_be_refused_again_is_not_tried_again(
    checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[ConversionError] = []

    async def convert(source: Path, output: Path, report: Any) -> None:
        lasting = len(tried) < 3
        asked = [{"name": "n_head"}]
        tried.append(ConversionError(f"No {len(tried)}.", "Hint.", asked, is_lasting=lasting))
        raise tried[-1]

    monkeypatch.setattr(converted, "_convert", convert)
    for _ in range(3):
        with pytest.raises(ConversionError, match="No 0") as caught:
            Loads().route(checkpoint, backend="llama")
        assert (caught.value.hint, caught.value.questions) == ("Hint.", ({"name": "n_head"},))
    (checkpoint / "config.json").write_text("{ }")
    for _ in range(2):
        with pytest.raises(ConversionError, match="No 1"):
            Loads().route(checkpoint, backend="llama")
    assert len([*(home / "converted").iterdir()]) == 1
    monkeypatch.setattr(converted, "__version__", "next")
    with pytest.raises(ConversionError, match="No 2"):
        Loads().route(checkpoint, backend="llama")
    monkeypatch.setattr(converted, "_JUDGES", ("torch",))
    for number in (3, 4):  # what may pass, such as a full disk, is tried again
        with pytest.raises(ConversionError, match=f"No {number}"):
            Loads().route(checkpoint, backend="llama")


def test_a_backend_is_taken_at_its_word(
    checkpoint: Path, conversions: list[Path], tiny_model: Path
) -> None:
    loads = Loads()
    assert loads.route(checkpoint, backend="torch").notices == []
    loads.route(tiny_model, backend="llama")
    loads.route(checkpoint, local="echo")
    loads.route("remote:lab")
    assert [name for name, _ in loads.asked] == ["torch", "llama", "echo", "remote"]
    assert conversions == []


def test_a_backend_in_the_settings_keeps_no_other_model_from_running(tiny_model: Path) -> None:
    loads = Loads()
    assert "is a model file" in loads.route(tiny_model, backend="torch").notices[0]
    assert loads.route("remote:lab", backend="torch").notices == []
    assert loads.route("remote:lab", backend="llama").notices == []
    assert [name for name, _ in loads.asked] == ["llama", "remote", "remote"]


def test_missing_pytorch_is_said_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith("chatapp.engine.pytorch."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match="not installed") as caught:
        make_backend("torch")
    assert "pip install '.[torch]'" in caught.value.hint
