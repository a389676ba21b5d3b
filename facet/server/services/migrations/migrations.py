"""The methods of GalleryService that migrate a gallery to another embedding model."""

from __future__ import annotations

import asyncio
import math

from facet.server.errors import InvalidField
from facet.server.migrations.worker import MigrationWorker
from facet.server.scheduling.work import Priority
from facet.server.scheduling.workers import Workers
from facet.server.services.corrections import CorrectionServicer
from facet.server.services.migrations.gaps import MigrationGaps
from facet.server.services.pictures import Context, begin
from facet.server.wire import migrations, validate
from facet.v1 import migrations_pb2 as pb
from gallery.galleries import Galleries
from gallery.migration.standing import Standing
from gallery.records.galleries import Gallery
from recognizer.pipeline import FacePipeline


class MigrationServicer(CorrectionServicer):
    """Implements the migration of galleries.

    Args:
        pipeline: the models.
        workers: the threads that run them.
        galleries: the galleries.
        worker: makes and drops embeddings in the background.
    """

    def __init__(self, pipeline: FacePipeline, workers: Workers, galleries: Galleries, worker: MigrationWorker) -> None:
        super().__init__(galleries)
        self._worker = worker
        self._gaps = MigrationGaps(pipeline, workers, galleries, worker)

    async def StartMigration(self, request: pb.StartMigrationRequest, context: Context) -> pb.StartMigrationResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        to_model = validate.display_name(request.to_model, "to_model")
        if not to_model:
            raise InvalidField("to_model", "is missing")
        begin = self._galleries.migrations.plan if request.validate_only else self._galleries.migrations.start
        plan = await asyncio.to_thread(begin, gallery_id, to_model)
        gallery = await asyncio.to_thread(self._galleries.get_gallery, gallery_id)
        self._worker.look()
        standing = Standing(0, plan.with_crop, plan.without_crop)
        return pb.StartMigrationResponse(
            migration=migrations.migration(gallery, plan.migration, self._galleries.migrations.models, standing),
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
        gallery = await asyncio.to_thread(
            self._galleries.migrations.update, gallery_id, threshold=threshold, shadow_share=share
        )
        return pb.UpdateMigrationResponse(migration=await self._changed(gallery))

    async def SwitchMigration(self, request: pb.SwitchMigrationRequest, context: Context) -> pb.SwitchMigrationResponse:
        """See the proto."""
        gallery = await asyncio.to_thread(
            self._galleries.migrations.switch,
            validate.gallery_id(request.gallery_id),
            allow_missing=request.allow_missing,
            allow_default_threshold=request.allow_default_threshold,
            validate_only=request.validate_only,
        )
        return pb.SwitchMigrationResponse(migration=await self._changed(gallery))

    async def RollBackMigration(
        self, request: pb.RollBackMigrationRequest, context: Context
    ) -> pb.RollBackMigrationResponse:
        """See the proto."""
        gallery = await asyncio.to_thread(
            self._galleries.migrations.roll_back,
            validate.gallery_id(request.gallery_id),
            allow_missing=request.allow_missing,
        )
        return pb.RollBackMigrationResponse(migration=await self._changed(gallery))

    async def FinishMigration(self, request: pb.FinishMigrationRequest, context: Context) -> pb.FinishMigrationResponse:
        """See the proto."""
        gallery, deleted = await asyncio.to_thread(
            self._galleries.migrations.finish,
            validate.gallery_id(request.gallery_id),
            delete_missing=request.delete_missing,
            delete_crops=request.delete_crops,
            validate_only=request.validate_only,
        )
        return pb.FinishMigrationResponse(migration=await self._changed(gallery), templates_deleted=deleted)

    async def CancelMigration(self, request: pb.CancelMigrationRequest, context: Context) -> pb.CancelMigrationResponse:
        """See the proto."""
        gallery, deleted = await asyncio.to_thread(
            self._galleries.migrations.cancel,
            validate.gallery_id(request.gallery_id),
            delete_missing=request.delete_missing,
        )
        return pb.CancelMigrationResponse(migration=await self._changed(gallery), templates_deleted=deleted)

    async def ListMigrationGaps(
        self, request: pb.ListMigrationGapsRequest, context: Context
    ) -> pb.ListMigrationGapsResponse:
        """See the proto."""
        return await self._gaps.page(request)

    async def FillMigrationGap(
        self, request: pb.FillMigrationGapRequest, context: Context
    ) -> pb.FillMigrationGapResponse:
        """See the proto."""
        return await self._gaps.fill(request, begin(context, "FillMigrationGap", Priority.BATCH))

    async def _changed(self, gallery: Gallery) -> pb.Migration | None:
        """Return the migration of a gallery that a call has changed."""
        self._worker.look()
        return await asyncio.to_thread(self._of, gallery)

    def _of(self, gallery: Gallery) -> pb.Migration | None:
        if gallery.migration is None:
            return None
        standing = self._worker.standing(gallery)
        return migrations.migration(gallery, gallery.migration, self._galleries.migrations.models, standing)
