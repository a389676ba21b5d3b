"""From what a gallery answers for a track's evidence to who the track is: with patience, and with hysteresis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from facet.tracking.embedding_aggregate import Evidence


class Decision(Enum):
    """What is known about who a track is."""

    UNDECIDED = "undecided"
    """Not enough was seen."""
    IDENTIFIED = "identified"
    """It is a subject of the gallery."""
    UNKNOWN = "unknown"
    """Enough was seen, and it is nobody of the gallery."""


@dataclass(frozen=True, slots=True)
class Match:
    """The best subject for an embedding.

    Attributes:
        subject_id: the best subject.
        display_name: its name for people.
        similarity: to it, cosine in [-1, 1].
        threshold: what a match must reach.
        runner_up_similarity: of the next best subject; -1 where there is none.
    """

    subject_id: str
    display_name: str
    similarity: float
    threshold: float
    runner_up_similarity: float = -1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who a track is.

    Attributes:
        decision: what is known.
        subject_id: empty unless identified.
        display_name: the same.
        similarity: of the last search's best subject, or of the track's own where identified; -1 before any.
        since: when it was decided so, seconds of the scene's own clock; of no meaning while undecided.
    """

    decision: Decision = Decision.UNDECIDED
    subject_id: str = ""
    display_name: str = ""
    similarity: float = -1.0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """When something is sure.

    Attributes:
        samples: from so many on a similarity at the threshold is enough.
        sure: one sample is enough where it is more similar than the threshold by so much.
        sure_lead: and than the next best subject by so much.
        keep: a name is kept as long as the similarity is not below the threshold by more than this.
        change_lead: a name gives way to another only where that leads by so much.
        unknown_samples: nobody is unknown before so many samples
        unknown_quality: whose qualities sum up to so much.
    """

    samples: int = 2
    sure: float = 0.1
    sure_lead: float = 0.1
    keep: float = 0.06
    change_lead: float = 0.05
    unknown_samples: int = 5
    unknown_quality: float = 1.5


def decide(
    verdict: Verdict, match: Match | None, evidence: Evidence, time: float, settings: DecisionSettings
) -> Verdict:
    """Decide who a track is, from what was decided before and what its evidence says now.

    Args:
        verdict: what was decided before.
        match: what the gallery answers for the evidence; ``None`` where there is nobody in it.
        evidence: of the track.
        time: seconds.
        settings: when something is sure.
    """
    if match is not None and match.subject_id == verdict.subject_id:
        if match.similarity >= match.threshold - settings.keep:
            return replace(verdict, similarity=match.similarity, display_name=match.display_name)
    elif match is not None and _is_sure(match, evidence, settings):
        lead = match.similarity - match.runner_up_similarity
        if verdict.decision is not Decision.IDENTIFIED or lead >= settings.change_lead:
            return Verdict(Decision.IDENTIFIED, match.subject_id, match.display_name, match.similarity, time)
        return verdict
    if verdict.decision is Decision.IDENTIFIED and not _is_refuted(match, evidence, settings):
        return verdict
    found = match.similarity if match is not None else -1.0
    if verdict.decision is Decision.UNKNOWN or not _is_enough(evidence, settings):
        return replace(verdict, similarity=found)
    return Verdict(Decision.UNKNOWN, similarity=found, since=time)


def _is_sure(match: Match, evidence: Evidence, settings: DecisionSettings) -> bool:
    if evidence.taken >= settings.samples:
        return match.similarity >= match.threshold
    lead = match.similarity - match.runner_up_similarity
    return match.similarity >= match.threshold + settings.sure and lead >= settings.sure_lead


def _is_enough(evidence: Evidence, settings: DecisionSettings) -> bool:
    return evidence.taken >= settings.unknown_samples and evidence.quality >= settings.unknown_quality


def _is_refuted(match: Match | None, evidence: Evidence, settings: DecisionSettings) -> bool:
    """Whether a name cannot be kept: enough was seen, and even the best subject is too far."""
    far = match is None or match.similarity < match.threshold - settings.keep
    return far and _is_enough(evidence, settings)
