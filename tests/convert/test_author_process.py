"""The author's code in its own process: limits, endings, and what a person is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from convert.author import process as author_process
from convert.author.asked import Code, parse_code
from convert.author.command import call_author
from convert.comparison import main as diff
from convert.differences import compare
from convert.errors import CodeError, UsageError
from convert.options import Options
from convert.parity import limit_of
from convert.pipeline import convert, make_plan
from convert.plan import Plan
from convert.progress import silent
from convert.witness import CAVEAT
from tests.convert.authors import FOLDER, STYLES, make_state
from tests.convert.conftest import make_state as make_nanogpt
from tests.convert.test_command import run, start
from tests.convert.tiny import N_TOKENS, write_tokenizer

torch.set_num_threads(1)

MODEL = f"""
import os, socket, subprocess, time, torch
from pathlib import Path
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(64, bias=False), nn.LayerNorm(64, bias=False)
        self.attn = nn.ModuleDict(dict(c_attn=nn.Linear(64, 192, bias=False),
                                       c_proj=nn.Linear(64, 64, bias=False)))
        self.mlp = nn.ModuleDict(dict(c_fc=nn.Linear(64, 256, bias=False),
                                      c_proj=nn.Linear(256, 64, bias=False)))

    def forward(self, x):
        q, k, v = (y.view(1, -1, 4, 16).transpose(1, 2) for y in
                   self.attn.c_attn(self.ln_1(x)).chunk(3, dim=-1))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn.c_proj(y.transpose(1, 2).reshape(1, -1, 64))
        return x + self.mlp.c_proj(nn.functional.gelu(self.mlp.c_fc(self.ln_2(x))))

class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        print("a line of its own", flush=True)
        MADE
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding({N_TOKENS}, 64), wpe=nn.Embedding(64, 64),
            h=nn.ModuleList(Block() for _ in range(2)), ln_f=nn.LayerNorm(64, bias=False)))
        self.lm_head = nn.Linear(64, {N_TOKENS}, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, ids):
        CALLED
        x = self.transformer.wte(ids) + self.transformer.wpe.weight[: ids.shape[1]]
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))
"""


def write(folder: Path, made: str = "pass", called: str = "pass") -> Path:
    path = folder / "code" / "mine.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(MODEL.replace("MADE", made).replace("CALLED", called))
    return path


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A checkpoint in nanoGPT's names, of the very model that `MODEL` is."""
    folder = tmp_path_factory.mktemp("plan")
    args = {"n_layer": 2, "n_head": 4, "n_embd": 64, "block_size": 64, "bias": False}
    args["vocab_size"] = N_TOKENS
    write_tokenizer(folder)
    torch.save({"model": make_nanogpt(args), "model_args": args}, folder / "ckpt.pt")
    return make_plan(Options(folder, settings={"activation": "gelu"}, dry_run=True))


def ask(plan: Plan, path: Path, ids: list[int] | None = None, **limits: Any) -> Any:
    with call_author(Code(path, **limits), plan.checkpoint, plan.model) as author:
        assert author is not None
        return author.logits(ids or [1, 2, 3])


FORBIDDEN = """
        import shutil
        said = []
        for attempt in (
            lambda: socket.create_connection(("127.0.0.1", PORT)),
            lambda: subprocess.run(["true"]),
            lambda: torch.save({}, "ckpt.pt"),
            lambda: Path(__file__).unlink(),
            lambda: shutil.move(__file__, "moved"),
            lambda: os.kill(os.getppid(), 0),
            lambda: input("which? "),
        ):
            try:
                said.append(f"done {attempt()}")
            except Exception as error:
                said.append(str(error).partition(":")[0].removeprefix("model code may not "))
        raise ValueError(said)
"""
REFUSED = (
    r"\['use the network', 'start programs', 'write files', 'change files', 'write files', "
    "'end other programs', 'EOF when reading a line'"
)
FAILING = {
    "raises": ("raise KeyError('n_embd')", "pass", {}, r"`raise KeyError\('n_embd'\)`: KeyError"),
    "fails when called": ("pass", "ids = ids @ ids", {}, r"cannot be run: line \d+ of mine.py, in"),
    "hangs": ("time.sleep(99)", "pass", {"seconds": 0.5}, "ran for more than 0.5 s"),
    "kills itself": ("pass", "os.kill(os.getpid(), 9)", {}, r"to an end \(signal SIGKILL\)"),
    "does what is forbidden": (FORBIDDEN, "pass", {}, REFUSED),
    "eats memory": (
        *("self.x = [torch.ones(1 << 24) for _ in range(64)]", "pass"),
        *({"memory": 1 << 30}, "memory"),
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_code_that_fails_ends_in_a_sentence(case: str, plan: Plan, tmp_path: Path) -> None:
    made, called, limits, message = FAILING[case]
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = write(tmp_path, made.replace("PORT", str(server.getsockname()[1])), called)
        with pytest.raises(CodeError, match=message) as caught:
            ask(plan, path, **limits)
    assert caught.value.message.startswith("mine.py")
    assert path.exists()
    assert not list(path.parent.glob("ckpt*"))
    if case == "eats memory":
        assert "--code-memory" in caught.value.hint
    if case == "hangs":
        assert "--code-seconds" in caught.value.hint


HOSTILE = """
        import struct, sys
        def frame(words, data=b"", n_words=None, n_data=None):
            return struct.pack("<IQ", n_words or len(words), n_data or len(data)) + words + data
        if WHEN:
            for number in range(3, 40):
                try:
                    os.write(number, FRAME)
                except OSError:
                    continue
            time.sleep(99)
"""
BUILDING, ASKED = "True", "ids.shape[1] == 3"
LIES = {
    "endless words": (BUILDING, 'frame(b"{}", n_words=(1 << 32) - 1)', "more than an answer"),
    "endless data": (BUILDING, 'frame(b"{}", n_data=1 << 60)', "more than an answer"),
    "nested": (BUILDING, """frame(b'{"wanted": ' + b"[" * 60_000)""", "no JSON"),
    "no object": (BUILDING, 'frame(b"[]")', "no answer"),
    "no tensors": (BUILDING, """frame(b'{"wanted": 3}')""", "no list of tensors"),
    "others' tensors": (BUILDING, """frame(b'{"wanted": ["/etc"]}')""", "does not have"),
    "no name": (BUILDING, """frame(b'{"wanted": [], "name": [1]}')""", "no name"),
    "data of an answer": (ASKED, 'frame(b"{}", n_data=1 << 33)', "more than an answer"),
    "no shape": (ASKED, 'frame(b"{}")', "no shape"),
    "a shape of its own": (
        *(ASKED, """frame(b'{"shape": [1099511627776, -4]}')"""),
        r"logits of the shape \[1099511627776, -4\] for 3 tokens",
    ),
    "fewer bytes": (ASKED, """frame(b'{"shape": [3, 512]}', bytes(4))""", "4 bytes of logits"),
    "no numbers": (
        *(ASKED, """frame(b'{"shape": [3, 512]}', bytes([0, 0, 192, 127]) * 1536)"""),
        "no finite numbers",
    ),
    "an error in colours": (
        *(BUILDING, """frame(b'{"error": "mine.py \\\\u001b[31m' + b"x" * 50_000 + b'"}')"""),
        r"mine.py \ufffd\[31mx{100,2000}$",
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_what_it_writes_into_the_pipe_itself_is_not_believed(
    case: str, plan: Plan, tmp_path: Path
) -> None:
    when, frame, message = LIES[case]
    code = HOSTILE.replace("FRAME", frame).replace("WHEN", when)
    made, called = (code, "pass") if when == BUILDING else ("pass", code)
    path = write(tmp_path, made, called)
    tracemalloc.start()
    try:
        with pytest.raises(CodeError, match=message) as caught:
            ask(plan, path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.message.startswith("mine.py")


def test_an_answer_that_comes_byte_by_byte_is_late(plan: Plan, tmp_path: Path) -> None:
    drip = """
        for piece in (b"\\xff\\xf0\\0\\0" + bytes(8), *[b" "] * 60_000):
            time.sleep(0.01)
            for number in range(3, 40):
                try:
                    os.write(number, piece)
                except OSError:
                    continue
"""
    with pytest.raises(CodeError, match=r"ran for more than 0\.5 s"):
        ask(plan, write(tmp_path, drip), seconds=0.5)


def test_what_it_prints_is_not_ours_and_its_environment_is_clean(
    plan: Plan, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "of ours")
    made = (
        "assert 'A_SECRET' not in os.environ\n"
        "        print('x' * 1_000_000); os.write(1, b'y' * 1_000_000)\n"
        "        Path(os.environ['HOME'], 'mine').write_text('scratch'); self.made = os.getpid()"
    )
    called = "print('called'); os.write(2, b'z')"
    assert ask(plan, write(tmp_path, made, called)).shape == (3, N_TOKENS)
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_its_use(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C while it thinks, and everything else."""
    path = write(tmp_path, called="time.sleep(99) if ids.shape[1] == 5 else None")
    with (
        pytest.raises(KeyboardInterrupt),
        call_author(Code(path), plan.checkpoint, plan.model) as author,
    ):
        assert author is not None
        process = author._process
        assert process is not None
        scratch = Path(author._scratch)
        assert scratch.is_dir()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        author.logits([1, 2, 3, 4, 5])
    assert process.returncode is not None
    assert not scratch.exists()


def test_it_dies_with_us(make, tmp_path: Path) -> None:
    """After a kill nothing is left to clean it up but itself."""
    path = write(tmp_path, called="open(os.environ['HOME'] + '/busy', 'w'); time.sleep(99)")
    ours = start(make(), "--code", path)
    try:
        child = wait_for(lambda: find_author(ours.pid))
        home = Path(child.environ()["HOME"])
        wait_for(lambda: (home / "busy").exists())
        ours.kill()
        ours.wait()
        child.wait(30)
    finally:
        ours.kill()
    assert not child.is_running()


def find_author(pid: int) -> psutil.Process | None:
    """The process of the author's code below `pid`."""
    children = psutil.Process(pid).children(recursive=True)
    found = [child for child in children if "convert.author.serving" in child.cmdline()]
    return found[0] if found else None


def wait_for(found: Callable[[], Any]) -> Any:
    """What `found` gives when it gives something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if value := found():
                return value
        except psutil.Error:
            pass
        time.sleep(0.05)
    raise AssertionError("it never came")


@pytest.fixture
def lecture(make) -> tuple[Path, Code]:
    """The lecture's first version, untrained: attention scaled by the whole width."""
    _, build, config, _ = STYLES["globals"]
    _, state = make_state(build)
    folder = make(edit=lambda saved: saved.update(model=state, model_args=config, config={}))
    return folder, parse_code(str(FOLDER / "lecture.py"))


def test_the_code_settles_what_weights_do_not_tell(lecture: tuple[Path, Code]) -> None:
    folder, code = lecture
    exit_code, out, err = run(folder, "-q", "f16", "--code", code.path, "--json")
    assert exit_code == 0, err
    assert "M parameters" not in out + err
    events = [json.loads(line) for line in out.splitlines()]
    plan = next(event for event in events if event["event"] == "plan")
    assert plan["compared_with"] == "the model's own code (lecture.py)"
    scale = next(one for one in plan["assumptions"] if one["name"] == "scale")
    assert (scale["value"], scale["evidence"]) == ("width", "measured")
    assert "from lecture.py" in scale["detail"]
    parity = events[-2]["parity"]
    assert parity["against"] == "code"
    assert parity["reference"] == (
        f"the model's own code (lecture.py:GPTLanguageModel, sha256 {code.digest[:16]})"
    )
    assert parity["kl_mean"] < 1e-3
    assert parity["at_source"]["kl_mean"] < 1e-4
    shown = run("inspect", events[-1]["output"])[1]
    assert "against the model's own code (lecture.py:GPT" in shown
    assert CAVEAT not in shown


def test_what_the_user_says_otherwise_than_the_code_computes_is_refused(
    lecture: tuple[Path, Code], plan: Plan, tmp_path: Path
) -> None:
    folder, code = lecture
    with pytest.raises(CodeError, match=r"lecture.py computes what none of the forms") as caught:
        convert(folder, code=code, settings={"scale": "head"})
    assert "scale=head" in caught.value.hint
    assert not list(folder.glob("*.gguf*"))
    path = write(tmp_path)
    path.write_text(path.read_text().replace("nn.functional.gelu(", "torch.sin("))
    with pytest.raises(CodeError, match=r"mine.py computes what none of the forms does"):
        make_plan(Options(plan.checkpoint.path, code=Code(path), dry_run=True))


@pytest.mark.parametrize("ftype", ["F16", "BF16"])
def test_a_file_of_16_bits_is_near_its_code(ftype: str, plan: Plan, tmp_path: Path) -> None:
    result = convert(
        plan.checkpoint.path, tmp_path / "a.gguf", ftype=ftype, code=Code(write(tmp_path))
    )
    assert result.proof is not None
    parity = result.proof["parity"]
    print(f"{ftype} KL {parity['kl_mean']:.1e}")
    assert (parity["type"], parity["kl_mean"] < 0.001) == (ftype, True)
    assert limit_of(parity) == 0.005
    assert limit_of(parity | {"type": "Q8_0"}) == 0.1


def test_diff_proves_again(plan: Plan, tmp_path: Path, capsys: Any) -> None:
    source, path = plan.checkpoint.path, write(tmp_path)
    kept = convert(source, tmp_path / "kept.gguf", ftype="F16", code=Code(path)).output
    report = compare(kept, source, silent, code=Code(path))
    assert report["same"]
    assert (report["logits"]["status"], report["logits"]["against"]) == ("measured", "code")
    assert report["logits"]["kl_mean"] < 1e-3
    path.write_text(path.read_text().replace("is_causal=True", "is_causal=True, scale=0.125"))
    assert diff([str(source), str(kept), "--code", f"{path}:GPT"]) == 1
    out = capsys.readouterr().out
    assert "against the model's own code (mine.py:GPT" in out
    assert "The models differ." in out
    with pytest.raises(UsageError, match="a GGUF with those of a checkpoint"):
        compare(kept, kept, silent, code=Code(path))


def test_no_process_is_no_crash(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(author_process.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(CodeError, match="No process can be started"):
        ask(plan, write(tmp_path))
