"""What this process may use: quotas as the kernel writes them, and the real machine's idle time."""

import os
import platform
import subprocess
import sys
import time
from math import inf
from pathlib import Path

import pytest

from chatapp.engine.llama.processors import RoomReader
from chatapp.gguf.processors import count_allowed_threads, count_threads, read_quota


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, inf),
        ({"proc/self/cgroup": "0::/\n"}, inf),
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "max 100000\n"}, inf),
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "150000 100000\n"}, 1.5),
        (  # a parent's limit counts for its children
            {
                "proc/self/cgroup": "0::/a/b\n",
                f"{V2}/a/b/cpu.max": "max 100000\n",
                f"{V2}/a/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                f"{V2}/a/b/cpu.max": "50000 50000\n",
                f"{V2}/a/cpu.max": "200000 100000\n",
            },
            1.0,
        ),
        (  # in a container: the path is the host's, the group is the root of what is mounted
            {"proc/self/cgroup": "0::/system/x.scope\n", f"{V2}/cpu.max": "300000 100000\n"},
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "7:memory:/x\n4:cpu,cpuacct:/x/y\n0::/\n",
                f"{V1}/x/y/cpu.cfs_quota_us": "-1\n",
                f"{V1}/x/y/cpu.cfs_period_us": "100000\n",
                f"{V1}/x/cpu.cfs_quota_us": "50000\n",
                f"{V1}/x/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/docker/abc\n3:cpuset:/docker/abc\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4.0,
        ),
        ({"proc/self/cgroup": "0::/a\n", f"{V2}/a/cpu.max": "nonsense\n"}, inf),
        ({"proc/self/cgroup": "0::/a\n", f"{V2}/a/cpu.max": ""}, inf),
        ({"proc/self/cgroup": "0::/../up\n", f"{V2}/cpu.max": "100000 100000\n"}, 1.0),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    assert read_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.9, 1), (1e9, None)])
def test_threads_are_whole_processors(
    monkeypatch: pytest.MonkeyPatch, quota: float, threads: int | None
) -> None:
    if platform.system() != "Linux":
        pytest.skip("control groups are Linux's")
    most = count_threads()
    monkeypatch.setattr("chatapp.gguf.processors.read_quota", lambda: quota)
    assert count_threads() == (threads or most)
    assert 1 <= count_threads() <= len(os.sched_getaffinity(0))


def test_a_limit_of_every_program_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    most = count_threads()
    assert count_allowed_threads() == most
    for limit, threads in (("1", 1), ("1,2", 1), ("999", most), ("none", most), ("0", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert count_allowed_threads() == threads


def test_affinity_is_respected() -> None:
    if platform.system() != "Linux":
        pytest.skip("affinity is Linux's")
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from chatapp.gguf.processors import *; print(count_threads(), count_cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_our_own_time_is_no_neighbour() -> None:
    """However busy the machine is, what we used is counted once, and no reading is absurd."""
    if platform.system() != "Linux":
        pytest.skip("the room is read on Linux only")
    reader = RoomReader()
    now = time.perf_counter()
    reader.start(now)
    assert reader.read(now + 0.01) is None  # too short a time
    while time.perf_counter() - now < 0.3:
        pass
    room = reader.read(time.perf_counter())
    assert room is not None
    n = len(os.sched_getaffinity(0))
    assert room.span_s > 0.29
    assert -0.2 <= room.processors <= n
    assert room.cores <= room.processors
