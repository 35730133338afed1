"""Shared by every test: an isolated home, and small real models."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench.synthetic import TINY, write_model

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


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything chatapp writes goes below this folder."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CHATAPP_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # models of other programs on this machine are none of a test's business
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    for name in os.environ:
        if name.startswith("CHATAPP_KEY_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("CHATAPP_BACKEND", "CHATAPP_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of random weights with a chat template: 0.5 MB, 16k context."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)
