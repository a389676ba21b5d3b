"""Where the migration of a gallery stands, as its benchmark asks."""

from __future__ import annotations

from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb


def is_embedded(gallery: gallery_pb.Gallery) -> bool:
    """Whether all embeddings of the other model are made that can be made."""
    return gallery.migration.state != pb.MIGRATION_STATE_EMBEDDING


def is_over(gallery: gallery_pb.Gallery, to_model: str) -> bool:
    """Whether the gallery has a model, and no migration any more; ``to_model`` is its contract."""
    return gallery.contract == to_model and not gallery.HasField("migration")
