"""Code that is run: its limits, its surroundings, and that nothing of it is left."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from chatapp.errors import ChatAppError
from chatapp.running.keeper import Family
from chatapp.running.programs import Program, find_program
from chatapp.running.run import MAX_OUTPUT, CodeRun, End

PYTHON = Program("Python", (sys.executable, "main.py"), "main.py")

ESCAPES = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[0] + ".pid", "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists(sys.argv[0] + ".pid") or not open(sys.argv[0] + ".pid").read():
    time.sleep(0.01)
print(open(sys.argv[0] + ".pid").read(), flush=True)
"""
"""Leaves a process behind, twice forked and in a session of its own."""


async def run(code: str, *, program: Program = PYTHON, limit_s: float = 60.0):
    one = CodeRun(program, code, limit_s=limit_s)
    try:
        return one, await one.run()
    finally:
        one.close()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


async def test_output_and_status_come_back():
    one, outcome = await run("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)")
    assert sorted(one.output.split()) == ["err", "out"]
    assert (outcome.end, outcome.status) == (End.ITSELF, 3)
    assert not one.folder.exists()


async def test_a_signal_is_a_status_above_128():
    _, outcome = await run("import os\nos.kill(os.getpid(), 11)")
    assert outcome.status == 128 + signal.SIGSEGV


async def test_nothing_can_be_typed_and_the_environment_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    code = "import os, sys\nprint([sys.stdin.read(), *sorted(os.environ)], os.environ['HOME'])"
    one, _ = await run(code)
    assert "SECRET_TOKEN" not in one.output
    assert "['', 'HOME'" in one.output
    assert str(one.folder) in one.output


async def test_control_characters_are_taken_out_of_the_output():
    one, _ = await run(r"print('a\x1b[2Jb\x1b]52;c;aGk=\x07c')")
    assert one.output == "abc\n"


async def test_a_character_in_two_pieces_is_one():
    one, _ = await run(
        "import os, time\nos.write(1, b'\\xe4\\xbd')\ntime.sleep(0.05)\nos.write(1, b'\\xa0')"
    )
    assert one.output == "\u4f60"


async def test_too_much_time_ends_it():
    _, outcome = await run("import time\ntime.sleep(600)", limit_s=0.3)
    assert outcome.end is End.TIME


async def test_too_much_output_ends_it():
    one, outcome = await run("while True: print('x' * 999)")
    assert outcome.end is End.OUTPUT
    assert len(one.output) == MAX_OUTPUT


async def test_it_can_be_stopped():
    one = CodeRun(PYTHON, "print('begun', flush=True)\nimport time\ntime.sleep(600)", limit_s=60)
    begun = asyncio.Event()
    work = asyncio.create_task(one.run(begun.set))
    await begun.wait()
    one.stop()
    assert (await work).end is End.STOPPED
    assert one.output.strip() == "begun"
    one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
async def test_what_a_program_leaves_in_the_background_is_ended():
    one, outcome = await run(ESCAPES)
    assert outcome.end is End.ITSELF
    assert is_gone(int(one.output))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
async def test_what_it_started_ends_when_it_is_stopped():
    one = CodeRun(PYTHON, ESCAPES + "\ntime.sleep(600)", limit_s=60)
    begun = asyncio.Event()
    work = asyncio.create_task(one.run(begun.set))
    await begun.wait()
    one.stop()
    await work
    assert is_gone(int(one.output))
    one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
def test_nothing_is_left_when_chatapp_is_killed(tmp_path: Path):
    note = tmp_path / "pid"
    code = f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    chat = (
        "import asyncio, sys\n"
        "from chatapp.running.programs import Program\n"
        "from chatapp.running.run import CodeRun\n"
        "program = Program('Python', (sys.executable, 'main.py'), 'main.py')\n"
        f"asyncio.run(CodeRun(program, {code!r}).run())\n"
    )
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", chat], env=os.environ | {"PYTHONPATH": str(root)}
    )
    end = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    child.kill()
    child.wait()
    pid = int(note.read_text())
    while not is_gone(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert is_gone(pid)


async def test_files_that_it_wrote_are_named_until_it_is_closed():
    one = CodeRun(PYTHON, "open('plot.svg', 'w').write('x')")
    await one.run()
    assert one.left == ["plot.svg"]
    one.close()
    assert one.left == []


@pytest.mark.parametrize(
    ("language", "code"),
    [("bash", "echo $((6 * 7))"), ("sh", "echo 42"), ("js", "console.log(42)")],
)
async def test_other_languages_run_where_they_are_installed(language: str, code: str):
    if shutil.which({"js": "node"}.get(language, language)) is None:
        pytest.skip("not installed")
    one, _ = await run(code, program=find_program(language, code))
    assert one.output == "42\n"


async def test_a_program_that_is_not_there_says_so():
    one, outcome = await run("x", program=Program("X", ("/nowhere/x", "main.x"), "main.x"))
    assert outcome.status == 127
    assert one.output.startswith("/nowhere/x: ")


# Programs that want to get away

FOLLOWS = """
import os, time
end = time.time() + 60
print("begun", flush=True)
if os.fork():
    while not os.path.exists({note!r}):
        time.sleep(0.01)
    os._exit(0)
number = 0
while time.time() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    number += 1
    with open({note!r}, "w") as file:
        file.write(str(number))
    time.sleep({pause})
"""
"""Starts itself again and leaves, so that whoever lists processes is a step behind."""

FREE = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    pid = os.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"], {{}})
    with open({note!r}, "w") as file:
        file.write(str(pid))
    os._exit(0)
while not os.path.exists({note!r}) or not open({note!r}).read():
    time.sleep(0.01)
os.kill(os.getppid(), 9)
time.sleep(60)
"""
"""Ends the keeper, and leaves a process behind that nothing tells from others."""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
@pytest.mark.parametrize("pause", [0, 0.001, 0.01])
async def test_who_is_always_a_step_ahead_is_ended(tmp_path: Path, pause: float):
    note = tmp_path / "note"
    _, outcome = await run(FOLLOWS.format(note=str(note), pause=pause))
    assert outcome.end is End.ITSELF
    number = note.read_text()
    await asyncio.sleep(0.1)
    assert note.read_text() == number, "it still runs"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
async def test_who_ends_the_keeper_is_ended(tmp_path: Path):
    note = tmp_path / "note"
    code = f"""
import os, time
open({str(note)!r}, "w").write(str(os.getpid()))
os.kill(os.getppid(), 9)
time.sleep(60)
"""
    _, outcome = await run(code)
    assert outcome.status == 128 + signal.SIGKILL
    assert is_gone(int(note.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux only")
async def test_who_halts_the_keeper_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chatapp.running.run._GRACE_S", 0.1)
    note = tmp_path / "note"
    code = f"""
import os, time
open({str(note)!r}, "w").write(str(os.getpid()))
print("halted", flush=True)
os.kill(os.getppid(), 19)
time.sleep(60)
"""
    _, outcome = await run(code, limit_s=2)
    assert outcome.end is End.TIME
    assert is_gone(int(note.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who is there")
async def test_nobody_waits_for_who_got_away(tmp_path: Path):
    note = tmp_path / "note"
    try:
        _, outcome = await run(FREE.format(note=str(note)))
        assert outcome.status == 128 + signal.SIGKILL
        assert not is_gone(int(note.read_text())), "this is about what is not ended"
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


async def test_what_ignores_signals_and_closes_its_pipes_is_ended():
    code = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
os.close(1)
os.close(2)
time.sleep(600)
"""
    one, outcome = await run(code, limit_s=0.3)
    assert (outcome.end, one.output) == (End.TIME, "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
async def test_a_file_has_a_bound():
    one, outcome = await run(
        "import os\nfile = open('big', 'wb')\nos.truncate(file.fileno(), 1 << 32)"
    )
    assert outcome.status == 1
    assert "OSError" in one.output


@pytest.mark.skipif(sys.platform == "win32", reason="there are sessions")
async def test_where_there_is_no_list_psutil_finds_them(monkeypatch: pytest.MonkeyPatch):
    """As on macOS: what was seen below the program while its parents lived."""
    monkeypatch.setattr("chatapp.running.keeper.sys.platform", "darwin")
    code = (
        "import subprocess, sys, time\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    left = int(child.stdout.readline())
    family = Family("/nowhere")
    family.begin(child.pid)
    while left not in {one.pid for one in list(family._seen)}:
        await asyncio.sleep(0.01)
    child.stdin.close()
    assert child.wait() == 0
    family.end()
    child.stdout.close()
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def test_without_a_place_for_its_folder_nothing_runs(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(ChatAppError, match="no folder to run the code in"):
        CodeRun(PYTHON, "print(1)")
