"""The figures, tables and timeline of a clip that was followed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from facet.evaluation.datasets.track_labels import Span
from facet.evaluation.intervals import (
    Figure,
    Identities,
    Weights,
    bootstrapped,
    none,
    rate,
    share,
    unless_alone,
    widened,
)
from facet.evaluation.report.document import Report
from facet.evaluation.tracks.figures import JudgedClip, JudgedPresence, SeenFrame, median

SOON = 1.0
"""Seconds within which somebody should be named."""

_NO_PRESENCES = "the labels have no presence of an enrolled subject"
_NO_STRANGERS = "the labels have no stranger"
_WORST = "of a worst case there is no interval"
_STRANGER = "strangers"


class TracksReport:
    """What there is to tell of a clip.

    Args:
        judged: what became of it.
        frames: as answered.
        spans: the labels.
        not_enrolled: subjects without a template; their presences were never named.
        seed: of the resampling. Presences of one person are alike, so people are drawn, not presences.
    """

    def __init__(
        self,
        judged: JudgedClip,
        frames: Sequence[SeenFrame],
        spans: Sequence[Span],
        *,
        not_enrolled: Collection[str] = (),
        seed: int,
    ) -> None:
        self._judged = judged
        self._frames = frames
        self._spans = spans
        self._not_enrolled = not_enrolled
        self._subjects = [each.presence.subject for each in judged.presences]
        self._people = Identities(self._subjects, seed=seed)

    def figures(self) -> Report:
        """The figures by name."""
        judged, failed = self._judged, sum(bool(frame.failure) for frame in self._frames)
        waits = [_wait(each) for each in judged.presences]
        return {
            "identified": self._of_presences([math.isfinite(wait) for wait in waits]),
            f"identified_within_{SOON:g}s": self._of_presences([wait <= SOON for wait in waits]),
            "median_seconds_to_identify": self._median(waits),
            "worst_seconds_to_identify": self._worst(waits),
            "named_share": self._of_time([each.named for each in judged.presences]),
            "seen_share": self._of_time([each.seen for each in judged.presences]),
            "false_names": len(judged.false_names),
            "false_names_per_minute": rate(len(judged.false_names), judged.seconds / 60)
            if judged.seconds
            else none("no frame was looked at"),
            "false_name_seconds": judged.named_falsely,
            "strangers_named": self._strangers(),
            "strangers": len(judged.strangers),
            "id_switches": sum(each.switches for each in judged.presences),
            "presences": len(judged.presences),
            "subjects": len(self._people),
            "subjects_not_enrolled": len(self._not_enrolled),
            "presence_seconds": sum(each.seconds for each in judged.presences),
            "clip_seconds": judged.seconds,
            "frames": len(self._frames),
            "failed_frames": failed,
            "embeddings_per_frame": sum(each.embedded for each in self._frames) / max(1, len(self._frames) - failed),
        }

    def items(self) -> list[Report]:
        """A row for each presence."""
        return [
            {
                "subject": each.presence.subject,
                "presence": each.presence.name,
                "start": each.presence.start,
                "end": each.presence.end,
                "visible_seconds": _rounded(each.seconds),
                "identified_after": None if each.identified_after is None else _rounded(each.identified_after),
                "named_share": each.named / each.seconds if each.seconds else None,
                "seen_share": each.seen / each.seconds if each.seconds else None,
                "id_switches": each.switches,
            }
            for each in self._judged.presences
        ]

    def tables(self) -> dict[str, list[Report]]:
        """Presences, and what was false."""
        return {"presences": self.items(), "false_names": self._false_names()}

    def curves(self) -> Report:
        """The timeline: a row for each subject that was there or was named, and one for strangers."""
        false_names = self._judged.false_names
        subjects = sorted({*self._subjects, *(each.subject for each in false_names)})
        rows: list[dict[str, Any]] = [
            {
                "name": subject,
                "visible": _spans(self._spans, subject, hidden=False),
                "hidden": _spans(self._spans, subject, hidden=True),
                "named": [
                    [_rounded(start), _rounded(end)]
                    for each in self._judged.presences
                    if each.presence.subject == subject
                    for start, end in each.names
                ],
                "false": [
                    [_rounded(start), _rounded(end)]
                    for each in false_names
                    if each.subject == subject
                    for start, end in each.times
                ],
            }
            for subject in subjects
        ]
        if self._judged.strangers:
            rows.append({"name": _STRANGER, "visible": _spans(self._spans, "", hidden=False)})
        last = self._frames[0].time + self._judged.seconds if self._frames else 0.0
        end = max([last, *(span.end for span in self._spans)])
        return {"timeline": {"end": _rounded(end), "rows": rows}}

    def _of_presences(self, hits: Sequence[bool]) -> Figure:
        if not hits:
            return none(_NO_PRESENCES)
        return share(np.array(hits, np.bool_), self._subjects, self._people)

    def _of_time(self, parts: Sequence[float]) -> Figure:
        wholes = np.array([each.seconds for each in self._judged.presences], np.float64)
        if not wholes.sum():
            return none(_NO_PRESENCES)
        held = np.array(parts, np.float64)

        def of(weights: Weights) -> float | None:
            whole = float(wholes @ weights)
            return float(held @ weights) / whole if whole else None

        return widened(bootstrapped(of, len(wholes), self._people.weights(self._subjects)), len(self._people))

    def _median(self, waits: Sequence[float]) -> Figure:
        if not waits:
            return none(_NO_PRESENCES)
        found = bootstrapped(
            lambda weights: median(waits, weights.tolist()), len(waits), self._people.weights(self._subjects)
        )
        if found.value is None:
            return none("at least half of the presences were never named")
        return unless_alone(found, len(self._people))

    def _worst(self, waits: Sequence[float]) -> Figure:
        if not waits:
            return none(_NO_PRESENCES)
        if missed := sum(not math.isfinite(wait) for wait in waits):
            return none(f"{missed} of {len(waits)} presences were never named")
        return Figure(max(waits), None, None, _WORST)

    def _strangers(self) -> Figure:
        """Who they are is not told, so each span is taken to be of another one."""
        spans = [each for each in self._judged.strangers if each.seconds]
        if not spans:
            return none(_NO_STRANGERS)
        names = [f"{place}" for place in range(len(spans))]
        return share(np.array([each.named > 0 for each in spans], np.bool_), names, Identities(names, seed=0, rounds=0))

    def _false_names(self) -> list[Report]:
        return [
            {
                "subject": each.subject,
                "track": each.track_id,
                "start": _rounded(each.times[0][0]),
                "end": _rounded(each.times[-1][1]),
                "seconds": _rounded(sum(end - start for start, end in each.times)),
            }
            for each in self._judged.false_names
        ]


def _wait(judged: JudgedPresence) -> float:
    return math.inf if judged.identified_after is None else _rounded(judged.identified_after)


def _spans(spans: Sequence[Span], subject: str, *, hidden: bool) -> list[list[float]]:
    return [[span.start, span.end] for span in spans if span.subject == subject and span.hidden == hidden]


def _rounded(seconds: float) -> float:
    """To milliseconds: labels are no more exact."""
    return round(seconds, 3)
