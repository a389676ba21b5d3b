"""How many cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")

_processes = 1


def share_cores(processes: int) -> None:
    """Let :func:`usable_cores` count this process's part of the cores only; a program calls it once, when it starts.

    Args:
        processes: number of processes that share the cores.
    """
    global _processes
    _processes = processes


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """The number of cores that affinity, cgroups and :func:`share_cores` leave to this process, at least 1.

    Reads the CPU quotas of cgroup version 2 or 1 where there are any (Linux), also those of the groups around the
    process's own. macOS has no affinity and no cgroups; Windows has no cgroups.

    Args:
        cgroups: where the cgroup file systems are mounted.
        membership: file that says which groups the process is in, as ``/proc/self/cgroup``.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _own_groups(cgroups, membership) if (quota := _quota(folder)) is not None]
    return max(1, round(min([cores, *map(round, quotas)]) / _processes))


def _own_groups(cgroups: Path, membership: Path) -> list[Path]:
    """The folders of the process's CPU groups and of all groups around them."""
    paths = {PurePosixPath("/")}
    try:
        for line in membership.read_text("ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                paths.update((PurePosixPath(path), *PurePosixPath(path).parents))
    except (OSError, ValueError):
        pass  # not Linux, or /proc is hidden: the root group remains
    relative = [path.relative_to("/") for path in paths if path.is_absolute()]
    return [root / path for root in (cgroups, cgroups / "cpu") for path in relative]


def _quota(folder: Path) -> float | None:
    """Cores that a group allows; ``None`` if it sets no limit."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
