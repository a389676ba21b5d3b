"""A server under load: closed loops up to saturation, then fixed rates below and above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from facet.benchmarks.serving.load import Arrivals, Load, LoadProcess, Point, pooled
from facet.benchmarks.serving.pictures import Sample
from facet.terminal import console

CLIENTS = (1, 2, 4, 8)
FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
HALF, DOUBLE = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which loads to measure.

    Attributes:
        seconds: duration of each load.
        clients: numbers of simultaneous clients of the closed loops.
        factors: rates of the open loops as multiples of the saturation rate; :data:`HALF` and :data:`DOUBLE` are
            among them.
        deadline: of the open loops, seconds from when a request is due.
        arrivals: spacing of requests in the open loops.
        turns: how often each rate of the open loops is run. The rates take turns, so that a change of the machine's
            pace concerns all of them.
    """

    seconds: float
    clients: Sequence[int] = CLIENTS
    factors: Sequence[float] = FACTORS
    deadline: float = 1.0
    arrivals: Arrivals = "even"
    turns: int = 2


@dataclass(frozen=True, slots=True)
class Saturation:
    """Results of one server.

    Attributes:
        closed: closed loops, by picture and number of clients.
        saturation_per_s: the most frames per second that closed loops reached.
        open: open loops of frames, by rate as a multiple of the saturation rate.
    """

    closed: Mapping[str, Mapping[int, Point]]
    saturation_per_s: float
    open: Mapping[float, Point]

    @property
    def max_goodput_per_s(self) -> float:
        """The most frames per second answered in time at any rate."""
        return max(point.goodput_per_s for point in self.open.values())

    @property
    def p99_at_half_load_ms(self) -> float | None:
        """99th percentile of the latency at half the saturation rate."""
        return self.open[HALF].p99_ms

    @property
    def goodput_at_double_load_ratio(self) -> float:
        """Goodput at twice the saturation rate as a share of the highest goodput; 1 if overload costs nothing."""
        return round(self.open[DOUBLE].goodput_per_s / self.max_goodput_per_s, 4) if self.max_goodput_per_s else 0.0

    @property
    def late_share_at_double_load(self) -> float:
        """Share of the requests at twice the saturation rate that were neither refused nor answered in time."""
        return self.open[DOUBLE].late_share

    def document(self) -> dict[str, Any]:
        """All results as plain values."""
        figures = (
            *("max_goodput_per_s", "p99_at_half_load_ms"),
            *("goodput_at_double_load_ratio", "late_share_at_double_load"),
        )
        return {**asdict(self), **{name: getattr(self, name) for name in figures}}


def saturate(load: LoadProcess, one: Sample, frame: Sample, plan: Plan, title: str) -> Saturation:
    """Run closed loops with a picture of one face and with a frame, then open loops with the frame.

    Args:
        load: on the server.
        one: picture of one face.
        frame: a camera's frame.
        plan: which loads to measure.
        title: names the server in the progress bar.
    """
    points = 2 * len(plan.clients) + plan.turns * len(plan.factors)
    closed: dict[str, dict[int, Point]] = {}
    at_rate: dict[float, list[Load]] = {factor: [] for factor in plan.factors}
    with console.progress(f"Under load, {title}", points) as bar:
        for sample in (one, frame):
            closed[sample.name] = {}
            for clients in plan.clients:
                closed[sample.name][clients] = load.closed(sample.data, clients, plan.seconds)
                bar.advance(bar.task_ids[0])
        most = max(point.goodput_per_s for point in closed[frame.name].values())
        for factor in [*plan.factors] * plan.turns:
            rate = max(factor * most, 1.0)
            at_rate[factor].append(load.at_rate(frame.data, rate, plan.seconds, plan.deadline, plan.arrivals))
            bar.advance(bar.task_ids[0])
    return Saturation(closed, most, {factor: pooled(loads) for factor, loads in at_rate.items()})
