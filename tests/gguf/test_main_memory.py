"""Main memory under the limits of control groups, as the kernel's files tell them."""

from pathlib import Path

import pytest

from chatapp.gguf.main_memory import memory_bytes

GB = 1 << 30
MEMINFO = f"MemTotal: {16 * GB // 1024} kB\nMemFree: 9 kB\nMemAvailable: {12 * GB // 1024} kB\n"


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in {"proc/meminfo": MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def stat(file_pages: int, prefix: str = "") -> str:
    return f"anon 5\n{prefix}inactive_file {file_pages}\n{prefix}active_file 0"


def test_without_groups_it_is_the_machine_s(tmp_path: Path) -> None:
    assert memory_bytes(write(tmp_path, {})) == (12 * GB, 16 * GB)
    available, total = memory_bytes()
    assert 0 < available <= total


@pytest.mark.parametrize(("mount", "path"), [("", "/"), ("", "/a/b"), ("unified", "/a")])
def test_version_2(tmp_path: Path, mount: str, path: str) -> None:
    group = f"sys/fs/cgroup/{mount}/{path}"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{path}",
            f"{group}/memory.max": 4 * GB,
            f"{group}/memory.current": 3 * GB,
            f"{group}/memory.stat": stat(2 * GB),
        },
    )
    assert memory_bytes(root) == (3 * GB, 4 * GB)
    write(root, {f"{group}/memory.max": "max"})
    assert memory_bytes(root) == (12 * GB, 16 * GB)


def test_a_parent_limits_too_and_the_tightest_counts(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/memory.max": 8 * GB,
            "sys/fs/cgroup/a/b/memory.current": GB,
            "sys/fs/cgroup/a/memory.max": 6 * GB,
            "sys/fs/cgroup/a/memory.current": 5 * GB,
            "sys/fs/cgroup/memory.max": 10 * GB,
            "sys/fs/cgroup/memory.current": 5 * GB,
        },
    )
    assert memory_bytes(root) == (GB, 6 * GB)


@pytest.mark.parametrize("path", ["/docker/0123", "/"])
def test_version_1_and_a_container_that_has_the_host_s_path(tmp_path: Path, path: str) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": f"5:cpu,cpuacct:/x\n4:memory:{path}\n1:name=systemd:/\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GB,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": GB,
            "sys/fs/cgroup/memory/memory.stat": stat(GB // 2, "total_"),
        },
    )
    assert memory_bytes(root) == (2 * GB - GB // 2, 2 * GB)
    write(root, {"sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712})
    assert memory_bytes(root) == (12 * GB, 16 * GB)


def test_a_group_that_is_full_has_nothing_left(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": GB,
            "sys/fs/cgroup/memory.current": GB + 4096,
        },
    )
    assert memory_bytes(root) == (1, GB)  # 0 would mean that nobody knows
