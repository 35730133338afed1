"""Child processes run this very chatapp, and no module that lies beside it replaces Python's."""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from chatapp.launcher import launch_command, launch_with_us
from tests.architecture.sources import PACKAGES, ROOT

SHADOWS = ("queue", "random", "secrets", "tempfile", "typing", "dataclasses", "json", "zipfile")

PROBE = """
from chatapp.engine.probe import probe
print(*probe())
"""
CONVERT = """
import asyncio
from chatapp.converter import Converter
from chatapp.errors import ConversionError
async def events():
    try:
        return [event async for event in Converter().run(["--dry-run", "nowhere"])]
    except ConversionError as error:
        return error
print(asyncio.run(events()))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which chatapp was installed, beside old backports."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    for package in PACKAGES:
        (site / package).symlink_to(ROOT / package)
    for name in SHADOWS:
        (site / f"{name}.py").write_text("raise SystemExit('taken for the standard library')\n")
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n")
    return folder / "bin" / "python"


def _run(python: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "CHATAPP_BACKEND": "echo"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(python), "-P", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "chatapp", "ask", "well met"], "well met"),
        (["-m", "chatapp", "convert", "--help"], "usage: chatapp convert"),
        (["-c", PROBE], "devices"),
        (["-c", CONVERT], "nowhere does not exist"),
    ],
    ids=["engine", "converter", "probe", "converter of the screen"],
)
def test_the_standard_library_stands_before_what_is_installed(
    installed: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = _run(installed, tmp_path, *arguments)
    assert "taken for" not in done.stdout + done.stderr
    assert said in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("module", ["chatapp.engine.worker", "convert"])
def test_another_chatapp_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('another one')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    flag = "--help" if module == "convert" else "--describe"
    command = launch_command(module, flag)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the pipe of a process that is killed")
@pytest.mark.parametrize("ignores", [False, True])
def test_a_converter_ends_with_its_parent(
    ignores: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busy.py").write_text(
        "import signal, sys, time\n"
        "if sys.argv[1:]: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = launch_with_us("busy", *["deaf"] * ignores)
    text = Path(command[2]).read_text().replace("_TIDY_S = 10.0", "_TIDY_S = 0.1")
    launcher = tmp_path / "launcher.py"
    launcher.write_text(text.replace(".parents[1]", ".parents[0]"))
    command[2] = str(launcher)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        assert child.poll() is None
        child.stdin.close()  # as the kernel does when we are killed
        assert child.wait(60) == (1 if ignores else -signal.SIGTERM)


def test_arguments_exit_codes_and_unknown_modules(tmp_path: Path) -> None:
    wrong = subprocess.run(
        launch_command("convert", "--no-such", "two words"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2
    assert "--no-such" in wrong.stderr
    absent = subprocess.run(
        launch_command("convert.nothing"), capture_output=True, text=True, check=False
    )
    assert absent.returncode == 1
    assert "No module named convert.nothing" in absent.stderr
