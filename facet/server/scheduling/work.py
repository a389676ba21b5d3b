"""A request on its way through the workers."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum

from facet.runtime.decoders.limits import LARGE_PIXELS
from facet.server.errors import RequestExpired
from facet.server.observability.stopwatch import Stage, Stopwatch


class Priority(Enum):
    """Urgency of a request. The value is its handicap in the queue, in seconds."""

    LIVE = 0.0
    """One picture; the caller waits for the answer."""
    ENROLLMENT = 0.5
    """The caller waits, and can wait a little longer."""
    BATCH = 2.0
    """One of many."""
    BACKGROUND = 5.0
    """Nobody waits for it. It gets a thread when no other work runs, or when it has waited for its handicap."""


@dataclass(slots=True)
class Work:
    """A request on its way through the workers; a :class:`recognizer.progress.Progress`.

    Attributes:
        stopwatch: times its stages, including the time in the queue.
        deadline: seconds of :func:`time.monotonic`; ``None`` for none.
        kind: the method and what else decides its cost; costs are learned for each kind.
        priority: its urgency.
        caller: who sent it; callers get equal shares of the workers.
        pixels: pixels of its pictures, as far as their headers tell; costs are learned for each size.
        abandoned: whether its caller is gone.
    """

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    deadline: float | None = None
    kind: str = ""
    priority: Priority = Priority.LIVE
    caller: str = ""
    pixels: int = 0
    abandoned: bool = False

    @property
    def is_large(self) -> bool:
        """Whether its pictures have so many pixels that no thread waits for their decoding."""
        return self.pixels > LARGE_PIXELS

    def abandon(self) -> None:
        """Make the next :meth:`check` stop the work, because its caller is gone."""
        self.abandoned = True

    def stage(self, name: Stage, *, batch: int = 0) -> AbstractContextManager[None]:
        """Time a stage; see :meth:`recognizer.progress.Progress.stage`."""
        return self.stopwatch.stage(name, batch=batch)

    def check(self) -> None:
        """Stop if the result is no longer wanted; called between stages.

        Raises:
            RequestExpired: its deadline has passed, or it was abandoned.
        """
        if self.abandoned or (self.deadline is not None and time.monotonic() >= self.deadline):
            raise RequestExpired
