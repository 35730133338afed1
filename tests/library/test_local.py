"""Finding model files, and what a name that somebody types stands for."""

import os
import socket
from pathlib import Path

import pytest

from chatapp.config import Config, EngineConfig
from chatapp.errors import ModelError
from chatapp.library import local
from chatapp.library.local import find_models, resolve_model
from chatapp.paths import Paths, find_paths, read_path, spell_path


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty home, an empty current folder and a built-in model of four bytes."""
    builtin = tmp_path / "package" / "model.gguf"
    builtin.parent.mkdir()
    builtin.write_bytes(b"GGUF")
    monkeypatch.setattr(local, "BUILTIN_MODEL", builtin)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    found = find_paths()
    found.models.mkdir(parents=True)
    return found


def _put(path: Path, size: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_models_are_found_in_every_place_once(paths: Paths, tmp_path: Path) -> None:
    _put(paths.models / "a.gguf", 10)
    _put(paths.models / "vendor" / "deep" / "b.GGUF", 20)
    _put(paths.models / "notes.txt")
    _put(paths.models / ".hidden" / "c.gguf")
    _put(tmp_path / "here" / "d.gguf", 30)
    (tmp_path / "here" / "again.gguf").symlink_to(paths.models / "a.gguf")
    _put(tmp_path / "other" / "e.gguf", 40)
    found = {(file.name, file.size_bytes, file.source) for file in find_models(paths)}
    assert found == {
        ("builtin", 4, "built-in"),
        ("a.gguf", 10, "models folder"),
        ("b.GGUF", 20, "models folder"),
        ("d.gguf", 30, "here"),
    }
    more = find_models(paths, [tmp_path / "other", tmp_path / "nowhere"])
    assert [(file.name, file.source) for file in more][-1] == ("e.gguf", str(tmp_path / "other"))


def test_shards_are_one_model(paths: Paths) -> None:
    for number in (1, 2, 3):
        _put(paths.models / f"big-0000{number}-of-00003.gguf", 100)
    files = [file for file in find_models(paths) if file.source == "models folder"]
    assert [(file.name, file.size_bytes) for file in files] == [("big-00001-of-00003.gguf", 300)]


def test_links_that_lead_nowhere_or_round_do_no_harm(paths: Paths) -> None:
    (paths.models / "gone.gguf").symlink_to(paths.models / "nothing")
    (paths.models / "round").symlink_to(paths.models)
    _put(paths.models / "a.gguf")
    assert [file.name for file in find_models(paths)] == ["builtin", "a.gguf"]


def test_names_that_resolve(paths: Paths, tmp_path: Path) -> None:
    inside = _put(paths.models / "Qwen-0.5B.gguf")
    deep = _put(paths.models / "vendor" / "deep.gguf")
    here = _put(tmp_path / "here" / "mine.gguf")
    config = Config()
    for name, wanted in {
        "builtin": local.BUILTIN_MODEL,
        "Built-in": local.BUILTIN_MODEL,
        "Qwen-0.5B.gguf": inside,
        "qwen-0.5b": inside,
        "deep": deep,
        "vendor/deep.gguf": deep,
        "mine.gguf": here,
        str(here): here,
    }.items():
        assert resolve_model(name, config, paths) == wanted
    assert resolve_model(None, config, paths) == local.BUILTIN_MODEL
    set_to = Config(engine=EngineConfig(model="deep"))
    assert resolve_model(None, set_to, paths) == deep
    assert resolve_model("builtin", set_to, paths) == local.BUILTIN_MODEL


def test_a_name_in_the_home_folder(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = _put(tmp_path / "m.gguf")
    assert resolve_model("~/m.gguf", Config(), paths) == file


def test_a_missing_model_that_can_be_fetched_says_how(paths: Paths) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_model("SmolLM2", Config(), paths)
    assert caught.value.hint == "`chatapp models pull smollm2` fetches it."


def test_a_missing_model_names_what_comes_near(paths: Paths) -> None:
    _put(paths.models / "qwen2.5-0.5b-q4_k_m.gguf")
    with pytest.raises(ModelError) as caught:
        resolve_model("qwen2.5-0.5b", Config(), paths)
    assert "There is no model qwen2.5-0.5b." in caught.value.message
    assert "qwen2.5-0.5b-q4_k_m.gguf" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        resolve_model("/no/such/file.gguf", Config(), paths)
    assert "/no/such/file.gguf" in caught.value.message
    assert str(paths.models) in caught.value.hint


def test_a_folder_is_no_model(paths: Paths) -> None:
    _put(paths.models / "a.gguf")
    with pytest.raises(ModelError, match=r"is a folder") as caught:
        resolve_model(str(paths.models), Config(), paths)
    assert "a.gguf" in caught.value.hint


def test_no_built_in_model(paths: Paths) -> None:
    local.BUILTIN_MODEL.unlink()
    assert find_models(paths) == []
    with pytest.raises(ModelError, match="built-in model is missing"):
        resolve_model(None, Config(), paths)


def test_one_name_for_two_models_is_asked_about(paths: Paths) -> None:
    one = _put(paths.models / "aa--X" / "m-Q8_0.gguf")
    two = _put(paths.models / "zz--X" / "m-Q8_0.gguf")
    with pytest.raises(ModelError, match="There are 2 models m-q8_0") as caught:
        resolve_model("m-q8_0", Config(), paths)
    assert "aa--X/m-Q8_0.gguf or zz--X/m-Q8_0.gguf" in caught.value.hint
    assert resolve_model("aa--X/m-Q8_0.gguf", Config(), paths) == one
    two.unlink()
    assert resolve_model("m-q8_0", Config(), paths) == one


def test_folders_that_may_not_be_seen_are_passed_over(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(paths.models / "a.gguf")

    def refuse(_self: Path, **_: object) -> bool:  # root may look everywhere, so this stands for it
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    monkeypatch.setattr(Path, "is_file", refuse)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "secret"))
    assert "a.gguf" in [file.name for file in find_models(paths)]
    with pytest.raises(ModelError, match="There is no model ~nosuchuser"):
        resolve_model("~nosuchuser/x.gguf", Config(), paths)


def test_what_is_no_file_is_passed_over(paths: Paths, tmp_path: Path) -> None:
    for folder in (paths.models, tmp_path / "here"):
        (folder / "loop.gguf").symlink_to("loop.gguf")
        (folder / "a.gguf").symlink_to("b.gguf")
        (folder / "b.gguf").symlink_to("a.gguf")
        (folder / "gone.gguf").symlink_to("nowhere")
        (folder / "device.gguf").symlink_to("/dev/zero")
        (folder / "around").symlink_to(".")
        (folder / "folder.gguf").mkdir()
        os.mkfifo(folder / "pipe.gguf")
        with socket.socket(socket.AF_UNIX) as end:
            here = Path.cwd()
            os.chdir(folder)  # the address of a socket is short
            end.bind("socket.gguf")
            os.chdir(here)
    _put(paths.models / "folder.gguf" / "inside.gguf")
    (tmp_path / "ring").symlink_to("ring")
    found = find_models(paths, [str(tmp_path / "ring"), "with\0nul", "~nobody/here"])
    assert [file.name for file in found] == ["builtin", "inside.gguf"]
    for name in ("loop", "loop.gguf", str(paths.models / "loop.gguf"), "pipe.gguf", "device.gguf"):
        with pytest.raises(ModelError):
            resolve_model(name, Config(), paths)


def test_a_current_folder_that_is_gone_holds_nothing(paths: Paths, tmp_path: Path) -> None:
    _put(paths.models / "a.gguf")
    Path.cwd().rmdir()
    assert [file.name for file in find_models(paths)] == ["builtin", "a.gguf"]
    assert resolve_model("a", Config(), paths) == paths.models / "a.gguf"


NAMES = [b"bad\xff.gguf", b"\xe4\xf6%20 \xfc?#.gguf", b"\xed\xa0\x80.gguf"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_bytes_can_be_used(paths: Paths, name: bytes) -> None:
    path = _put(paths.models / os.fsdecode(name))
    [_, file] = find_models(paths)
    assert file.path == path
    shown = file.name.encode("utf-8", "replace").decode()
    assert "?" in shown
    spelled = spell_path(path)
    assert spelled.encode().startswith(b"file:///")
    assert read_path(spelled) == path
    wanted = [
        file.name,
        path.stem,
        spelled,
        "".join(c if c < "\ud800" else "\ufffd" for c in file.name),
    ]
    assert [resolve_model(name, Config(), paths) for name in wanted] == [path] * len(wanted)
    with pytest.raises(ModelError) as caught:
        resolve_model(path.stem + "x", Config(), paths)
    str(caught.value).encode()


def test_other_paths_are_spelled_as_they_are() -> None:
    for text in ("/a/b c.gguf", "remote:x", "/ü/%FF", "a?b#c"):
        assert spell_path(Path(text)) == text
        assert read_path(text) == Path(text)
