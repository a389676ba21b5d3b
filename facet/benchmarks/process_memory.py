"""Resident memory of a process."""

from __future__ import annotations

import os
from pathlib import Path


def rss_mib(pid: int | None = None) -> float:
    """Resident memory of a process in MiB, to one digit; 0 on systems other than Linux.

    Args:
        pid: the process; ``None`` for this one.
    """
    statm = Path(f"/proc/{'self' if pid is None else pid}/statm")
    if not statm.is_file():
        return 0.0
    resident_pages = int(statm.read_text("ascii").split()[1])
    return round(resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
