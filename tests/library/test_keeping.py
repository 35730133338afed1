"""Into the models folder and out of it; never a file that lies elsewhere."""

import os
import shutil
from pathlib import Path

import pytest

from chatapp.config import Config
from chatapp.errors import ModelError
from chatapp.library import keeping
from chatapp.library.keeping import check_removable, import_model, remove_model
from chatapp.library.local import find_model, list_shards
from chatapp.paths import BUILTIN_MODEL, Paths, find_paths


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return find_paths()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "disk" / "mine.gguf"
    path.parent.mkdir()
    shutil.copy(BUILTIN_MODEL, path)
    return path


def silent(done: int, total: int) -> None:
    assert 0 < done <= total


def test_import_links_and_the_model_is_found(paths: Paths, source: Path) -> None:
    path = import_model(source, paths, report=silent)
    assert path == paths.models / "mine.gguf"
    assert path.samefile(source)
    assert find_model("mine", Config(), paths).path == path
    with pytest.raises(ModelError, match="is there already"):
        import_model(source, paths, report=silent)
    assert import_model(source, paths, force=True, report=silent) == path


def test_import_copies_from_another_disk(
    paths: Paths, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:  # stands for the border between two file systems
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    path = import_model(source, paths, report=silent)
    assert path.read_bytes() == source.read_bytes()
    assert not path.samefile(source)
    assert list(paths.models.iterdir()) == [path]


def test_import_refuses_what_is_no_model(paths: Paths, tmp_path: Path) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("notes")
    with pytest.raises(ModelError, match="not a usable model file"):
        import_model(text, paths, report=silent)
    shard = tmp_path / "big-00001-of-00002.gguf"
    shutil.copy(BUILTIN_MODEL, shard)
    with pytest.raises(ModelError, match="00002-of-00002"):
        import_model(shard, paths, report=silent)
    assert not paths.models.exists()


def test_shards_come_and_go_together(paths: Paths, source: Path) -> None:
    first = source.with_name("big-00001-of-00002.gguf")
    for shard in list_shards(first):
        shutil.copy(source, shard)
    imported = import_model(first, paths, report=silent)
    assert len(list(paths.models.iterdir())) == 2
    file = find_model(str(imported), Config(), paths)
    size = file.size_bytes
    assert size == 2 * source.stat().st_size
    assert remove_model(check_removable(file, paths), paths) == 0  # links: nothing is freed
    assert list(paths.models.iterdir()) == []
    assert first.exists()


def test_a_folder_left_empty_goes_too(paths: Paths, source: Path) -> None:
    folder = paths.models / "acme--tiny"
    folder.mkdir(parents=True)
    for name in ("a.gguf", "b.gguf", "mmproj-a.gguf"):
        shutil.copy(source, folder / name)
    first = check_removable(find_model("a", Config(), paths), paths)
    assert [path.name for path in first] == ["a.gguf"]  # b needs the projector
    assert remove_model(first, paths) == source.stat().st_size
    second = check_removable(find_model("b", Config(), paths), paths)
    assert [path.name for path in second] == ["b.gguf", "mmproj-a.gguf"]
    remove_model(second, paths)
    assert list(paths.models.iterdir()) == []


def test_what_is_not_ours_is_not_removed(paths: Paths, source: Path) -> None:
    for name, reason in (("builtin", "part of chatapp"), (str(source), "is not in the models")):
        with pytest.raises(ModelError, match=reason):
            check_removable(find_model(name, Config(), paths), paths)
    assert source.exists()


def test_what_only_seems_to_be_in_the_folder_stays(paths: Paths, source: Path) -> None:
    paths.models.mkdir(parents=True)
    (paths.models / "linked").symlink_to(source.parent)
    around = paths.models / ".." / os.path.relpath(source, paths.models.parent)
    for name in (str(around), str(paths.models / "linked" / source.name)):
        file = find_model(name, Config(), paths)
        with pytest.raises(ModelError, match="is not in the models folder"):
            check_removable(file, paths)
    assert source.exists()


def test_parts_of_killed_imports_are_removed(
    paths: Paths, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.models.mkdir(parents=True)
    stale, download = paths.models / ".big.gguf.part", paths.models / ".x.gguf.0a1b2c3d4e5f.part"
    for part in (stale, download):
        part.write_bytes(b"GGUF")
    import_model(source, paths, report=silent)
    assert stale.exists(), "another import may be writing it"
    monkeypatch.setattr(keeping, "_STALE_S", -1.0)
    import_model(source, paths, force=True, report=silent)
    assert not stale.exists()
    assert download.exists()
