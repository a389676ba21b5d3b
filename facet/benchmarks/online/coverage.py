"""How often the truth lies in the intervals of estimates, on replays of a labelled set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.online.faces import Face, Floats, Searches, best_two
from gallery.calibration.thresholds import NonmatedScores, choose_threshold
from gallery.estimation.estimates import Interval, estimate
from gallery.records.calibrations import Calibration, CalibrationSource

WINDOWS = (500, 5000)
"""Faces in a window."""
STRANGERS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of faces of people who are not enrolled."""
TARGETS = (0.01, 0.03, 0.1)
"""Target FPIRs of the calibrations, in turn."""
FIGURES = ("unknown_share", "fpir", "fnir")

_SEED = 0
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hit:
    """One figure of one window.

    Attributes:
        figure: one of :data:`FIGURES`.
        faces: in the window.
        strangers: the share that was drawn.
        in_window: whether the share among these very faces lies in the interval.
        expected: whether the share among all faces of the set does.
        width: of the interval.
    """

    figure: str
    faces: int
    strangers: float
    in_window: bool
    expected: bool
    width: float


class LabelledStream:
    """A gallery, and the searches for its people and for strangers.

    Args:
        templates: the gallery, one face of each subject.
        mated: probes of these subjects.
        nonmated: probes of other people.
    """

    def __init__(self, templates: Sequence[Face], mated: Sequence[Face], nonmated: Sequence[Face]) -> None:
        vectors = np.stack([each.embedding for each in templates])
        subjects = [each.subject for each in templates]
        self.templates = len(templates)
        best, runner_up, self.is_own = best_two([*nonmated, *mated], vectors, subjects)
        self.searches = Searches([*nonmated, *mated], best, runner_up)
        self.nonmated, self.mated = len(nonmated), len(mated)
        self._nonmated_subjects = [each.subject for each in nonmated]

    def halves(self, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Split the nonmated searches into random halves, by person: to calibrate with, and to replay."""
        names = rng.permutation(sorted(set(self._nonmated_subjects)))
        first = set(names[::2].tolist())
        in_first = np.array([name in first for name in self._nonmated_subjects])
        return np.flatnonzero(in_first), np.flatnonzero(~in_first)

    def calibrate(self, rows: NDArray[np.intp], target: float) -> Calibration:
        """Calibrate the gallery with some of the nonmated searches."""
        names = [self._nonmated_subjects[row] for row in rows]
        best = self.searches.best[rows].astype(np.float32)
        scores = NonmatedScores(best, names, ["other"] * len(names), self.templates, is_cross_subject=False)
        choice = choose_threshold(scores, target_fpir=target, for_templates=self.templates, without_suspects=False)
        return Calibration(
            target_fpir=target,
            threshold=choice.threshold,
            fpir=choice.fpir,
            fpir_low=choice.fpir_low,
            fpir_high=choice.fpir_high,
            model=choice.model,
            source=CalibrationSource.PROBES,
            data_set="",
            data_set_sha256="",
            searches=choice.searches,
            identities=choice.identities,
            failures=0,
            templates=self.templates,
            for_templates=self.templates,
            contract="",
            mean_of_best=1,
            create_time=_EPOCH,
            curve=choice.curve,
        )

    @property
    def mated_rows(self) -> NDArray[np.intp]:
        """The mated searches."""
        return np.arange(self.nonmated, self.nonmated + self.mated)


def replay(stream: LabelledStream, number: int) -> Iterator[Hit]:
    """Calibrate with half of the strangers, and estimate windows of the rest, of every size and share of strangers.

    Args:
        stream: the labelled stream, which windows are drawn from with replacement.
        number: of the replay; each gives other halves and windows.
    """
    rng = np.random.default_rng((_SEED, number))
    known, strangers = stream.halves(rng)
    calibration = stream.calibrate(known, TARGETS[number % len(TARGETS)])
    for faces in WINDOWS:
        for share in STRANGERS:
            yield from _window(stream, calibration, strangers, faces, share, rng)


def _window(
    stream: LabelledStream,
    calibration: Calibration,
    strangers: NDArray[np.intp],
    faces: int,
    share: float,
    rng: np.random.Generator,
) -> Iterator[Hit]:
    threshold = calibration.threshold
    unknown = int(rng.binomial(faces, share))
    nonmated, mated = rng.choice(strangers, unknown), rng.choice(stream.mated_rows, faces - unknown)
    rows = np.concatenate((nonmated, mated))
    found = estimate(
        stream.searches.counts(rows, threshold=threshold, templates=stream.templates),
        calibration,
        threshold=threshold,
        contract=calibration.contract,
        mean_of_best=calibration.mean_of_best,
    )
    is_match = stream.searches.best >= threshold
    is_missed = ~(is_match & stream.is_own)
    truths = {
        "unknown_share": (unknown / faces, share),
        "fpir": (_share(is_match[nonmated]), _share(is_match[strangers])),
        "fnir": (_share(is_missed[mated]), _share(is_missed[stream.mated_rows])),
    }
    for figure, (in_window, expected) in truths.items():
        interval: Interval | None = getattr(found, figure)
        if interval is not None:
            width = interval.high - interval.low
            yield Hit(figure, faces, share, _holds(interval, in_window), _holds(interval, expected), width)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def covered(hits: Sequence[Hit]) -> list[dict[str, float | str | int]]:
    """Sum up hits by figure, window and share of strangers.

    Returns:
        Rows with ``figure``, ``faces``, ``strangers``, ``windows``, ``coverage`` (of the share among these very faces),
        ``coverage_expected`` (of the share among all faces of the set) and ``width`` (the median).
    """
    rows: list[dict[str, float | str | int]] = []
    for figure in FIGURES:
        for faces in WINDOWS:
            for share in STRANGERS:
                own = [each for each in hits if (each.figure, each.faces, each.strangers) == (figure, faces, share)]
                if own:
                    widths: Floats = np.array([each.width for each in own])
                    rows.append(
                        {
                            "figure": figure,
                            "faces": faces,
                            "strangers": share,
                            "windows": len(own),
                            "coverage": round(sum(each.in_window for each in own) / len(own), 4),
                            "coverage_expected": round(sum(each.expected for each in own) / len(own), 4),
                            "width": round(float(np.median(widths)), 4),
                        }
                    )
    return rows
