"""Counts faces while they come. Only bins with a count take memory."""

from __future__ import annotations

from typing import NamedTuple

from gallery.observations.quantities import BINS, JOINT, SHAPES, Quantity
from gallery.observations.records import Counts, dense
from gallery.records.identifications import Decision, Identification


class FaceMeasures(NamedTuple):
    """What is measured of a face; see :class:`gallery.observations.quantities.Quantity` for units and ranges."""

    quality: float
    size: float
    yaw: float
    pitch: float
    sharpness: float
    brightness: float
    score: float


class Tally:
    """Counts faces and pictures. Use it from one thread at a time."""

    def __init__(self) -> None:
        self._decisions = dict.fromkeys(Decision, 0)
        self._templates_compared = 0
        self._undecoded = 0
        self._bins: dict[Quantity, dict[int, int]] = {quantity: {} for quantity in SHAPES}

    def add_picture(self, faces: int) -> None:
        """Count a picture with a number of faces."""
        self._count(Quantity.FACES_PER_PICTURE, faces)

    def add_undecoded(self) -> None:
        """Count a picture that could not be decoded."""
        self._undecoded += 1

    def add_face(
        self,
        measures: FaceMeasures,
        decision: Decision,
        *,
        best: float | None = None,
        runner_up: float | None = None,
        templates_compared: int = 0,
    ) -> None:
        """Count a face.

        Args:
            measures: what was measured of it.
            decision: what was decided.
            best: similarity of the best subject; ``None`` if the face was refused or the gallery is empty.
            runner_up: similarity of the second-best subject; ``None`` if there is none.
            templates_compared: the number of templates that it was compared with.
        """
        self._decisions[decision] += 1
        self._templates_compared += templates_compared
        for quantity, value in zip(_MEASURED, measures, strict=True):
            self._count(quantity, value)
        if best is None:
            return
        self._count(Quantity.BEST_SIMILARITY, best)
        if decision is Decision.MATCH:
            self._count(Quantity.BEST_OF_MATCHES, best)
        self._count_both(Quantity.BEST_AND_QUALITY, best, measures.quality)
        if runner_up is not None:
            self._count(Quantity.RUNNER_UP, runner_up)
            self._count(Quantity.MARGIN, best - runner_up)
            self._count_both(Quantity.BEST_AND_MARGIN, best, best - runner_up)

    def add_identification(self, measures: FaceMeasures, identification: Identification, threshold: float) -> None:
        """Count a face with the gallery's answer.

        Args:
            measures: what was measured of it.
            identification: the answer. A request may have its own threshold, which says nothing about the gallery.
            threshold: the gallery's, which decides what is counted.
        """
        best = identification.candidates[0].similarity if identification.candidates else None
        margin = identification.margin
        decision = identification.decision
        if decision is not Decision.REFUSED:
            is_match = best is not None and best >= threshold and not identification.is_ambiguous
            decision = Decision.MATCH if is_match else Decision.UNKNOWN
        self.add_face(
            measures,
            decision,
            best=best,
            runner_up=None if best is None or margin is None else best - margin,
            templates_compared=identification.templates_compared,
        )

    def counts(self) -> Counts:
        """What was counted so far."""
        histograms = {quantity: dense(bins, quantity) for quantity, bins in self._bins.items()}
        return Counts(dict(self._decisions), self._templates_compared, histograms, self._undecoded)

    def _count(self, quantity: Quantity, value: float) -> None:
        bins, index = self._bins[quantity], BINS[quantity].index(value)
        bins[index] = bins.get(index, 0) + 1

    def _count_both(self, quantity: Quantity, row: float, column: float) -> None:
        rows, columns = JOINT[quantity]
        bins, index = self._bins[quantity], rows.index(row) * len(columns) + columns.index(column)
        bins[index] = bins.get(index, 0) + 1


_MEASURED = (
    Quantity.QUALITY,
    Quantity.FACE_SIZE,
    Quantity.YAW,
    Quantity.PITCH,
    Quantity.SHARPNESS,
    Quantity.BRIGHTNESS,
    Quantity.DETECTION_SCORE,
)
"""The quantities of :class:`FaceMeasures`, in its order."""
