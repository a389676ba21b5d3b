"""How many inferences run side by side in a process, and on how many threads each."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

Preset = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class Lanes:
    """The cores of a process, divided among inferences.

    All sessions of a process share one, so that no two thread pools fight for the same core, which costs more than
    waiting for each other does.

    Attributes:
        count: inferences side by side, at least 1.
        threads: threads of each, at least 1.
    """

    count: int
    threads: int
    _free: threading.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_free", threading.Semaphore(self.count))

    @classmethod
    def of(cls, preset: Preset, cores: int) -> Self:
        """All cores for one inference after the other (``latency``), or one core for each (``throughput``)."""
        return cls(1, cores) if preset == "latency" else cls(cores, 1)

    def __enter__(self) -> None:
        """Wait for a lane."""
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()


def usable_cores() -> int:
    """How many cores this process may use, by its affinity and its cgroup."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return cores if quota is None else max(1, min(cores, round(quota)))


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores that the cgroup allows, version 2 or 1; ``None`` where it does not say."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text("ascii").split()
        else:
            quota, period = ((root / f"cpu/cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
