"""An identification that is searched with both models of a migration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from gallery.migration.shadowing import ModelRoles
from gallery.records.identifications import Decision, Identification
from recognizer.analysis import AlignedFace


class Outcome(Enum):
    """How two models decided about a face. The values are labels of a metric."""

    SAME_SUBJECT = "same_subject"
    BOTH_UNKNOWN = "both_unknown"
    ONLY_SERVING = "only_serving"
    """Only the model that answered decided for somebody."""
    ONLY_SHADOW = "only_shadow"
    DIFFERENT_SUBJECTS = "different_subjects"
    NOT_EMBEDDED = "not_embedded"
    """The model that answered decided for a subject who has no embedding of the other one yet."""

    @property
    def is_agreement(self) -> bool:
        """Whether the decisions are the same."""
        return self in (Outcome.SAME_SUBJECT, Outcome.BOTH_UNKNOWN)

    @staticmethod
    def of(serving: Identification, shadow: Identification) -> Outcome:
        """Compare two decisions about a face whose subject has embeddings of both models."""
        ours, theirs = decided(serving), decided(shadow)
        if ours == theirs:
            return Outcome.SAME_SUBJECT if ours else Outcome.BOTH_UNKNOWN
        if not theirs:
            return Outcome.ONLY_SERVING
        return Outcome.DIFFERENT_SUBJECTS if ours else Outcome.ONLY_SHADOW


@dataclass(frozen=True, slots=True)
class Cost:
    """What a face of an identification took, in seconds.

    Attributes:
        embed: to embed it.
        search: to search for it.
    """

    embed: float
    search: float


@dataclass(slots=True, eq=False)
class Comparison:
    """An identification on its way to the other model.

    Attributes:
        gallery_id: the gallery.
        roles: the models, when it was chosen.
        distinct_subjects: whether its faces are different people.
        faces: the faces that the serving model has searched, and its answers as :func:`kept`; none before it has.
        cost: what they took.
        until: when it is too old to be made, seconds of :func:`time.monotonic`.
        gone: subjects that have left the gallery since it was chosen.
        is_over: whether the models have other roles now, or the migration has ended.
    """

    gallery_id: str
    roles: ModelRoles
    distinct_subjects: bool
    faces: list[tuple[AlignedFace, Identification]] = field(default_factory=list)
    cost: Cost = field(default_factory=lambda: Cost(0.0, 0.0))
    until: float = 0.0
    gone: set[str] = field(default_factory=set)
    is_over: bool = False


def decided(answer: Identification) -> str:
    """The subject that a model decided for; empty for nobody."""
    return answer.candidates[0].subject_id if answer.decision is Decision.MATCH else ""


def names(answer: Identification, subject_ids: Collection[str]) -> bool:
    """Whether an answer that is kept names one of these subjects."""
    return answer.too_close_to in subject_ids or any(each.subject_id in subject_ids for each in answer.candidates)


def kept(answer: Identification) -> Identification:
    """The answer without more people than its decision is about, and without their names, which may change."""
    candidates = tuple(replace(each, display_name="") for each in answer.candidates[:1])
    return replace(answer, candidates=candidates, taken=())


def with_names(answer: Identification, display_names: Mapping[str, str]) -> Identification:
    """An answer that was kept, with the names that its subjects have now."""
    candidates = (replace(each, display_name=display_names[each.subject_id]) for each in answer.candidates)
    return replace(answer, candidates=tuple(candidates))
