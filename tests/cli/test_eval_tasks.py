"""`chatapp eval tasks` and `score` as their users run them: on the scripted engine, which says each
prompt again, and on a server on loopback."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chatapp.cli import Session, root
from chatapp.errors import ChatAppError
from chatapp.gguf.seen import FILE, Seen
from tests.cli.conftest import COMMAND, Run


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rows = [
        {"id": "same", "input": "a green door", "references": ["A green door."]},
        {"id": "half", "input": "red bus", "references": ["blue bus"]},
        {"id": "none", "input": "one", "references": ["two", "three"]},
    ]
    file = tmp_path / "x.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_answers_are_measured_written_kept_and_shown(chatapp: Run, examples: Path) -> None:
    flags = ["--metric", "exact,f1", "--metric", "chrf", "--out", "out.jsonl"]
    done = chatapp("eval", "tasks", "echo", "x.jsonl", *flags, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert value["metrics"]["exact"]["score"] == pytest.approx(100 / 3)
    assert value["metrics"]["f1"]["score"] == pytest.approx(50)
    assert value["metrics"]["f1"]["low"] <= 50 <= value["metrics"]["f1"]["high"]
    assert (value["answers"], value["examples"], value["cut_off"]) == (3, 3, 0)
    written = [
        json.loads(line) for line in examples.with_name("out.jsonl").read_text().split("\n")[:-1]
    ]
    assert [(row["id"], row["answer"]) for row in written] == [
        ("same", "a green door"), ("half", "red bus"), ("none", "one"),
    ]  # fmt: skip
    scored = chatapp("eval", "score", "out.jsonl", "--metric", "f1", "--json")
    assert json.loads(scored.stdout)["metrics"]["f1"]["each"] == [100, 50, 0]
    table = chatapp(
        "eval", "tasks", "echo", "x.jsonl", "--metric", "f1", "--limit", "2", "--template",
        "{input} {what}", "-p", "what=bus", "--max-tokens", "7", "--no-save",
    ).stdout  # fmt: skip
    assert "f1      58.33" in table  # 2/3 for "a green", 1/2 for "red bus"
    assert "2 of 2, 2 cut off" in table
    (row,) = json.loads(chatapp("eval", "list", "--kind", "tasks", "--json").stdout)
    assert (row["subject"], row["results"]["exact"]) == ("x.jsonl", pytest.approx(100 / 3))
    assert row["subject_sha256"] == value["examples_sha256"]
    assert "each" not in row["results"]
    chatapp("eval", "tasks", "x.jsonl", "--metric", "f1", "--limit", "2")  # of the settings' model
    listed = chatapp("eval", "list").stdout
    assert "x.jsonl, first 2 examples" in listed
    assert "built-in" in listed
    shown = chatapp("eval", "show", "1")
    assert "same" not in shown.stdout
    assert json.loads(chatapp("eval", "show", "1", "--json").stdout)["results"]["each"]["ids"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.jsonl",), "What is to be measured is not said"),
        (("x.jsonl", "--metric", "wer"), "There is no metric 'wer'"),
        (("gone.jsonl", "--metric", "f1"), "gone.jsonl cannot be read: No such file"),
        (("x.jsonl", "--metric", "f1", "--template", "none"), "There is no template none"),
        (("x.jsonl", "--metric", "f1", "--references", "x.jsonl", "--raw", "-s", "x"), "--raw"),
        (("x.jsonl", "--metric", "bleu", "--tokenize", "flores"), "There is no tokenizer flores"),
        (("x.jsonl", "--metric", "f1", "--references", "one.txt"), "one.txt has 1 lines, and"),
        (("x.jsonl", "--metric", "f1", "--out", "no/such.jsonl"), "cannot be written"),
        (("x.jsonl", "--metric", "f1", "-p", "to"), "-p to gives no value"),
        (("x.jsonl", "--metric", "f1", "--out", "./x.jsonl"), "which is read"),
    ],
)
def test_what_cannot_be_measured_is_said_before_a_model_is_loaded(
    examples: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(examples.parent)
    monkeypatch.setenv("CHATAPP_BACKEND", "echo")
    examples.with_name("one.txt").write_text("one\n")
    with pytest.raises(ChatAppError) as caught:
        root.main(
            ["eval", "tasks", "echo", *arguments, "--no-save"],
            standalone_mode=False,
            obj=Session(debug=True),
        )
    assert said in str(caught.value)
    assert caught.value.exit_code == (1 if said == "cannot be written" else 2)


def test_without_the_packages_the_command_says_how_to_get_them(
    chatapp: Run, examples: Path
) -> None:
    folder = examples.with_name("broken")
    for name in ("sacrebleu", "rouge_score"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join((str(folder), str(Path(__file__).parents[2])))
    for metric, package in (("chrf", "sacrebleu"), ("rouge", "rouge-score")):
        done = chatapp("eval", "tasks", "echo", "x.jsonl", "--metric", metric, PYTHONPATH=path)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"the package {package}, which is not installed" in done.stderr
        assert "pip install '.[eval]'" in done.stderr
    done = chatapp("eval", "tasks", "echo", "x.jsonl", "--metric", "f1", PYTHONPATH=path)
    assert done.returncode == 0


def test_ctrl_c_measures_what_was_answered(
    environment: dict[str, str], examples: Path, tmp_path: Path
) -> None:
    with examples.open("a") as file:
        file.write('{"input": "/delay 600000\\n/words 9", "references": ["x"]}\n')
    flags = ["--metric", "f1", "--out", "out.jsonl", "--json"]
    process = subprocess.Popen(
        [*COMMAND, "eval", "tasks", "echo", "x.jsonl", *flags],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    out = tmp_path / "out.jsonl"
    while process.poll() is None and not (out.exists() and out.read_text().count("\n") == 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    value = json.loads(said)
    assert process.returncode == 130
    assert (value["answers"], value["examples"], value["id"]) == (3, 4, 1)
    assert value["metrics"]["f1"]["score"] == pytest.approx(50)


def test_examples_that_were_trained_on_are_said(chatapp: Run, tmp_path: Path) -> None:
    lines = [f"the ship number {n} came in and the king went out" for n in range(4)]
    seen = Seen()
    seen.add("\n".join(lines[:2]))
    (tmp_path / FILE).write_text(seen.dump())  # beside the checkpoint
    rows = [{"input": "what?", "references": [line]} for line in lines]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = chatapp("eval", "tasks", "./ckpt.pt", "x.jsonl", "--metric", "f1", "--no-save")
    assert done.returncode == 0, done.stderr
    assert "trained on about 50% of this text" in done.stderr


@pytest.fixture
def server() -> Iterator[str]:
    """Says the last word of what it is asked, to three at a time: each waits for two others."""
    together = threading.Barrier(3, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            self._say(b'{"data": [{"id": "m"}]}')

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            together.wait()
            word = asked["messages"][-1]["content"].split()[-1]
            delta = {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": "stop"}]}
            self._say(f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n".encode())

        def _say(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}/v1"
    made.shutdown()
    made.server_close()


def test_a_server_is_asked_several_at_once(chatapp: Run, server: str, tmp_path: Path) -> None:
    assert chatapp("models", "add-remote", "lab", server).returncode == 0
    rows = [{"input": f"say w{n}", "references": [f"w{n}"]} for n in range(6)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ["--metric", "exact", "--at-once", "3", "--json"]
    done = chatapp("eval", "tasks", "remote:lab", "x.jsonl", *flags, CHATAPP_BACKEND="llama")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert (value["metrics"]["exact"]["score"], value["at_once"]) == (100, 3)
    assert value["host"].startswith("127.0.0.1")


def test_heavy_packages_are_loaded_only_to_measure(tmp_path: Path) -> None:
    code = (
        "import sys, chatapp.cli.tasks, chatapp.cli.score, chatapp.evaluate.metrics, "
        "chatapp.evaluate.bootstrap, chatapp.evaluate.translation, chatapp.evaluate.rouge; "
        "print({'numpy', 'sacrebleu', 'rouge_score', 'nltk'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
