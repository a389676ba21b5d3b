"""Conversion of comparisons of two models to messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facet.server.shadow.comparison import Cost, Outcome, with_names
from facet.server.shadow.tally import Disagreement, ShadowTally, Similarities
from facet.server.wire import convert
from facet.server.wire.migrations import model
from facet.server.wire.terms import timestamp
from facet.v1 import migrations_pb2 as pb
from gallery.migration.shadowing import ModelRoles
from gallery.records.migrations import ModelVersion


def report(
    roles: ModelRoles,
    tally: ShadowTally | None,
    display_names: Mapping[str, str],
    loaded: Sequence[ModelVersion],
    *,
    include_crops: bool,
) -> pb.GetShadowReportResponse:
    """Convert what was compared in a gallery.

    Args:
        roles: its models.
        tally: what was compared; ``None`` if nothing was.
        display_names: the names of the subjects that disagreements name, by their ids.
        loaded: the embedding models that the server has.
        include_crops: whether to return the crops that are kept.
    """
    response = pb.GetShadowReportResponse(
        serving_model=model(roles.serving, loaded), shadow_model=model(roles.shadow, loaded), agreement_high=1.0
    )
    if tally is None:
        return response
    low, high = tally.agreement_interval
    response.MergeFrom(
        pb.GetShadowReportResponse(
            since=timestamp(tally.since),
            faces=tally.faces,
            dropped=tally.dropped,
            same_subject=tally.outcomes[Outcome.SAME_SUBJECT],
            both_unknown=tally.outcomes[Outcome.BOTH_UNKNOWN],
            only_serving=tally.outcomes[Outcome.ONLY_SERVING],
            only_shadow=tally.outcomes[Outcome.ONLY_SHADOW],
            different_subjects=tally.outcomes[Outcome.DIFFERENT_SUBJECTS],
            agreement=tally.agreement,
            agreement_low=low,
            agreement_high=high,
            independent_faces=tally.independent_faces,
            not_embedded=tally.outcomes[Outcome.NOT_EMBEDDED],
            serving_similarity=_similarity(tally.serving_similarity),
            shadow_similarity=_similarity(tally.shadow_similarity),
            serving_cost=_cost(tally.serving_cost.median()),
            shadow_cost=_cost(tally.shadow_cost.median()),
            disagreements=[
                _disagreement(each, display_names, include_crop=include_crops) for each in reversed(tally.disagreements)
            ],
        )
    )
    return response


def _similarity(found: Similarities) -> pb.SimilaritySummary:
    return pb.SimilaritySummary(
        mean=found.mean,
        p5=found.percentile(0.05),
        p50=found.percentile(0.5),
        p95=found.percentile(0.95),
        counts=found.counts,
    )


def _cost(found: Cost) -> pb.ShadowCost:
    return pb.ShadowCost(embed_ms=found.embed * 1e3, search_ms=found.search * 1e3)


def _disagreement(
    found: Disagreement, display_names: Mapping[str, str], *, include_crop: bool
) -> pb.ShadowDisagreement:
    return pb.ShadowDisagreement(
        time=timestamp(found.time),
        serving=convert.identification(with_names(found.serving, display_names)),
        shadow=convert.identification(with_names(found.shadow, display_names)),
        crop_png=found.crop_png if include_crop else b"",
    )
