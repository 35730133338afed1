"""Hides from our code what Windows does not have; the standard library keeps it.

Python imports this at its start where the folder is on PYTHONPATH, in every child process too. What
is hidden is hidden from modules of chatapp, and of chatapp's scripts, by the name of the caller.
"""

import asyncio
import builtins
import ctypes
import os
import signal
import sys

MODULES = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog", "posix"}
NAMES = {
    os: (
        "fork forkpty getuid geteuid getgid getppid_ killpg setsid nice sysconf uname getloadavg "
        "sched_getaffinity sched_setaffinity set_blocking statvfs fchown chown mkfifo "
        "O_CLOEXEC O_NOFOLLOW O_DIRECTORY O_NONBLOCK getpgid setpgid WNOHANG wait4"
    ),
    signal: (
        "SIGALRM SIGHUP SIGKILL SIGCONT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGPIPE SIGCHLD SIGWINCH "
        "setitimer getitimer ITIMER_REAL alarm pause pthread_sigmask"
    ),
}


def is_ours(depth: int) -> bool:
    """Whether the code that asks is chatapp's."""
    frame = sys._getframe(depth)
    name = str(frame.f_globals.get("__name__", ""))
    path = frame.f_code.co_filename.replace("\\", "/")
    return name.split(".")[0] == "chatapp" or "/chatapp/" in path.split("/site-packages/")[-1]


def hide(module: object, name: str) -> None:
    """Make `module.name` an AttributeError to our code."""
    real = getattr(module, name, None)
    if real is None:
        return
    hidden.setdefault(module, {})[name] = real
    delattr(module, name)


hidden: dict[object, dict[str, object]] = {}
for owner, names in NAMES.items():
    for one in names.split():
        hide(owner, one)

    def get(name: str, owner: object = owner) -> object:
        known = hidden.get(owner, {})
        if name in known and not is_ours(2):
            return known[name]
        raise AttributeError(f"module {owner.__name__!r} has no attribute {name!r}")

    owner.__getattr__ = get

real_import = builtins.__import__


def without(name: str, *args: object, **kwargs: object) -> object:
    """`import` as it is on Windows."""
    if name.split(".")[0] in MODULES and is_ours(2):
        raise ImportError(f"No module named {name!r} (hidden)")
    return real_import(name, *args, **kwargs)


builtins.__import__ = without


class Library(ctypes.CDLL):
    """A library has a name on Windows, and the C library is `ucrtbase`."""

    def __init__(self, name: str | None, *args: object, **kwargs: object) -> None:
        if name is None and is_ours(2):
            raise TypeError("LoadLibrary() argument 1 must be str, not None")
        super().__init__(None if name == "ucrtbase" else name, *args, **kwargs)


ctypes.CDLL = Library

loop = asyncio.SelectorEventLoop
real_handler = loop.add_signal_handler


def add_signal_handler(self: object, *args: object) -> None:
    """Event loops of Windows know no signals."""
    if is_ours(2):
        raise NotImplementedError
    real_handler(self, *args)


loop.add_signal_handler = add_signal_handler
