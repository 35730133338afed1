"""`chatapp models`, `doctor` and `convert` in a real child process."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.doctor.engine import judge_gpu
from chatapp.doctor.report import Report
from chatapp.paths import BUILTIN_MODEL
from chatapp.store import Store
from tests.cli.conftest import Run


@pytest.fixture
def models(home: Path, tiny_model: Path) -> Path:
    """A models folder with a sound file and a broken one."""
    folder = home / "models"
    folder.mkdir(parents=True)
    shutil.copy(tiny_model, folder / "tiny.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF\x03")
    return folder


def test_list(chatapp: Run, models: Path) -> None:
    rows = {row["file"]: row for row in json.loads(chatapp("models", "list", "--json").stdout)}
    assert rows["tiny.gguf"]["info"]["chat_template"] is True
    assert rows["tiny.gguf"]["source"] == "models folder"
    assert rows["tiny.gguf"]["fit"] in ("fits, CPU only", "fits on the GPU")
    assert "ends in the middle" in rows["broken.gguf"]["error"]
    text = chatapp("models", "list")
    assert "tiny.gguf" in text.stdout
    assert "is not a usable model file" in text.stdout
    assert str(models) in text.stderr


def test_the_default_is_marked(chatapp: Run, models: Path, home: Path) -> None:
    (home / "config.toml").write_text('[engine]\nmodel = "tiny"\n')
    lines = chatapp("models", "list").stdout.splitlines()
    assert ["tiny.gguf, models folder" in line for line in lines if line.startswith("*  ")] == [
        True
    ]


def test_info(chatapp: Run, models: Path) -> None:
    by_name = json.loads(chatapp("models", "info", "tiny", "--json").stdout)
    assert by_name["path"] == str(models / "tiny.gguf")
    text = chatapp("models", "info", str(models / "tiny.gguf")).stdout
    assert f"{by_name['n_params']:,}" in text
    assert by_name["arch"] in text
    fit = by_name["fit"]
    assert by_name["size_bytes"] > fit["needs"]["weights"] > by_name["size_bytes"] / 2
    assert fit["largest_n_ctx"] == by_name["n_ctx_train"]
    assert f"{fit['largest_n_ctx']:,} tokens" in text
    broken = chatapp("models", "info", "broken.gguf")
    assert broken.returncode == 1
    assert "not a usable model file" in broken.stderr
    missing = chatapp("models", "info", "tinny")
    assert missing.returncode == 1
    assert "tiny.gguf" in missing.stderr


def test_ask_with_a_real_model(chatapp: Run, models: Path) -> None:
    arguments = ["ask", "--model", "tiny", "--json", "--seed", "1", "--max-tokens", "8"]
    first, second = (
        json.loads(chatapp(*arguments, stdin="hello", CHATAPP_BACKEND="llama").stdout)
        for _ in range(2)
    )
    assert first["text"] == second["text"]
    assert first["usage"]["prompt_tokens"] > 0
    assert 0 < first["usage"]["completion_tokens"] <= 8
    assert first["timings"]["load_s"] > 0
    assert first["timings"]["decode_tokens_per_second"] > 0


def test_ask_with_a_broken_model(chatapp: Run, models: Path) -> None:
    done = chatapp("ask", "hello", "--model", "broken.gguf", CHATAPP_BACKEND="llama")
    assert done.returncode == 1
    assert "broken.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor(chatapp: Run, models: Path, home: Path) -> None:
    (home / "config.toml").write_text('[engine]\nmodel = "tiny"\n')
    Store.open(home / "history.db").close()
    report = json.loads(chatapp("doctor", "--json").stdout)
    assert report["versions"]["chatapp"]
    assert report["versions"]["textual"]
    assert report["engine"]["devices"][0]["total_bytes"] > 0
    assert report["machine"]["cpu"]
    assert report["files"]["history"] == str(home / "history.db")
    assert report["files"]["free_bytes"] > 0
    assert report["history"]["mode"] == "0600"
    assert report["model"]["path"] == str(models / "tiny.gguf")
    levels = {(finding["topic"], finding["level"]) for finding in report["findings"]}
    assert {("engine", "ok"), ("settings", "ok"), ("history", "ok")} <= levels
    text = chatapp("doctor").stdout
    assert "llama-cpp-python" in text
    assert str(home / "history.db") in text


def test_doctor_finds_what_is_broken(chatapp: Run, models: Path, home: Path) -> None:
    (home / "config.toml").write_text('[engine]\nmodel = "broken"\n')
    (home / "history.db").write_bytes(b"no database" * 1000)
    done = chatapp("doctor", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False
    errors = {row["topic"]: row["text"] for row in report["findings"] if row["level"] == "error"}
    assert "history.db" in errors["history"]
    assert "broken.gguf" in errors["model"]
    (home / "config.toml").write_text("[nonsense]\n")
    report = json.loads(chatapp("doctor", "--json").stdout)
    errors = {row["topic"]: row["text"] for row in report["findings"] if row["level"] == "error"}
    assert "[nonsense]" in errors["settings"]
    text = chatapp("doctor")
    assert text.returncode == 1
    assert "Something does not work." in text.stdout


def test_doctor_says_how_to_use_an_idle_gpu() -> None:
    report = Report(facts={"machine": {"gpus": ["NVIDIA H200, 570.1"]}})
    judge_gpu(report, gpu_offload=False)
    finding = report.findings[0]
    assert (finding.level, finding.topic) == ("warning", "gpu")
    assert "NVIDIA H200" in finding.text
    assert finding.hint == (
        'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall --no-cache-dir llama-cpp-python'
    )
    assert not report.broken


def test_doctor_and_a_gpu_that_is_used() -> None:
    device = {"name": "CUDA0", "description": "NVIDIA H200", "type": "gpu"}
    report = Report(facts={"machine": {"gpus": ["NVIDIA H200"]}, "engine": {"devices": [device]}})
    judge_gpu(report, gpu_offload=True)
    assert [(row.level, row.text) for row in report.findings] == [
        ("ok", "llama.cpp uses NVIDIA H200.")
    ]


def test_convert_passes_everything_on(chatapp: Run, tmp_path: Path) -> None:
    # A file of the same name in the current folder must not be taken for the converter.
    (tmp_path / "convert.py").write_text("print('wrong one')")
    ours = chatapp("convert", "--help")
    theirs = subprocess.run(
        [sys.executable, "-m", "convert", "--help"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert ours.returncode == 0
    assert "checkpoint" in ours.stdout
    assert ours.stdout == theirs.stdout
    failed = chatapp("convert", "--json", str(tmp_path / "missing.pt"))
    direct = subprocess.run(
        [sys.executable, "-m", "convert", "--json", str(tmp_path / "missing.pt")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert failed.returncode == direct.returncode != 0
    assert (failed.stdout, failed.stderr) == (direct.stdout, direct.stderr)


def test_path_and_use(chatapp: Run, home: Path, tmp_path: Path) -> None:
    assert chatapp("models", "path").stdout.strip() == str(home / "models")
    assert chatapp("models", "path", "builtin").stdout.strip() == str(BUILTIN_MODEL)
    missing = chatapp("models", "path", "nothing")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert json.loads(chatapp("models", "info", "builtin", "--json").stdout)["use"] == "chat"


def test_offline_is_for_every_command(chatapp: Run) -> None:
    refused = chatapp("--offline", "models", "search", "x", HF_HUB_OFFLINE="0")
    assert refused.returncode == 1
    assert "started with --offline. No request was made." in refused.stderr
    assert chatapp("--offline", "ask", "--no-save", "hello").stdout == "hello\n"


def test_the_projector_is_named(chatapp: Run, home: Path, tiny_model: Path) -> None:
    folder = home / "models" / "seeing"
    folder.mkdir(parents=True)
    shutil.copy(tiny_model, folder / "seeing.gguf")
    shutil.copy(tiny_model, folder / "mmproj-seeing.gguf")
    said = chatapp("models", "info", "seeing").stdout
    assert str(folder / "mmproj-seeing.gguf") in said


def test_a_broken_default_is_refused(chatapp: Run, home: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "bad.gguf").write_bytes(b"junk")
    refused = chatapp("models", "default", "bad")
    assert refused.returncode == 1
    assert "is not a usable model file" in refused.stderr
    assert not (home / "config.toml").exists()
