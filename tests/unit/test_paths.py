"""Where files are: one variable moves everything, and looking creates nothing."""

from pathlib import Path

import pytest

from chatapp.paths import find_paths


def test_one_variable_moves_everything(home: Path) -> None:
    paths = find_paths()
    for place in (paths.history, paths.models, paths.settings, paths.engine_log):
        assert place.is_relative_to(home)
    assert not home.exists()


def test_a_tilde_and_a_relative_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CHATAPP_HOME", "~/elsewhere")
    assert find_paths().data == tmp_path / "elsewhere"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATAPP_HOME", "here")
    assert find_paths().history == tmp_path / "here" / "history.db"


def test_without_it_the_system_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHATAPP_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    paths = find_paths()
    assert paths.history.is_relative_to(tmp_path)
    assert paths.settings.is_relative_to(tmp_path)
    assert "chatapp" in str(paths.history)
