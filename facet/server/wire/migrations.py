"""Conversion of migrations to messages."""

from __future__ import annotations

from collections.abc import Sequence

from facet.server.wire.terms import optional_timestamp, timestamp
from facet.v1 import migrations_pb2 as pb
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration, ModelVersion
from gallery.records.thresholds import ThresholdSource


def migration(gallery: Gallery, record: Migration, loaded: Sequence[ModelVersion]) -> pb.Migration:
    """Convert the migration of a gallery.

    Args:
        gallery: the gallery.
        record: its migration, or one that would be.
        loaded: the embedding models that the server has.
    """
    return pb.Migration(
        migration_id=record.migration_id,
        from_model=model(record.source, loaded),
        to_model=model(record.target, loaded),
        state=_state(gallery.contract, record),
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


def _state(contract: str, record: Migration) -> pb.MigrationState.ValueType:
    is_switched = record.is_switched(contract)
    if record.is_ending:
        return pb.MIGRATION_STATE_FINISHING if is_switched else pb.MIGRATION_STATE_CANCELLING
    return pb.MIGRATION_STATE_SWITCHED if is_switched else pb.MIGRATION_STATE_EMBEDDING
