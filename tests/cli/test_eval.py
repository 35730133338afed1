"""`chatapp eval` as its users run it, on the scripted engine, to which every byte is as likely."""

import json
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import COMMAND, Run


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text("the ship came in\n" * 100)
    return file


def test_a_perplexity_is_printed_kept_listed_and_removed(chatapp: Run, text: Path) -> None:
    done = chatapp("eval", "perplexity", "echo", text.name, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["perplexity"] == pytest.approx(256)
    assert (found["stderr"], found["tokens"], found["n_ctx"], found["stride"]) == (0, 765, 512, 0)
    assert (found["bits_per_byte"], found["trained_on"]) == (pytest.approx(8), None)
    assert found["unknown_share"] == 0
    strided = chatapp("eval", "perplexity", "echo", "-", "--stride", "100", stdin=text.read_text())
    assert "perplexity  256.0000 ± 0.0000" in strided.stdout
    assert "1,699 scored of 1,700" in strided.stdout
    chatapp("eval", "perplexity", "echo", text.name, "--no-save")
    rows = json.loads(chatapp("eval", "list", "--json").stdout)
    assert [row["id"] for row in rows] == [2, 1]
    assert rows[0]["subject_sha256"] == rows[1]["subject_sha256"] == found["text_sha256"]
    assert rows[0]["settings"]["stride"] == 100
    table = chatapp("eval", "list").stdout
    assert "perplexity 256" in table
    shown = chatapp("eval", "show", "1").stdout
    assert found["text_sha256"] in shown
    assert json.loads(chatapp("eval", "show", "1", "--json").stdout)["results"]["tokens"] == 765
    assert chatapp("eval", "delete", "1").returncode == 0
    gone = chatapp("eval", "show", "1")
    assert (gone.returncode, "There is no evaluation 1" in gone.stderr) == (1, True)


def test_a_model_that_is_left_out_is_that_of_the_settings(chatapp: Run, text: Path) -> None:
    done = chatapp("eval", "perplexity", text.name, "--windows", "1", "--json")
    assert (done.returncode, Path(json.loads(done.stdout)["model"]).name) == (0, "model.gguf")
    listed = chatapp("eval", "list").stdout
    assert "built-in" in listed
    assert "text.txt, first window" in listed
    for name in ("perplexity", "tasks"):
        alone = chatapp("eval", name, "built-in")
        assert (alone.returncode, "built-in is a model: a " in alone.stderr) == (2, True)
    gone = chatapp("eval", "perplexity", "gone.txt")
    assert (gone.returncode, "gone.txt cannot be read: No such file" in gone.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--n-ctx", "64", "--stride", "65"), "--stride is 65, and a window is 64"),
        (("--n-ctx", "40000"), "too short"),
        (("--stride", "600"), "The stride is 600"),
    ],
)
def test_what_cannot_be_measured_is_said_and_nothing_kept(
    chatapp: Run, text: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = chatapp("eval", "perplexity", "echo", text.name, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Nothing was measured yet" in chatapp("eval", "list").stderr


def test_speeds_are_printed_and_kept(chatapp: Run, tiny_model: Path) -> None:
    flags = ("--depth", "0", "--batch", "1", "--repeat", "1", "--gpu-layers", "0")
    done = chatapp("bench", str(tiny_model), *flags, "--json", CHATAPP_BACKEND="llama")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert [speed["what"] for speed in value["speeds"]] == ["prefill", "decode"]
    assert value["decode_tokens_per_second"] > 0
    assert value["memory_bandwidth"] > 1e9
    assert value["speeds"][1]["bound"] > 0
    (row,) = json.loads(chatapp("eval", "list", "--kind", "bench", "--json").stdout)
    assert row["model_hash"] == value["model_hash"] != ""
    assert "prefill_tokens_per_second" in chatapp("eval", "list").stdout


def test_a_command_that_is_not_there_is_said_with_those_that_are(chatapp: Run) -> None:
    assert "Did you mean `chatapp eval perplexity`?" in chatapp("eval", "perplexty").stderr
    assert "There are perplexity, " in chatapp("eval", "why is the sky blue").stderr


def test_servers_are_refused_before_anything_is_read(chatapp: Run) -> None:
    assert chatapp("models", "add-remote", "far", "http://127.0.0.1:9/v1").returncode == 0
    for words in (("eval", "perplexity", "remote:far", "none.txt"), ("bench", "remote:far")):
        done = chatapp(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "remote:far is a server" in done.stderr


def test_ctrl_c_ends_it_and_the_engine_and_keeps_nothing(
    chatapp: Run, environment: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("the ship came in\n" * 400_000)
    with subprocess.Popen(
        [*COMMAND, "eval", "perplexity", str(tiny_model), "long.txt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment
        | {"CHATAPP_BACKEND": "llama", "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    ) as running:
        while not (engines := psutil.Process(running.pid).children()):
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (130, ""), stderr
    assert "Traceback" not in stderr
    psutil.wait_procs(engines, timeout=30)
    assert not any(engine.is_running() for engine in engines)
    assert "Nothing was measured yet" in chatapp("eval", "list").stderr
