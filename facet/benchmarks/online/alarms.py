"""How often drift alarms come without a change, and how soon after one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.online.coverage import LabelledStream
from facet.benchmarks.online.faces import Face, Searches, best_two
from gallery.estimation.drift import WINDOW, drift
from gallery.estimation.observation_history import REFERENCE_SPAN
from gallery.estimation.reference import Reference, reference

FACES_A_DAY = 10_000
STRANGERS = 0.5
"""The usual share of faces of people who are not enrolled."""

_SEED = 1
_HOURS = 24
_DAYS_A_MONTH, _WEEK, _WEEKDAYS = 30, 7, 5
_CHANGES_DRAWN = 40
_MAX_WINDOWS = 8
_LEAST_TRAFFIC = 0.1
"""Traffic at night, as a share of that at noon."""
_DAYLIGHT, _DAY_CROWD = 1.0, 0.1
"""How much brighter pictures, in standard deviations, and how much larger the share of strangers is at noon."""
_WEEKEND_CROWD = 0.15
"""How much larger the share of strangers is on Saturdays and Sundays."""


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Replays of the reference.

    Attributes:
        months: how many were simulated, at :data:`FACES_A_DAY`.
        windows: how many windows were compared.
        alarms: how many of them raised an alarm.
        per_month: alarms a month.
    """

    months: int
    windows: int
    alarms: int
    per_month: float


@dataclass(frozen=True, slots=True)
class Detection:
    """A staged change.

    Attributes:
        faces: after which 95 % of the replays raised an alarm; ``None`` if fewer did.
        share: of the replays that raised an alarm within 500 faces.
        moved: the quantity that moved most, in most replays.
    """

    faces: int | None
    share: float
    moved: str


class Site:
    """A camera, replayed from a labelled stream. Its light, traffic and crowd follow the time of day and the week.

    Args:
        stream: the labelled stream.
        brightness: of each search, shape ``(n,)``.
        threshold: of the gallery.
    """

    def __init__(self, stream: LabelledStream, brightness: NDArray[np.float64], threshold: float) -> None:
        self._stream, self._threshold = stream, threshold
        normal = (brightness - brightness.mean()) / brightness.std()
        self._day = np.sin(np.pi * np.arange(_HOURS) / _HOURS) ** 2
        traffic = _LEAST_TRAFFIC + (1 - _LEAST_TRAFFIC) * self._day
        self.traffic = traffic / traffic.sum()
        self._weights = {
            is_weekend: np.array([self._weights_at(at, normal, is_weekend=is_weekend) for at in range(_HOURS)])
            for is_weekend in (False, True)
        }

    def _weights_at(self, hour: int, brightness: NDArray[np.float64], *, is_weekend: bool) -> NDArray[np.float64]:
        """The probability of each search in an hour of the day."""
        day = self._day[hour] - 0.5
        light = np.exp(_DAYLIGHT * day * brightness)
        strangers, nonmated = STRANGERS + _DAY_CROWD * day + _WEEKEND_CROWD * is_weekend, self._stream.nonmated
        weights = np.empty(len(light), np.float64)
        weights[:nonmated] = strangers * light[:nonmated] / light[:nonmated].sum()
        weights[nonmated:] = (1 - strangers) * light[nonmated:] / light[nonmated:].sum()
        return weights

    def rows(self, day: int, hour: int, faces: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Draw faces of an hour; one in three shows the person of the face before. Day 0 is a Monday."""
        weights = self._weights[day % _WEEK >= _WEEKDAYS][hour]
        drawn = rng.choice(len(weights), faces, p=weights)
        repeats = rng.random(faces) < 1 / 3
        repeats[:1] = False
        return np.asarray(drawn[np.maximum.accumulate(np.where(repeats, 0, np.arange(faces)))], np.intp)

    def reference(self, rng: np.random.Generator) -> Reference:
        """Record a reference period that nobody chose."""
        return reference(
            self._stream.searches.counts(
                self.rows(day, hour, rng.poisson(FACES_A_DAY * self.traffic[hour]), rng),
                threshold=self._threshold,
                templates=self._stream.templates,
            )
            for day in range(REFERENCE_SPAN.days)
            for hour in range(_HOURS)
        )

    def false_alarms(
        self, usual: Reference, months: int, rng: np.random.Generator, *, advance: Callable[[], None]
    ) -> FalseAlarms:
        """Replay months without a change, and compare every :data:`WINDOW` faces.

        Args:
            usual: the reference period.
            months: the number of months.
            rng: a generator.
            advance: called after every month.
        """
        windows = alarms = 0
        for day in range(months * _DAYS_A_MONTH):
            if day and day % _DAYS_A_MONTH == 0:
                advance()
            hours = rng.choice(_HOURS, FACES_A_DAY // WINDOW, p=self.traffic)
            for hour in np.sort(hours).tolist():
                rows = self.rows(day, hour, WINDOW, rng)
                counts = self._stream.searches.counts(rows, threshold=self._threshold, templates=self._stream.templates)
                windows += 1
                alarms += drift(counts, usual).alarm
        return FalseAlarms(months, windows, alarms, round(alarms / months, 3))

    def detection(
        self, usual: Reference, changed: Searches, weights: NDArray[np.float64], rng: np.random.Generator
    ) -> Detection:
        """Replay a change many times, and count the faces until the alarm.

        Args:
            usual: the reference period.
            changed: searches after the change.
            weights: the probability of each of them.
            rng: a generator.
        """
        faces: list[float] = []
        moved: Counter[str] = Counter()
        for _ in range(_CHANGES_DRAWN):
            needed = float("inf")
            for window in range(1, _MAX_WINDOWS + 1):
                rows = rng.choice(len(weights), WINDOW, p=weights)
                found = drift(changed.counts(rows, threshold=self._threshold, templates=self._stream.templates), usual)
                if found.alarm:
                    needed = window * WINDOW
                    moved[found.moved[0].name] += 1
                    break
            faces.append(needed)
        slowest = sorted(faces)[round(0.95 * len(faces)) - 1]
        within = sum(each <= 2 * WINDOW for each in faces) / len(faces)
        first = moved.most_common(1)[0][0] if moved else ""
        return Detection(int(slowest) if np.isfinite(slowest) else None, round(within, 3), first)


def staged(
    changes: Mapping[str, Sequence[Face]], templates: Sequence[Face]
) -> dict[str, tuple[Searches, NDArray[np.float64]]]:
    """Search for the faces of staged changes, which all come equally often.

    Args:
        changes: faces by change.
        templates: the gallery.
    """
    vectors, subjects = np.stack([each.embedding for each in templates]), [each.subject for each in templates]
    found = {}
    for name, faces in changes.items():
        if faces:
            best, runner_up, _ = best_two(faces, vectors, subjects)
            found[name] = Searches(faces, best, runner_up), np.full(len(faces), 1 / len(faces))
    return found
