"""What a client says afterwards about an answer: whether it was right, and who it truly was."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime

from gallery.records.identifications import Decision

NONCE_BYTES = 12


class Truth(enum.Enum):
    """Who the person of an answer truly was, as far as it was said."""

    UNSAID = "unsaid"
    SUBJECT = "subject"
    """A subject of the gallery."""
    NOBODY = "nobody"
    """Nobody who is enrolled."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer as its id tells it.

    Attributes:
        nonce: 12 random bytes that tell this answer from every other one of its gallery.
        time: when it was given.
        decision: match or unknown.
        subject_id: the best candidate, also if the decision is unknown; empty without one.
        similarity: to that candidate, [-1, 1]; ``None`` without one, or if it is not known.
        margin: to the second candidate, at least 0; ``None`` if it is not known.
        threshold: the threshold that was applied, [-1, 1].
        source: ``camera:`` and the name of the camera, or ``caller:`` and the id of the caller.
        review_share: the share of answers that were marked for review when this one was, (0, 1]; ``None`` if this one
            was not marked.
        contract: the embedding contract of the model that searched; empty if it is not known.
    """

    nonce: bytes
    time: datetime
    decision: Decision
    subject_id: str
    similarity: float | None
    margin: float | None
    threshold: float
    source: str
    review_share: float | None = None
    contract: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said about an answer.

    Attributes:
        outcome_id: orders the outcomes of a gallery; empty before it is stored.
        answer: the answer. If somebody it names is no longer enrolled, no subject is named any more, similarity and
            margin are ``None``, and the time is the beginning of its month.
        is_right: whether the decision was right.
        truth: what was said about the person.
        truth_subject_id: who it truly was; empty unless ``truth`` is a subject who is still enrolled.
        report_time: when it was said; of an outcome that names nobody any more, the beginning of that month.
        is_forgotten: whether it names nobody any more because somebody it named is no longer enrolled.
    """

    outcome_id: str
    answer: GivenAnswer
    is_right: bool
    truth: Truth
    truth_subject_id: str
    report_time: datetime
    is_forgotten: bool = False

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects that it names."""
        return frozenset({self.answer.subject_id, self.truth_subject_id}) - {""}

    def forgotten(self) -> Outcome:
        """Return what stays of it when somebody it names is no longer enrolled: it counts, and names nobody."""
        answer = replace(self.answer, time=_month(self.answer.time), subject_id="", similarity=None, margin=None)
        return replace(
            self, answer=answer, truth_subject_id="", report_time=_month(self.report_time), is_forgotten=True
        )


def _month(moment: datetime) -> datetime:
    """Return the beginning of a time's month."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
