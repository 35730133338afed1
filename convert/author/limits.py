"""What the author's code may not do, set in its own process before it is read.

No network, no files written outside of a folder that is thrown away, no other programs, no more
memory and time than it was given. This is a fence against accidents, such as a script that trains,
saves over its checkpoint or fetches a data set: code that was named by the user runs, and native
code could climb over parts of it. On Linux the kernel helps: it takes the network away from the
whole process, and all files but for reading.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any

_NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname")
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork")
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # of every architecture
_LANDLOCK_ALL = 0b1_1111_1111_0011  # all of its first version but to read files and folders
_MAX_FILE = 64 << 20


def leave(scratch: Path) -> None:
    """Take this process out of the network and away from all files but to read them, and end it
    with its parent, where Linux lets us; files may be written below `scratch`.

    Before any thread is started: the kernel asks for that.
    """
    if sys.platform != "linux":
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    _only_read(libc, scratch)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return
    with contextlib.suppress(OSError):  # the same names for the same people as before
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")


def _only_read(libc: Any, scratch: Path) -> None:
    """Landlock: from now on the kernel refuses to write, make, remove and execute elsewhere.

    Python sees no file that native code opens, and `torch.save` is native.
    """
    import ctypes

    rules = ctypes.create_string_buffer(struct.pack("=Q", _LANDLOCK_ALL))
    ruleset = libc.syscall(_LANDLOCK_CREATE, rules, 8, 0)
    if ruleset < 0:
        return  # a kernel before 5.13, or one without
    try:
        for path, access in ((scratch, _LANDLOCK_ALL & ~1), (Path(os.devnull), 1 << 1)):
            folder = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
            rule = ctypes.create_string_buffer(struct.pack("=Qi", access, folder))
            libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)
            os.close(folder)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def forbid(scratch: Path) -> None:
    """Refuse what accidents are made of, from now on; files may be written below `scratch`."""
    inside = f"{scratch.resolve()}{os.sep}"
    nowhere = os.path.realpath(os.devnull)

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if flags & _WRITING and not may_write(path):
                raise PermissionError(f"model code may not write files: {path!s:.200}")
        elif event in _NETWORK:
            raise PermissionError("model code may not use the network")
        elif event in _PROGRAMS:
            raise PermissionError("model code may not start programs")
        elif event in _CHANGES and not may_write(args[0]):
            raise PermissionError(f"model code may not change files: {args[0]!s:.200}")
        elif event == "os.kill" and args[0] != os.getpid():
            raise PermissionError("model code may not end other programs")

    def may_write(path: Any) -> bool:
        if isinstance(path, int):
            return True
        real = os.path.realpath(os.fsdecode(path))
        return real.startswith(inside) or real == nowhere

    sys.addaudithook(watch)
    import torch

    save = torch.save

    def save_inside(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(f, str | os.PathLike) and not may_write(f):
            raise PermissionError(f"model code may not write files: {f!s:.200}")
        save(obj, f, *args, **kwargs)

    setattr(torch, "save", save_inside)  # noqa: B010  (native code opens its files)


def bound(memory: int) -> None:
    """No core files, no large files, and so many bytes more than this process has taken so far.

    Where the address space cannot be bounded (macOS) the parent looks at what is in use.
    """
    try:
        import resource  # Windows has no such thing
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE, _MAX_FILE))
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        total = pages * os.sysconf("SC_PAGE_SIZE") + memory
        resource.setrlimit(resource.RLIMIT_AS, (total, total))


def allow(seconds: float) -> None:
    """End this process after `seconds`, whoever is left to watch; 0 for no end."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
