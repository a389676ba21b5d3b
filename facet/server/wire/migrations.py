"""Conversion of migrations to messages."""

from __future__ import annotations

from collections.abc import Sequence

from facet.server.wire.terms import optional_timestamp, timestamp
from facet.v1 import migrations_pb2 as pb
from gallery.migration.gaps import Gap
from gallery.migration.standing import GapReason, Standing
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration, ModelVersion
from gallery.records.thresholds import ThresholdSource

_REASONS = {
    GapReason.WAITING: pb.MIGRATION_GAP_REASON_WAITING,
    GapReason.NO_CROP: pb.MIGRATION_GAP_REASON_NO_CROP,
    GapReason.CROP_DAMAGED: pb.MIGRATION_GAP_REASON_CROP_DAMAGED,
    GapReason.NOT_EMBEDDED: pb.MIGRATION_GAP_REASON_NOT_EMBEDDED,
}


def migration(gallery: Gallery, record: Migration, loaded: Sequence[ModelVersion], standing: Standing) -> pb.Migration:
    """Convert the migration of a gallery.

    Args:
        gallery: the gallery.
        record: its migration, or one that would be.
        loaded: the embedding models that the server has.
        standing: where it stands.
    """
    return pb.Migration(
        migration_id=record.migration_id,
        from_model=model(record.source, loaded),
        to_model=model(record.target, loaded),
        state=_state(gallery.contract, record, standing),
        templates_done=standing.done,
        templates_waiting=standing.waiting,
        templates_missing=standing.missing,
        templates_per_second=standing.per_second,
        problem=standing.problem,
        start_time=timestamp(record.start_time),
        switch_time=optional_timestamp(record.switch_time),
        threshold=record.other.threshold,
        threshold_is_chosen=record.other.source is not ThresholdSource.DEFAULT,
        is_calibrated=record.other.source is ThresholdSource.CALIBRATION,
        shadow_share=record.shadow_share,
    )


def model(version: ModelVersion, loaded: Sequence[ModelVersion]) -> pb.MigrationModel:
    """Convert an embedding model."""
    return pb.MigrationModel(
        contract=version.contract,
        name=version.name,
        sha256=version.sha256,
        dimension=version.dimension,
        is_loaded=any(each.contract == version.contract for each in loaded),
    )


def gap(found: Gap, reason: GapReason) -> pb.MigrationGap:
    """Convert a template that misses an embedding."""
    subject_id, template_id = found.face.key
    return pb.MigrationGap(
        subject_id=subject_id,
        template_id=template_id,
        picture_sha256=found.face.template.picture_sha256 if found.face.template else "",
        reason=_REASONS[reason],
        display_name=found.face.subject.display_name,
        contract=found.contract,
    )


def _state(contract: str, record: Migration, standing: Standing) -> pb.MigrationState.ValueType:
    is_switched = record.is_switched(contract)
    if record.is_ending:
        return pb.MIGRATION_STATE_FINISHING if is_switched else pb.MIGRATION_STATE_CANCELLING
    if is_switched:
        return pb.MIGRATION_STATE_SWITCHED
    return pb.MIGRATION_STATE_READY if standing.is_ready else pb.MIGRATION_STATE_EMBEDDING
