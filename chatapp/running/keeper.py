"""The process between chatapp and a program that runs code out of an answer.

Run as `python keeper.py COMMAND...`. It ends when the program ends, or when its own stdin ends,
which is when chatapp wants that or is gone; and then nothing is left of all that the program
started. It imports nothing of chatapp, so that it starts at once. The surprising fact: on Linux a
process can ask to be the parent of the orphans below it (`PR_SET_CHILD_SUBREAPER`), so that what a
program sent into the background, in a session of its own too, is still found. Elsewhere the
program's process group is ended.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36

_PATIENCE_S = 3.0
"""How long it looks for what is left: a process that waits for a disk cannot be ended."""


def main(command: list[str]) -> int:
    """Run `command`; its exit status, negative for a signal."""
    _adopt_orphans()
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        os.write(1, f"{command[0]}: {error.strerror}\n".encode())
        return 127
    threading.Thread(target=_end_with_stdin, args=(child,), daemon=True).start()
    code = child.wait()
    _end_all(child.pid)
    return code


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_with_stdin(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _end_all(child.pid)
    child.kill()


def _end_all(group: int) -> None:
    """End all that the program started, again and again until nothing is left: what is ended may
    have started something a moment before."""
    if sys.platform == "win32":
        return
    until = time.monotonic() + _PATIENCE_S
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while sys.platform == "linux" and time.monotonic() < until:
        left = _find_below(os.getpid())
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _find_below(root: int) -> list[int]:
    """Processes below `root` that have not ended."""
    children: dict[int, list[int]] = {}
    ended = set()
    for path in Path("/proc").iterdir():
        name = path.name
        if not name.isdigit():
            continue
        try:
            state, parent = (path / "stat").read_bytes().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):  # it ended meanwhile
            continue
        children.setdefault(int(parent), []).append(int(name))
        if state in b"ZX":
            ended.add(int(name))
    found, rest = [], [root]
    while rest:
        below = children.get(rest.pop(), [])
        found += below
        rest += below
    return [pid for pid in found if pid not in ended]


if __name__ == "__main__":
    status = main(sys.argv[1:])
    os._exit(status if status >= 0 else 128 - status)
