"""How many processors this process may use.

Linux only tells by files: the affinity, and the quotas of the control groups.
"""

import os
import platform
import subprocess
from math import inf
from pathlib import Path

from chatapp.gguf.control_groups import find_groups


def count_threads() -> int:
    """Physical cores among those this process may run on, within its control groups' quota;
    performance cores on a Mac.

    llama.cpp's threads meet at a barrier for every tensor: two on one core only wait for each
    other, and none should be left out.
    """
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu"],
            capture_output=True,
            check=False,
        ).stdout.strip()
        return int(answer) if answer.isdigit() else (os.cpu_count() or 1)
    return max(1, min(count_cores(), int(min(read_quota(), 1e6))))


def count_allowed_threads() -> int:
    """Threads for work that no setting is for: as `count_threads` says, at most `OMP_NUM_THREADS`,
    by which users and schedulers limit every program."""
    allowed = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(count_threads(), int(allowed) if allowed.isdigit() else 1 << 20) or 1


def count_cores() -> int:
    """Physical cores among the processors this process may run on."""
    if not hasattr(os, "sched_getaffinity"):
        import psutil

        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text().strip())
        except OSError:  # no sysfs: count every logical processor
            cores.add(str(cpu))
    return len(cores)


def read_quota(root: Path = Path("/")) -> float:
    """Processors' worth of time that the control groups allow this process; infinite: no limit."""
    return min((_read_group(group) for group in find_groups("cpu", root)), default=inf)


def _read_group(group: Path) -> float:
    """The quota of one group, by either version's files."""
    try:
        if (group / "cpu.max").exists():
            words = (group / "cpu.max").read_text().split()
        else:
            words = [(group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        quota, period = int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):  # no such group, or "max": no limit
        return inf
    return quota / period if quota > 0 and period > 0 else inf
