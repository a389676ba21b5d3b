"""A server under load: how many a second with more and more clients, and what a fixed rate comes to beyond that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from facet.benchmarks.serving.load import Arrivals, LoadProcess, Point
from facet.benchmarks.serving.pictures import Sample
from facet.terminal import console

CLIENTS = (1, 2, 4, 8)
FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
HALF, DOUBLE = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried.

    Attributes:
        seconds: of each point.
        clients: of the closed loops.
        factors: rates of the open loop, in saturation rates; among them :data:`HALF` and :data:`DOUBLE`.
        deadline: seconds from when a request is due.
        arrivals: how they are spaced.
    """

    seconds: float
    clients: Sequence[int] = CLIENTS
    factors: Sequence[float] = FACTORS
    deadline: float = 1.0
    arrivals: Arrivals = "even"


@dataclass(frozen=True, slots=True)
class Saturation:
    """One server.

    Attributes:
        closed: for each picture a point for each number of clients.
        saturation_per_s: the most frames a second that closed loops reached.
        open: a point for each rate of frames, by its factor of the saturation rate.
    """

    closed: Mapping[str, Mapping[int, Point]]
    saturation_per_s: float
    open: Mapping[float, Point]

    @property
    def max_goodput_per_s(self) -> float:
        """The most frames a second that were answered in time at any rate."""
        return max(point.goodput_per_s for point in self.open.values())

    @property
    def p99_at_half_load_ms(self) -> float | None:
        """The 99th percentile at half the saturation rate."""
        return self.open[HALF].p99_ms

    @property
    def goodput_at_double_load_ratio(self) -> float:
        """Goodput at twice the saturation rate, of the most at any; 1 where too much load costs nothing."""
        return round(self.open[DOUBLE].goodput_per_s / self.max_goodput_per_s, 4) if self.max_goodput_per_s else 0.0

    def document(self) -> dict[str, Any]:
        """All of it as plain values."""
        judged = ("max_goodput_per_s", "p99_at_half_load_ms", "goodput_at_double_load_ratio")
        return {**asdict(self), **{name: getattr(self, name) for name in judged}}


def saturate(load: LoadProcess, one: Sample, frame: Sample, plan: Plan, title: str) -> Saturation:
    """Closed loops with a picture of one face and with a frame; then an open loop with the frame."""
    points = 2 * len(plan.clients) + len(plan.factors)
    closed: dict[str, dict[int, Point]] = {}
    at_rate: dict[float, Point] = {}
    with console.progress(f"Under load, {title}", points) as bar:
        for sample in (one, frame):
            closed[sample.name] = {}
            for clients in plan.clients:
                closed[sample.name][clients] = load.closed(sample.data, clients, plan.seconds)
                bar.advance(bar.task_ids[0])
        most = max(point.goodput_per_s for point in closed[frame.name].values())
        for factor in plan.factors:
            rate = max(factor * most, 1.0)
            at_rate[factor] = load.at_rate(frame.data, rate, plan.seconds, plan.deadline, plan.arrivals)
            bar.advance(bar.task_ids[0])
    return Saturation(closed, most, at_rate)
