"""Who a track is: from the gallery's answers over time to a stable decision, with hysteresis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from facet.tracking.embedding_aggregate import EmbeddingAggregate
from gallery.corrections.told_apart import MIN_MARGIN


class Decision(Enum):
    """Whether a track is identified."""

    UNDECIDED = "undecided"
    """Not enough was seen."""
    IDENTIFIED = "identified"
    """It is a subject of the gallery."""
    UNKNOWN = "unknown"
    """Enough was seen, and it is nobody in the gallery."""


@dataclass(frozen=True, slots=True)
class Match:
    """The best subject for an embedding.

    Attributes:
        subject_id: the best subject.
        display_name: its name for people.
        similarity: to that subject, cosine in [-1, 1].
        threshold: minimum similarity of a match.
        runner_up_similarity: to the second-best subject; -1 if there is none.
        next: the match with the second-best subject, if that is known.
        told_apart_from: the nearest of the subjects that were told apart from this one; empty if none is near.
        told_apart_margin: the similarity minus that of this subject; negative if it is the nearer one.
    """

    subject_id: str
    display_name: str
    similarity: float
    threshold: float
    runner_up_similarity: float = -1.0
    next: Match | None = None
    told_apart_from: str = ""
    told_apart_margin: float = math.inf


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a track is.

    Attributes:
        decision: whether it is identified.
        subject_id: empty unless identified.
        display_name: empty unless identified.
        similarity: to the subject if identified, otherwise to the best subject of the last search; -1 before any.
        too_close_to: a subject that was told apart from the best one of the last search and is nearly as similar, so
            that the track is not identified; empty if there is none.
        decided_at: when it was decided, seconds of the tracker's own clock; meaningless while undecided.
    """

    decision: Decision = Decision.UNDECIDED
    subject_id: str = ""
    display_name: str = ""
    similarity: float = -1.0
    decided_at: float = 0.0
    too_close_to: str = ""


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """When a decision is made and changed. Margins and leads are differences of cosines.

    Attributes:
        min_samples: samples after which a similarity at the threshold identifies a track.
        single_sample_margin: fewer samples identify it if the similarity exceeds the threshold by this much
        single_sample_lead: and the runner-up's by this much.
        keep_margin: an identified track keeps its subject while the similarity is at most this far below the threshold.
        switch_lead: minimum lead over the runner-up for another subject to replace the present one.
        told_apart_margin: minimum lead over a subject that was told apart from the best one, to identify a track.
        keep_told_apart_margin: the same, for an identified track to keep its subject.
        unknown_min_samples: minimum samples before a track may be declared unknown.
        unknown_min_quality: minimum sum of their qualities.
    """

    min_samples: int = 2
    single_sample_margin: float = 0.1
    single_sample_lead: float = 0.1
    keep_margin: float = 0.06
    switch_lead: float = 0.05
    told_apart_margin: float = MIN_MARGIN
    keep_told_apart_margin: float = MIN_MARGIN / 2
    unknown_min_samples: int = 5
    unknown_min_quality: float = 1.5


def decide(
    identity: Identity, match: Match | None, aggregate: EmbeddingAggregate, time: float, settings: DecisionSettings
) -> Identity:
    """Decide who a track is.

    Args:
        identity: the decision so far.
        match: the gallery's answer for the aggregated embedding; ``None`` if the gallery is empty.
        aggregate: of the track.
        time: seconds.
        settings: when a decision is made and changed.
    """
    if match is not None and match.subject_id == identity.subject_id:
        if supports(match, identity, settings):
            return replace(identity, similarity=match.similarity, display_name=match.display_name)
    elif match is not None and _is_certain(match, aggregate, settings):
        lead = match.similarity - match.runner_up_similarity
        if identity.decision is not Decision.IDENTIFIED or lead >= settings.switch_lead:
            return Identity(Decision.IDENTIFIED, match.subject_id, match.display_name, match.similarity, time)
        return identity
    if identity.decision is Decision.IDENTIFIED and not _is_refuted(match, aggregate, settings):
        return identity
    similarity, too_close_to = -1.0, ""
    if match is not None:
        similarity = match.similarity
        if similarity >= match.threshold and match.told_apart_margin < settings.told_apart_margin:
            too_close_to = match.told_apart_from
    if identity.decision is Decision.UNKNOWN or not _has_seen_enough(aggregate, settings):
        return replace(identity, similarity=similarity, too_close_to=too_close_to)
    return Identity(Decision.UNKNOWN, similarity=similarity, decided_at=time, too_close_to=too_close_to)


def supports(match: Match | None, identity: Identity, settings: DecisionSettings) -> bool:
    """Whether the gallery's answer is near enough to the subject of a track for it to keep its subject."""
    if match is None or match.subject_id != identity.subject_id:
        return False
    is_near = match.similarity >= match.threshold - settings.keep_margin
    return is_near and match.told_apart_margin >= settings.keep_told_apart_margin


def _is_certain(match: Match, aggregate: EmbeddingAggregate, settings: DecisionSettings) -> bool:
    if match.told_apart_margin < settings.told_apart_margin:
        return False
    if aggregate.sample_count >= settings.min_samples:
        return match.similarity >= match.threshold
    lead = match.similarity - match.runner_up_similarity
    return match.similarity >= match.threshold + settings.single_sample_margin and lead >= settings.single_sample_lead


def _has_seen_enough(aggregate: EmbeddingAggregate, settings: DecisionSettings) -> bool:
    return (
        aggregate.sample_count >= settings.unknown_min_samples
        and aggregate.total_quality >= settings.unknown_min_quality
    )


def _is_refuted(match: Match | None, aggregate: EmbeddingAggregate, settings: DecisionSettings) -> bool:
    """Whether an identified track must lose its subject: enough was seen, and even the best subject is too far away.

    Or another one is too close that was told apart from the best.
    """
    if match is not None and match.similarity >= match.threshold - settings.keep_margin:
        is_refuted = match.told_apart_margin < settings.keep_told_apart_margin
    else:
        is_refuted = True
    return is_refuted and _has_seen_enough(aggregate, settings)
