"""The process between chatapp and a program that runs code out of an answer.

Run as `python keeper.py FOLDER COMMAND...`. It ends when the program ends, or when its own stdin
ends, which is when chatapp wants that or is gone; and then nothing is left of all that the program
started. `python keeper.py FOLDER` only ends what is left of a run in that folder. It imports
nothing of chatapp, so that it starts at once.

What a program sends into the background, in a session of its own too, is found by its parents: on
Linux a process can ask to be the parent of the orphans below it (`PR_SET_CHILD_SUBREAPER`).
Elsewhere psutil looks often who has which children. Both are races: a program that does nothing but
start itself again and leave is a step ahead of whoever lists processes. The surprising fact that
wins it: the kernel tells the id that it gave out last, and that is the one to end.

The program writes into a pipe of the keeper's, which hands on what comes. So nobody but the keeper
holds chatapp's, and chatapp never waits for somebody who got away.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PATIENCE_S = 5.0
"""How long it looks for what is left: a process that waits for a disk cannot be ended."""

MAX_FILE = 256 * 1024 * 1024
"""Bytes of one file that the program writes."""

MAX_MORE = 512
"""Processes and threads that the program may add to those that the user has. Nobody counts those
of root."""

_PR_SET_CHILD_SUBREAPER = 36
_LAST_OUTPUT_S = 1.0
"""How long what the program wrote is handed on when it has ended, where somebody got away with the
other end."""
_LOOK_S = 0.05
"""How often psutil looks for new children."""


def main(folder: str, command: list[str]) -> int:
    """Run `command` in `folder`; its exit status, negative for a signal."""
    family = Family(folder)
    if not command:
        family.end()
        return 0
    adopt_orphans()
    limit_resources()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        os.write(1, f"{command[0]}: {error.strerror}\n".encode())
        return 127
    family.begin(child.pid)
    threading.Thread(target=_end_with_stdin, args=(child, family), daemon=True).start()
    handing_on = threading.Thread(target=_hand_on, args=(child,), daemon=True)
    handing_on.start()
    code = child.wait()
    family.end()
    handing_on.join(_LAST_OUTPUT_S)
    return code


def adopt_orphans() -> None:
    """Be the parent of whatever loses its own below this process, on Linux."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def limit_resources() -> None:
    """No files without bounds, no core files, no processes without bounds, where that is known."""
    if sys.platform == "win32":
        return
    import resource

    wanted = {resource.RLIMIT_FSIZE: MAX_FILE, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":
        wanted[resource.RLIMIT_NPROC] = _count_threads() + MAX_MORE
    for limit, most in wanted.items():
        _, hard = resource.getrlimit(limit)
        if hard == resource.RLIM_INFINITY or hard > most:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(limit, (most, most))


def _count_threads() -> int:
    """Those that the user has: they count for the limit."""
    count, user = 0, os.getuid()
    for pid in _list_processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if Path(f"/proc/{pid}").stat().st_uid == user:
                count += int(_read_stat(pid)[17])
    return count


def _end_with_stdin(child: "subprocess.Popen[bytes]", family: "Family") -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    child.kill()
    family.end()


def _hand_on(child: "subprocess.Popen[bytes]") -> None:
    assert child.stdout is not None
    with contextlib.suppress(OSError):  # chatapp is gone, or reads no more
        while data := os.read(child.stdout.fileno(), 65_536):
            while data:
                data = data[os.write(1, data) :]


class Family:
    """What a program has started, however far away it went."""

    def __init__(self, folder: str) -> None:
        """`folder` is its home, by which a process is known whose parents are gone."""
        self._mark = f"HOME={folder}".encode()
        self._me = os.getpid()
        self._ending, self._over = threading.Lock(), threading.Event()
        self._group = 0
        self._seen: set[object] = set()
        """psutil's processes, where there is no /proc."""

    def begin(self, pid: int) -> None:
        """The program has this id."""
        self._group = pid
        if sys.platform != "linux":
            threading.Thread(target=self._watch, args=(pid,), daemon=True).start()

    def end(self) -> None:
        """End all of it, again and again until nothing is left: what is ended may have started
        something a moment before."""
        self._over.set()
        with self._ending:
            if self._group and sys.platform != "win32":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._group, signal.SIGKILL)
            until = time.monotonic() + PATIENCE_S
            if sys.platform == "linux":
                self._end_below(until)
            else:
                self._end_seen(until)

    # With /proc

    def _end_below(self, until: float) -> None:
        """Twice nothing is nothing: a list that is read while one process follows another may have
        neither."""
        quiet = 0
        while quiet < 2 and time.monotonic() < until:
            left = self._find()
            quiet = 0 if left else quiet + 1
            for pid in left:
                _signal(pid, signal.SIGSTOP)  # none that was found goes on while the others end
            for pid in left:
                _signal(pid, signal.SIGKILL)
            if self._chase() and quiet:
                quiet = 0

    def _find(self) -> list[int]:
        """Those below this process, and those at home in the folder, that have not ended."""
        children: dict[int, list[int]] = {}
        ended, at_home = set(), []
        for pid in _list_processes():
            try:
                state, parent = _read_stat(pid)[:2]
            except (OSError, ValueError):  # it ended meanwhile
                continue
            children.setdefault(int(parent), []).append(pid)
            if state in b"ZX":
                ended.add(pid)
            elif self._is_at_home(pid):
                at_home.append(pid)
        found, rest = set(at_home), [self._me, *at_home]
        while rest:
            below = [one for one in children.get(rest.pop(), []) if one not in found]
            found.update(below)
            rest += below
        return [pid for pid in found - ended if pid != self._me]

    def _is_at_home(self, pid: int) -> bool:
        try:
            return pid != self._me and self._mark in _read(f"/proc/{pid}/environ").split(b"\0")
        except OSError:
            return False

    def _chase(self) -> bool:
        """End whoever was started last, as long as it is one of them; whether any was."""
        found, last = False, 0
        for _ in range(400):
            try:
                newest = int(_read("/proc/loadavg").split()[-1])
                if newest == last:
                    continue
                last = newest
                ours = int(_read_stat(newest)[1]) == self._me or self._is_at_home(newest)
            except (OSError, ValueError, IndexError):
                continue
            if ours and newest != self._me:
                _signal(newest, signal.SIGKILL)
                found = True
        return found

    # Without /proc

    def _watch(self, pid: int) -> None:
        import psutil

        with contextlib.suppress(psutil.Error):
            self._seen.add(psutil.Process(pid))
        self._look()
        while not self._over.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        import psutil

        for one in list(self._seen):
            with contextlib.suppress(psutil.Error):
                self._seen.update(one.children(recursive=True))  # type: ignore[attr-defined]

    def _end_seen(self, until: float) -> None:
        import psutil

        while time.monotonic() < until:
            self._look()
            left = [one for one in list(self._seen) if one.is_running()]  # type: ignore[attr-defined]
            for one in left:
                with contextlib.suppress(psutil.Error):
                    one.kill()  # type: ignore[attr-defined]
            if not left:
                break
            time.sleep(0.01)


def _list_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 -- quick


def _read_stat(pid: int) -> list[bytes]:
    """State, parent and the numbers behind them."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    """The quickest way: who is chased does not wait."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2:])
    os._exit(status if status >= 0 else 128 - status)
