"""Watches the connections on a thread of its own, and ends those that exceed the limits."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping

import structlog

from facet.server.connections.activity import Activity
from facet.server.connections.policy import REASONS, Limits, Policy, Reason
from facet.server.connections.sockets import Sockets
from facet.server.memory_return import give_back

_LOOK_SECONDS = 0.1
_FLOOD = 500
"""If so many connections are too many at once, the next look follows soon."""
_FLOOD_LOOK_SECONDS = 0.02
_MIN_PAUSE_SECONDS = 0.005
_MAX_SHARE = 0.05
"""Of one core; with very many connections, the looks are further apart."""
_LOG_SECONDS = 10.0
_GIVE_BACK_SECONDS, _FREEING_SECONDS = 1.0, 5.0
"""How often memory is given back, and how long after the end of a connection that held much: gRPC frees it in parts."""
_HELD_MUCH: frozenset[Reason] = frozenset({"no_calls", "no_messages", "unfinished_messages"})

_log = structlog.get_logger("facet.connections")


class Guard:
    """Ends connections of a port that exceed the limits, until it is closed. Needs Linux.

    The thread does not depend on the event loop, so a busy loop does not stop it.

    Args:
        port: the local port.
        limits: the bounds.
        activity: the calls of each connection.
    """

    def __init__(self, port: int, limits: Limits, activity: Activity) -> None:
        self._sockets = Sockets(port)
        self._policy = Policy(limits, activity)
        self._ended: Counter[Reason] = Counter()
        self._unlogged: Counter[Reason] = Counter()
        self._log_after = 0.0
        self._give_back_after, self._freed_until = 0.0, 0.0
        self._open = 0
        self._closed = threading.Event()
        self._misused = activity.misused
        self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """The number of connections, at most a fraction of a second ago."""
        return self._open

    @property
    def ended(self) -> Mapping[Reason, int]:
        """The number of connections that it has ended, by reason."""
        return {reason: self._ended[reason] for reason in REASONS}

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._misused.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = _LOOK_SECONDS
        while not self._closed.wait(_MIN_PAUSE_SECONDS):
            self._misused.wait(pause)
            self._misused.clear()
            start = time.thread_time()
            try:
                excess = self._look(time.monotonic())
            except OSError as error:  # for example, no descriptor is left to look with
                _log.warning("cannot look at the connections", error=str(error))
                excess = 0
            taken = time.thread_time() - start
            pause = _FLOOD_LOOK_SECONDS if excess >= _FLOOD else max(_LOOK_SECONDS, taken / _MAX_SHARE)

    def _look(self, now: float) -> int:
        """End what exceeds the limits; returns how many connections were too many."""
        connections = self._sockets.connections()
        self._open = len(connections)
        excess = 0
        for connection, reason in self._policy.to_end(connections, now):
            if self._sockets.end(connection):
                self._ended[reason] += 1
                self._unlogged[reason] += 1
                self._open -= 1
            excess += reason in ("too_many", "too_many_of_address")
            if reason in _HELD_MUCH:
                self._freed_until = now + _FREEING_SECONDS
        if self._give_back_after <= now < self._freed_until:
            self._give_back_after = now + _GIVE_BACK_SECONDS
            give_back()
        if self._unlogged and now >= self._log_after:
            _log.warning(
                "connections ended", open=self._open, **{str(reason): count for reason, count in self._unlogged.items()}
            )
            self._unlogged.clear()
            self._log_after = now + _LOG_SECONDS
        return excess
