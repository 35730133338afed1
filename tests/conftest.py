"""Shared by every test: a plain environment, an isolated home, and small real models."""

import ctypes
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench.synthetic import TINY, write_model
from chatapp.errors import HubError
from tests.models import fetch_smollm2

# The gate tries the same inputs every time, on a slow machine too; `--hypothesis-profile=search`
# looks for new ones.
settings.register_profile(
    "gate",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", deadline=None, database=None, max_examples=2000)
settings.load_profile("gate")

_KEPT = ("GOMP_SPINCOUNT", "HOME", "PATH", "TMPDIR", "VIRTUAL_ENV")
_KEPT_KINDS = (
    "COV", "CUDA", "DYLD_", "GGML_CUDA", "HIP", "LANG", "LC_", "LD_", "PIP_", "PYTEST", "PYTHON",
    "ROC",
)  # fmt: skip
"""What finds programs, libraries, the GPU and the package index, and the language."""


def pytest_configure() -> None:
    """Take away what differs between machines and users and is no business of a test's.

    Proxies, certificates, the terminal, keys of servers and folders of other programs stand in the
    environment; a mask of another user's hides files; a shell that starts something in the
    background has it ignore Ctrl+C, and `nohup` the end of the terminal, and children would too: a
    handler, unlike that, ends with `exec`.
    """
    for name in [*os.environ]:
        if name not in _KEPT and not name.startswith(_KEPT_KINDS):
            del os.environ[name]
    os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side: threads would wait for others'
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture(autouse=True, scope="module")
def memory_back() -> Iterator[None]:
    """What a module freed goes back to the system: else a worker keeps gigabytes of weights."""
    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything chatapp writes goes below this folder."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CHATAPP_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # models of other programs on this machine are none of a test's business
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of random weights with a chat template: 0.5 MB, 16k context."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, a real model that chats."""
    try:
        return fetch_smollm2()
    except HubError as error:
        pytest.skip(f"SmolLM2 is not here and cannot be fetched: {error}")
