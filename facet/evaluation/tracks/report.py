"""The tracks report: figures by name, tables and the timeline of a clip."""

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
from facet.evaluation.tracks.figures import ClipResult, FrameAnswer, PresenceResult, weighted_median

SOON = 1.0
"""Seconds within which a presence should be named."""

_NO_PRESENCES = "the labels have no presence of an enrolled subject"
_NO_STRANGERS = "the labels have no stranger"
_WORST_CASE = "a worst case has no interval"
_STRANGERS_ROW = "strangers"


class TracksReport:
    """The parts of the report.

    Args:
        result: the clip, compared with its labels.
        frames: the answers.
        spans: the labels.
        not_enrolled: subjects without a template, whose presences are never named.
        seed: seed of the resampling. Presences of one person are alike, so people are resampled, not presences.
    """

    def __init__(
        self,
        result: ClipResult,
        frames: Sequence[FrameAnswer],
        spans: Sequence[Span],
        *,
        not_enrolled: Collection[str] = (),
        seed: int,
    ) -> None:
        self._result = result
        self._frames = frames
        self._spans = spans
        self._not_enrolled = not_enrolled
        self._subjects = [each.presence.subject for each in result.presences]
        self._people = Identities(self._subjects, seed=seed)

    def figures(self) -> Report:
        """The figures by name."""
        result, failed = self._result, sum(bool(frame.failure) for frame in self._frames)
        waits = [_seconds_to_identify(each) for each in result.presences]
        return {
            "identified": self._share_of_presences([math.isfinite(wait) for wait in waits]),
            f"identified_within_{SOON:g}s": self._share_of_presences([wait <= SOON for wait in waits]),
            "median_seconds_to_identify": self._median_seconds(waits),
            "worst_seconds_to_identify": self._worst_seconds(waits),
            "named_share": self._share_of_time([each.named for each in result.presences]),
            "seen_share": self._share_of_time([each.seen for each in result.presences]),
            "false_names": len(result.false_names),
            "false_names_per_minute": rate(len(result.false_names), result.seconds / 60)
            if result.seconds
            else none("no frame was answered"),
            "false_name_seconds": result.falsely_named,
            "strangers_named": self._strangers_named(),
            "strangers": len(result.strangers),
            "id_switches": sum(each.switches for each in result.presences),
            "presences": len(result.presences),
            "subjects": len(self._people),
            "subjects_not_enrolled": len(self._not_enrolled),
            "presence_seconds": sum(each.seconds for each in result.presences),
            "clip_seconds": result.seconds,
            "frames": len(self._frames),
            "failed_frames": failed,
            "embeddings_per_frame": sum(each.embedded for each in self._frames) / max(1, len(self._frames) - failed),
        }

    def items(self) -> list[Report]:
        """The result for each presence."""
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
            for each in self._result.presences
        ]

    def tables(self) -> dict[str, list[Report]]:
        """Presences and false names."""
        return {"presences": self.items(), "false_names": self._false_names()}

    def curves(self) -> Report:
        """The timeline: a row for each subject that was present or named, and one for strangers."""
        false_names = self._result.false_names
        subjects = sorted({*self._subjects, *(each.subject for each in false_names)})
        rows: list[dict[str, Any]] = [
            {
                "name": subject,
                "visible": _spans(self._spans, subject, hidden=False),
                "hidden": _spans(self._spans, subject, hidden=True),
                "named": [
                    [_rounded(start), _rounded(end)]
                    for each in self._result.presences
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
        if self._result.strangers:
            rows.append({"name": _STRANGERS_ROW, "visible": _spans(self._spans, "", hidden=False)})
        last = self._frames[0].time + self._result.seconds if self._frames else 0.0
        end = max([last, *(span.end for span in self._spans)])
        return {"timeline": {"end": _rounded(end), "rows": rows}}

    def _share_of_presences(self, hits: Sequence[bool]) -> Figure:
        if not hits:
            return none(_NO_PRESENCES)
        return share(np.array(hits, np.bool_), self._subjects, self._people)

    def _share_of_time(self, parts: Sequence[float]) -> Figure:
        visible = np.array([each.seconds for each in self._result.presences], np.float64)
        if not visible.sum():
            return none(_NO_PRESENCES)
        counted = np.array(parts, np.float64)

        def statistic(weights: Weights) -> float | None:
            total = float(visible @ weights)
            return float(counted @ weights) / total if total else None

        return widened(bootstrapped(statistic, len(visible), self._people.weights(self._subjects)), len(self._people))

    def _median_seconds(self, waits: Sequence[float]) -> Figure:
        if not waits:
            return none(_NO_PRESENCES)
        figure = bootstrapped(
            lambda weights: weighted_median(waits, weights.tolist()), len(waits), self._people.weights(self._subjects)
        )
        if figure.value is None:
            return none("at least half of the presences were never named")
        return unless_alone(figure, len(self._people))

    def _worst_seconds(self, waits: Sequence[float]) -> Figure:
        if not waits:
            return none(_NO_PRESENCES)
        if missed := sum(not math.isfinite(wait) for wait in waits):
            return none(f"{missed} of {len(waits)} presences were never named")
        return Figure(max(waits), None, None, _WORST_CASE)

    def _strangers_named(self) -> Figure:
        """The labels do not name strangers, so each line counts as a different person."""
        spans = [each for each in self._result.strangers if each.seconds]
        if not spans:
            return none(_NO_STRANGERS)
        names = [str(number) for number in range(len(spans))]
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
            for each in self._result.false_names
        ]


def _seconds_to_identify(result: PresenceResult) -> float:
    return math.inf if result.identified_after is None else _rounded(result.identified_after)


def _spans(spans: Sequence[Span], subject: str, *, hidden: bool) -> list[list[float]]:
    return [[span.start, span.end] for span in spans if span.subject == subject and span.hidden == hidden]


def _rounded(seconds: float) -> float:
    """Round to milliseconds; labels are not more precise."""
    return round(seconds, 3)
