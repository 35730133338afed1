"""`python -m convert` as a real child process: exit codes, output, interruption, a full disk."""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convert.pipeline import convert
from tests.convert.tiny import N_TOKENS, write_hf

ROOT = Path(__file__).resolve().parents[2]


def start(*args: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "convert", *map(str, args)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def run(*args: object, **options: Any) -> tuple[int, str, str]:
    process = start(*args, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_json_lines_tell_the_whole_conversion(make) -> None:
    folder = make()
    code, out, err = run(folder, "-q", "q8_0", "--json")
    assert code == 0
    assert err == ""
    events = [json.loads(line) for line in out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:2] == ["note", "plan"]  # what measuring the model costs is said before it is done
    assert kinds[-2:] == ["proof", "done"]
    assert [e["name"] for e in events if e["event"] == "step"] == ["read", "write", "prove"]
    written = [e for e in events if e["event"] == "progress" and e["step"] == "write"]
    assert written[-1]["done"] == written[-1]["total"] == events[1]["sizes"]["Q8_0"]
    assert Path(events[-1]["output"]).read_bytes()[:4] == b"GGUF"


def test_a_person_reads_the_plan_on_stderr(make) -> None:
    code, out, err = run(make(), "--dry-run")
    assert code == 0
    assert out == ""
    assert re.search(r"F32 +\d+ kB +BF16 +\d+ kB +F16 +\d+ kB\n +Q8_0 +\d+ kB", err)


def test_errors_end_with_their_exit_code(make, tmp_path: Path) -> None:
    folder = make()
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"PK\x03\x04")
    code, out, err = run(damaged, "--json")
    assert code == 1
    assert json.loads(out)["event"] == "error"
    assert "Traceback" not in err
    assert run(tmp_path / "nothing.pt")[0] == 2
    assert run(folder, "-q", "Q9_9")[0] == 2
    assert run("--nonsense")[0] == 2


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_name_that_no_system_takes_is_told(as_json: tuple[str, ...]) -> None:
    code, out, err = run("a" * 300, *as_json)
    assert code == 1
    assert "name too long" in err.lower()
    assert "Traceback" not in err
    assert bool(out) == bool(as_json)


def test_terminal_escapes_in_a_checkpoint_are_not_printed(make) -> None:
    folder = make(
        edit=lambda saved: saved["model"].update({"\x1b]0;hi\x07": saved["best_val_loss"]})
    )
    code, _, err = run(folder)
    assert code == 1
    assert "\x1b" not in err


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder whose conversion is still at work when a signal comes, and that says how it was
    built: nothing is measured."""
    import transformers

    config = transformers.GPT2Config(
        vocab_size=N_TOKENS, n_embd=256, n_layer=4, n_head=4, n_positions=64
    )
    return write_hf(tmp_path / "large", transformers.GPT2LMHeadModel(config))


def start_until(folder: Path, wanted: str, **options: Any) -> subprocess.Popen[str]:
    """A conversion that has just said it begins the step `wanted`."""
    process = start(folder, "--json", **options)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("name") == wanted:
            return process
    raise AssertionError(f"no step {wanted}: {process.communicate()}")


def models_beside(folder: Path) -> list[str]:
    """The model files, whole or not, where they are written when no other place is said."""
    return [path.name for path in folder.parent.rglob("*gguf*")]


@pytest.mark.parametrize("step", ["write", "prove"])
def test_kill_leaves_nothing_under_the_final_name(large: Path, step: str) -> None:
    process = start_until(large, step)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert models_beside(large) in ([], ["large-F32.gguf.part"])
    code, _, _ = run(large, "--parity", "off")  # what was left is no hindrance
    assert code == 0
    assert models_beside(large) == ["large-F32.gguf"]


def test_signals_in_a_burst_leave_nothing_either(large: Path) -> None:
    for wait in range(6):
        process = start(large, "-q", "q8_0", "--json", start_new_session=True)
        assert process.stdout is not None
        for _ in range(3 + 2 * wait):
            process.stdout.readline()
        for _ in range(20):
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
        assert process.returncode == 130
        assert models_beside(large) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing(large: Path, number: signal.Signals) -> None:
    process = start_until(large, "write")
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Interrupted" in err
    assert models_beside(large) == []


def test_a_reader_that_goes_away_cancels(large: Path) -> None:
    process = start_until(large, "write")
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=300)
    assert process.returncode == 130
    assert models_beside(large) == []


def test_a_full_disk_leaves_nothing(make) -> None:
    folder = make()
    whole = convert(folder, parity="off").output
    size = whole.stat().st_size - 5000
    whole.unlink()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    code, _, err = run(folder, preexec_fn=limit)
    assert code == 1
    assert "cannot be written" in err
    assert not list(folder.glob("*.gguf*"))


def test_without_pytorch_it_converts_and_says_so(make) -> None:
    folder = make()
    program = (
        "import sys; sys.modules['torch'] = None; from convert.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "not run: PyTorch is not installed" in done.stderr
    assert (folder / "ckpt-F32.gguf").exists()


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom convert.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', sorted(sys.modules))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    ).stdout
    help_text, _, loaded = out.partition("LOADED")
    assert "usage: chatapp convert" in help_text
    for name in ("numpy", "gguf", "llama_cpp", "torch", "tokenizers", "msgspec", "jinja2"):
        assert f"'{name}'" not in loaded


def test_converting_imports_torch_in_parity_only_and_of_chatapp_the_lowest_layer(
    tmp_path: Path,
) -> None:
    import transformers

    # what has a config needs no measuring of its form, which is done in PyTorch whatever is proved
    config = transformers.GPT2Config(
        vocab_size=N_TOKENS, n_embd=32, n_layer=1, n_head=2, n_positions=32
    )
    folder = write_hf(tmp_path / "tiny", transformers.GPT2LMHeadModel(config))
    program = (
        "import sys; from pathlib import Path; from convert.pipeline import convert\n"
        "convert(Path(sys.argv[1]), parity='off')\nprint(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert "'convert.pipeline'" in done.stdout
    assert "'torch'" not in done.stdout
    assert "'chatapp.gguf.header'" in done.stdout
    assert not re.search(r"'chatapp\.(?!gguf['.])", done.stdout)
