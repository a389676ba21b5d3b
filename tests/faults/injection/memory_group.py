"""A control group of the kernel that limits memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_HIERARCHIES = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
"""Where version 1 and version 2 keep groups, and the file that holds the limit."""


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """Yield the file that takes the ids of processes; skips the test where no group can be made.

    Memory that a process has before it joins does not count. The processes must have ended when the block ends.

    Args:
        limit: bytes.
    """
    for root, setting in _HIERARCHIES:
        group = root / f"facet-{uuid.uuid4().hex}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / setting).exists():
                (group / setting).write_text(str(limit), "ascii")
                yield group / "cgroup.procs"
                return
        finally:
            group.rmdir()
    pytest.skip("needs permission to make a control group for memory")
