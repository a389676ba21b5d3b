"""Faults of the machine for a process of a test: of its disk, clock and threads, and its death at a chosen write."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
_CLOCK, _WRITE, _READ, _SYNC, _KILL, _THREAD, _OPERATIONS = range(7)
_SLOTS = 8


class Faults:
    """Controls a process that runs with :attr:`environment`; what is set takes effect at once.

    Args:
        library: the compiled :data:`SOURCE`.
        control: a file that the processes share; it is created.
        files: a part of the paths that the disk's faults concern.
    """

    def __init__(self, library: Path, control: Path, *, files: str) -> None:
        control.write_bytes(bytes(8 * _SLOTS))
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAULT_CONTROL": str(control),
            "FAULT_FILES": files,
        }
        with control.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8 * _SLOTS)

    @staticmethod
    def of_this_process() -> Faults:
        """Return the control of the process that was started with an environment; nothing is reset."""
        faults = Faults.__new__(Faults)
        faults.environment = {}
        with Path(os.environ["FAULT_CONTROL"]).open("r+b") as file:
            faults._shared = mmap.mmap(file.fileno(), 8 * _SLOTS)
        return faults

    def move_clock(self, seconds: int) -> None:
        """Set the wall clock so far ahead of the true time, or behind it."""
        self._set(_CLOCK, seconds)

    def fail_writes(self, error: int) -> None:
        """Fail writes, syncs, truncations, renamings and deletions of the files with an ``errno``; 0 for none.

        ``ENOSPC`` and ``EDQUOT`` fail only writes that make a file longer, as a full disk or a quota does.
        """
        self._set(_WRITE, error)

    def fail_reads(self, error: int) -> None:
        """Fail reads of the files with an ``errno``; 0 for none."""
        self._set(_READ, error)

    def slow_syncs(self, seconds: float) -> None:
        """Let each sync of the files take this much longer."""
        self._set(_SYNC, int(seconds * 1e6))

    def kill_at(self, operation: int) -> None:
        """Kill the process right before an operation on the files, counted from now, from 1; 0 for never."""
        self._set(_OPERATIONS, 0)
        self._set(_KILL, operation)

    def fail_threads(self, error: int) -> None:
        """Fail to start threads with an ``errno``; 0 for none."""
        self._set(_THREAD, error)

    @property
    def operations(self) -> int:
        """Operations that change the files, since the last :meth:`kill_at`."""
        return int(struct.unpack_from("q", self._shared, 8 * _OPERATIONS)[0])

    def _set(self, slot: int, value: int) -> None:
        struct.pack_into("q", self._shared, 8 * slot, value)


def compiled(folder: Path) -> Path | None:
    """Compile the library; ``None`` without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run([*command, "-ldl"], check=True)
    return library
