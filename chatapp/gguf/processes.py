"""Child processes, and what the system says of processes, on every system."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OWN_SESSION: dict[str, Any]
"""How a child is started that a Ctrl+C in our terminal is not for."""
if sys.platform == "win32":
    OWN_SESSION = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    OWN_SESSION = {"start_new_session": True}


def resident_bytes(pid: int) -> int:
    """Main memory that a process uses; 0 where it has gone, or nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    import psutil

    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
