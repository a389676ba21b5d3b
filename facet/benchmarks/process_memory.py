"""Resident memory, processor time, threads and descriptors of a process."""

from __future__ import annotations

import os
from pathlib import Path


def rss_mib(pid: int | None = None) -> float:
    """Resident memory of a process in MiB, to one digit; 0 if it has ended, and on systems other than Linux.

    Args:
        pid: the process; ``None`` for this one.
    """
    statm = Path(f"/proc/{'self' if pid is None else pid}/statm")
    try:
        resident_pages = int(statm.read_text("ascii").split()[1])
    except OSError:
        return 0.0
    return round(resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def own_mib() -> float:
    """Memory of this process in MiB that belongs to no file, so that no other process can share it, to one digit.

    It is 0 on systems other than Linux.
    """
    try:
        lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return round(sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 2**10, 1)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has taken so far, all its threads together; 0 on systems other than Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not; empty if it has ended.

    Without /proc, which only Linux has, the process alone.
    """
    folder = Path(f"/proc/{pid}")
    if not Path("/proc/self").is_dir():
        return [pid]
    try:
        lists = [(task / "children").read_text("ascii") for task in (folder / "task").iterdir()]
    except OSError:  # it has ended
        return []
    return [pid, *(each for children in lists for child in children.split() for each in family(int(child)))]


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    """The number of threads and of open descriptors of a process; 0 on systems other than Linux."""
    folder = Path(f"/proc/{pid}")
    try:
        return sum(1 for _ in (folder / "task").iterdir()), sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return 0, 0
