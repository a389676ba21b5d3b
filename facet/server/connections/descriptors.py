"""How many file descriptors the process may open, and how many connections that is."""

from __future__ import annotations

import resource

import structlog

_OTHERS = 512
"""Descriptors that are not connections: models, the database, pictures of imports and exports, pipes."""
_BURST = 4000
"""Connections that may be open above the limit, for the moment until the longest idle ones are ended."""

_log = structlog.get_logger("facet.connections")


def reserve(connections: int) -> tuple[int, int]:
    """Raise the limit on descriptors of this process as far as connections need and the hard limit permits.

    Args:
        connections: the number of connections to permit.

    Returns:
        The number of connections that the descriptors suffice for, at most ``connections``, and how many may be open
        for a moment.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _BURST + _OTHERS
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    room = max(needed - _OTHERS, needed // 2)
    permitted = min(connections, max(room - _BURST, room // 2))
    if permitted < connections:
        _log.warning("too few file descriptors for server.max_connections", permitted=permitted, descriptors=needed)
    return permitted, room
