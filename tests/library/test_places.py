"""Models of other programs: found where those keep them, by the names those give them."""

import json
import shutil
from pathlib import Path

import pytest

from chatapp.config import Config, LibraryConfig
from chatapp.errors import ModelError
from chatapp.library.local import find_models, resolve_model
from chatapp.library.places import _MODEL, list_blobs, list_places
from chatapp.paths import BUILTIN_MODEL, find_paths


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, and an empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "user"


def copy_builtin(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(BUILTIN_MODEL, path)
    return path


def write_hub(cache: Path) -> Path:
    """One repository as huggingface_hub lays it out: links to blobs."""
    blob = copy_builtin(cache / "models--acme--tiny-GGUF" / "blobs" / ("ab" * 32))
    name = cache / "models--acme--tiny-GGUF" / "snapshots" / ("c0" * 20) / "tiny-q8_0.gguf"
    name.parent.mkdir(parents=True)
    name.symlink_to(blob)
    return name


def write_ollama(folder: Path, *names: tuple[str, ...], projector: bool = False) -> Path:
    blob = copy_builtin(folder / "blobs" / f"sha256-{'1f' * 32}")
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": f"sha256:{'22' * 32}"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'1f' * 32}"},
    ]
    if projector:
        copy_builtin(folder / "blobs" / f"sha256-{'3f' * 32}")
        digest = f"sha256:{'3f' * 32}"
        layers += [{"mediaType": "application/vnd.ollama.image.projector", "digest": digest}]
    for parts in names:
        path = folder.joinpath("manifests", *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return blob


def found() -> dict[str, str]:
    return {file.name: file.source for file in find_models(find_paths())}


def test_nothing_is_there(user: Path) -> None:
    assert list_places() == []
    assert list_blobs() == []
    assert found() == {"builtin": "built-in"}


def test_the_hugging_face_cache(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_hub(user / ".cache" / "huggingface" / "hub")
    assert found()["tiny-q8_0.gguf"] == "Hugging Face cache"
    assert resolve_model("tiny-q8_0", Config(), find_paths()) == path
    write_hub(user / "elsewhere" / "hub")
    monkeypatch.setenv("HF_HOME", str(user / "elsewhere"))
    assert str(resolve_model("tiny-q8_0", Config(), find_paths())).startswith(
        str(user / "elsewhere")
    )
    monkeypatch.setenv("HF_HUB_CACHE", str(user / "nowhere"))
    assert "tiny-q8_0.gguf" not in found()


def test_lm_studio_and_its_pointer(user: Path) -> None:
    copy_builtin(user / ".lmstudio" / "models" / "acme" / "tiny" / "tiny.gguf")
    copy_builtin(user / ".lmstudio" / "models" / "acme" / "tiny" / "mmproj-tiny-f16.gguf")
    files = {file.name: file for file in find_models(find_paths())}
    assert files["tiny.gguf"].source == "LM Studio"
    assert files["tiny.gguf"].projector is not None
    assert "mmproj-tiny-f16.gguf" not in files
    copy_builtin(user / "big disk" / "models" / "acme" / "moved" / "moved.gguf")
    (user / ".lmstudio-home-pointer").write_text(f"{user / 'big disk'}\n")
    assert found().keys() == {"builtin", "moved.gguf"}


def test_ollamas_names(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = ("registry.ollama.ai", "library")
    blob = write_ollama(user / ".ollama" / "models", (*library, "tiny", "8b"), projector=True)
    assert found() == {"builtin": "built-in", "tiny:8b": "Ollama"}
    assert resolve_model("tiny:8b", Config(), find_paths()) == blob
    assert [blob.projector is not None for blob in list_blobs()] == [True]
    write_ollama(
        user / "models",
        ("registry.ollama.ai", "acme", "own", "latest"),
        ("hf.co", "acme", "tiny-GGUF", "Q4_K_M"),
    )
    monkeypatch.setenv("OLLAMA_MODELS", str(user / "models"))
    names = [blob.name for blob in list_blobs()]
    assert names == ["hf.co/acme/tiny-GGUF:Q4_K_M", "acme/own:latest"]


def test_ollamas_names_of_one_blob(user: Path) -> None:
    library = ("registry.ollama.ai", "library")
    names = [(*library, "tiny", tag) for tag in ("8b", "latest", "8b-instruct")]
    blob = write_ollama(user / ".ollama" / "models", *names, ("hf.co", "acme", "own", "latest"))
    files = find_models(find_paths())
    assert [file.source for file in files] == ["built-in", "Ollama"]
    known = {files[1].name, *files[1].aliases}
    assert known == {"tiny:8b", "tiny:8b-instruct", "tiny:latest", "hf.co/acme/own:latest"}
    for name in ("tiny:8b", "tiny:8b-instruct", "tiny:latest", "tiny", "TINY", "hf.co/acme/own"):
        assert resolve_model(name, Config(), find_paths()) == blob
    with pytest.raises(ModelError, match="no model tiny:9b") as raised:
        resolve_model("tiny:9b", Config(), find_paths())
    assert "tiny:8b" in raised.value.hint


def test_a_bare_name_is_ollamas_latest_and_not_another_tag(user: Path) -> None:
    folder = user / ".ollama" / "models"
    library = ("registry.ollama.ai", "library", "tiny")
    write_ollama(folder, (*library, "8b"))
    other = copy_builtin(folder / "blobs" / f"sha256-{'2e' * 32}")
    layer = {
        "mediaType": "application/vnd.ollama.image.model",
        "digest": f"sha256:{'2e' * 32}",
    }
    path = folder.joinpath("manifests", *library, "latest")
    path.write_text(json.dumps({"layers": [layer]}))
    assert resolve_model("tiny", Config(), find_paths()) == other
    path.unlink()
    with pytest.raises(ModelError, match="no model tiny"):
        resolve_model("tiny", Config(), find_paths())


def test_a_blob_with_a_name_of_ours_keeps_ollamas_too(user: Path) -> None:
    blob = write_ollama(
        user / ".ollama" / "models", ("registry.ollama.ai", "library", "tiny", "latest")
    )
    models = find_paths().models
    models.mkdir(parents=True)
    (models / "mine.gguf").symlink_to(blob)
    assert found() == {"builtin": "built-in", "mine.gguf": "models folder"}
    assert resolve_model("tiny", Config(), find_paths()) == models / "mine.gguf"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"layers": 3}',
        '{"layers": [1, {"mediaType": [], "digest": {}}]}',
        json.dumps({"layers": [{"mediaType": _MODEL, "digest": "sha256:../../../etc/passwd"}]}),
        "[" * 100_000,
    ],
)
def test_manifests_that_are_none(user: Path, text: str) -> None:
    folder = user / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "x"
    folder.mkdir(parents=True)
    (folder / "latest").write_text(text)
    assert list_blobs() == []


def test_configured_folders(user: Path) -> None:
    path = copy_builtin(user / "disk" / "a" / "mine.gguf")
    config = Config(library=LibraryConfig(folders=("~/disk", "/nowhere")))
    assert resolve_model("mine", config, find_paths()) == path
    files = find_models(find_paths(), config.library.folders)
    assert [(file.name, file.source) for file in files] == [
        ("builtin", "built-in"),
        ("mine.gguf", "~/disk"),
    ]


def test_one_file_in_two_places_is_listed_once(user: Path) -> None:
    path = write_hub(user / ".cache" / "huggingface" / "hub")
    models = find_paths().models
    models.mkdir(parents=True)
    (models / "mine.gguf").symlink_to(path)
    assert found() == {"builtin": "built-in", "mine.gguf": "models folder"}
