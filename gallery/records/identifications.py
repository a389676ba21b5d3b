"""The answer to a probe: a decision and ranked candidates."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gallery.records.calibrations import CalibrationState


class Decision(enum.Enum):
    """What a gallery decides about a probe."""

    MATCH = "match"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    """The face is too poor to be compared."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that resembles a probe.

    Attributes:
        subject_id: the subject.
        display_name: its name for people; may be empty.
        similarity: cosine of the probe and the subject's best template, or the mean over its best templates as set by
            the gallery's ``mean_of_best``; [-1, 1], rounded to float32.
        template_id: its best template.
    """

    subject_id: str
    display_name: str
    similarity: float
    template_id: str


@dataclass(frozen=True, slots=True)
class TakenSubject:
    """A subject that reaches the threshold of a probe but went to another probe of the same search.

    Attributes:
        candidate: the subject, as a candidate of the probe that lost it.
        probe: index of the probe that it went to.
    """

    candidate: Candidate
    probe: int


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer to one probe.

    Attributes:
        decision: whether the best candidate reaches the threshold, and no subject is too close to it.
        candidates: the best subjects by falling similarity, ties by id; also present if the decision is unknown.
        threshold: the threshold that was applied.
        margin: similarity of the best subject minus that of the second; ``None`` with fewer than two subjects.
        templates_compared: the number of templates in the gallery.
        calibration: the state of the gallery's calibration.
        false_positive_rate: the probability that the best similarity of an unknown person is at least the best
            candidate's; ``None`` without a candidate or a calibration that applies.
        too_close_to: the subject that was told apart from the best candidate and is nearly as similar, so that the
            decision is unknown; empty if there is none.
        too_close_similarity: of the probe to that subject, [-1, 1]; ``None`` if there is none.
        is_ambiguous: whether a subject that was told apart from the best candidate is nearly as similar, also below the
            threshold.
        taken: subjects that rank before the candidates but went to other probes, by falling similarity.
    """

    decision: Decision
    candidates: tuple[Candidate, ...]
    threshold: float
    margin: float | None
    templates_compared: int
    calibration: CalibrationState = CalibrationState.NOT_CALIBRATED
    false_positive_rate: float | None = None
    taken: tuple[TakenSubject, ...] = ()
    too_close_to: str = ""
    too_close_similarity: float | None = None
    is_ambiguous: bool = False
