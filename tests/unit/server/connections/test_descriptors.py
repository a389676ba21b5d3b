"""File descriptors for connections, in processes of their own: a limit that was lowered stays low."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from facet.server.connections.descriptors import reserve
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(*reserve(connections), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def reserved(soft: int, hard: int, connections: int) -> tuple[int, int, int]:
    """The permitted connections, those that may be open for a moment, and the process's limit."""
    command = [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(connections)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    permitted, room, limit = map(int, said.split())
    return permitted, room, limit


@pytest.mark.parametrize("soft", [256, 1024])
def test_the_limit_is_raised_as_far_as_connections_need(soft: int) -> None:
    permitted, room, limit = reserved(soft, 16_384, 1000)
    assert permitted == 1000
    assert permitted + 1000 < room < limit < 16_384


def test_a_higher_limit_is_kept() -> None:
    assert reserved(16_384, 16_384, 10)[2] == 16_384


@pytest.mark.parametrize("hard", [256, 1024, 4096])
def test_a_low_hard_limit_permits_fewer_connections_and_leaves_descriptors_for_files(hard: int) -> None:
    permitted, room, limit = reserved(min(hard, 256), hard, 5000)
    assert limit == hard
    assert hard // 8 <= permitted < room < hard
