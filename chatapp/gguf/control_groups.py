"""The control groups that limit this process, as Linux tells them by files."""

from collections.abc import Iterator
from pathlib import Path


def find_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """This process's groups for `controller`, of either version, each before its parents, whose
    limits count for it too.

    Inside a container the path may be the host's: then the root of what is mounted is its group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in (controllers, controller) if controllers else ("", "unified"):
            top = root / "sys/fs/cgroup" / mount
            group = top / path.lstrip("/")
            while top in group.parents:
                yield group
                group = group.parent
            yield top
