"""The methods of GalleryService that migrate a gallery to another embedding model."""

from __future__ import annotations

import asyncio
import math

from facet.server.errors import InvalidField
from facet.server.services.corrections import CorrectionServicer
from facet.server.services.pictures import Context
from facet.server.wire import migrations, validate
from facet.v1 import migrations_pb2 as pb
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery


class MigrationServicer(CorrectionServicer):
    """Implements the migration of galleries.

    Args:
        galleries: the galleries.
    """

    def __init__(self, galleries: Galleries) -> None:
        super().__init__(galleries)
        self._migrations = galleries.migrations

    async def StartMigration(self, request: pb.StartMigrationRequest, context: Context) -> pb.StartMigrationResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        to_model = validate.display_name(request.to_model, "to_model")
        if not to_model:
            raise InvalidField("to_model", "is missing")
        begin = self._migrations.plan if request.validate_only else self._migrations.start
        plan = await asyncio.to_thread(begin, gallery_id, to_model)
        gallery = await asyncio.to_thread(self._galleries.get_gallery, gallery_id)
        return pb.StartMigrationResponse(
            migration=migrations.migration(gallery, plan.migration, self._migrations.models),
            templates_with_crop=plan.with_crop,
            templates_without_crop=plan.without_crop,
            bytes_needed=plan.bytes_needed,
        )

    async def UpdateMigration(self, request: pb.UpdateMigrationRequest, context: Context) -> pb.UpdateMigrationResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        changed = validate.update_mask(request.update_mask, frozenset({"threshold", "shadow_share"}))
        threshold = validate.similarity(request.threshold, "threshold") if "threshold" in changed else None
        share = request.shadow_share if "shadow_share" in changed else None
        if share is not None and not (math.isfinite(share) and 0 <= share <= 1):
            raise InvalidField("shadow_share", "must be in [0, 1]")
        gallery = await asyncio.to_thread(self._migrations.update, gallery_id, threshold=threshold, shadow_share=share)
        return pb.UpdateMigrationResponse(migration=self._of(gallery))

    async def SwitchMigration(self, request: pb.SwitchMigrationRequest, context: Context) -> pb.SwitchMigrationResponse:
        """See the proto."""
        gallery = await asyncio.to_thread(
            self._migrations.switch,
            validate.gallery_id(request.gallery_id),
            allow_missing=request.allow_missing,
            allow_default_threshold=request.allow_default_threshold,
            validate_only=request.validate_only,
        )
        return pb.SwitchMigrationResponse(migration=self._of(gallery))

    async def RollBackMigration(
        self, request: pb.RollBackMigrationRequest, context: Context
    ) -> pb.RollBackMigrationResponse:
        """See the proto."""
        gallery = await asyncio.to_thread(
            self._migrations.roll_back,
            validate.gallery_id(request.gallery_id),
            allow_missing=request.allow_missing,
        )
        return pb.RollBackMigrationResponse(migration=self._of(gallery))

    async def FinishMigration(self, request: pb.FinishMigrationRequest, context: Context) -> pb.FinishMigrationResponse:
        """See the proto."""
        gallery, deleted = await asyncio.to_thread(
            self._migrations.finish,
            validate.gallery_id(request.gallery_id),
            delete_missing=request.delete_missing,
            validate_only=request.validate_only,
        )
        return pb.FinishMigrationResponse(migration=self._of(gallery), templates_deleted=deleted)

    async def CancelMigration(self, request: pb.CancelMigrationRequest, context: Context) -> pb.CancelMigrationResponse:
        """See the proto."""
        gallery, deleted = await asyncio.to_thread(
            self._migrations.cancel,
            validate.gallery_id(request.gallery_id),
            delete_missing=request.delete_missing,
        )
        return pb.CancelMigrationResponse(migration=self._of(gallery), templates_deleted=deleted)

    def _of(self, gallery: Gallery) -> pb.Migration | None:
        if gallery.migration is None:
            return None
        return migrations.migration(gallery, gallery.migration, self._migrations.models)
