"""How many inferences run at the same time in a process, and with how many threads each."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal, Self

Preset = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class InferenceSlots:
    """The cores of a process, divided among inferences.

    All sessions of a process share one instance. Otherwise their thread pools would compete for the same cores, which
    costs more than waiting for a slot does.

    Attributes:
        count: inferences that run at the same time, at least 1.
        threads: threads of each inference, at least 1.
    """

    count: int
    threads: int
    _free: threading.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_free", threading.Semaphore(self.count))

    @classmethod
    def of(cls, preset: Preset, cores: int) -> Self:
        """Divide cores: one inference at a time on all of them (``latency``), or one on each (``throughput``)."""
        return cls(1, cores) if preset == "latency" else cls(cores, 1)

    def __enter__(self) -> None:
        """Wait for a free slot and take it."""
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()
