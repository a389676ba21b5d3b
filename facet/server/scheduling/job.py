"""Work that waits for a thread of the workers, or runs on one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from facet.server.errors import AdmissionRefused
from facet.server.scheduling.cost_model import CostClass
from facet.server.scheduling.work import Work


@dataclass(slots=True, eq=False)
class Job:
    """Work that waits for a thread or runs on one.

    Attributes:
        work: the request.
        never_refused: whether it was queued without admission control.
        cost_class: the class of its cost.
        handicap: of its priority.
        charged: seconds that it counts against its caller until it is done.
        arrival: when it was queued.
        due: when it must be done for its answer to arrive before the deadline; ``None`` for no deadline.
        granted: done when the job gets a thread, with ``None``, or is refused, with what makes the error. It is not the
            error itself, because an error refers to the frames that it was raised in, and these refer to the job.
        timer: refuses the job when it can no longer be done in time.
        start: when it got the thread.
        thread_seconds: :attr:`Workers._thread_seconds` when it got the thread.
        served: seconds of its earlier turns.
        shared: seconds that all threads were busy during its earlier turns.
    """

    work: Work
    never_refused: bool
    cost_class: CostClass
    handicap: float
    charged: float
    arrival: float
    due: float | None
    granted: asyncio.Future[Callable[[], AdmissionRefused] | None]
    timer: asyncio.TimerHandle | None = None
    start: float = 0.0
    thread_seconds: float = 0.0
    served: float = 0.0
    shared: float = 0.0
