"""Reports how the two models of a migration agree on live identifications."""

from __future__ import annotations

import asyncio
from functools import partial

from facet.server.shadow import message
from facet.server.shadow.shadow import Shadow
from facet.server.wire import validate
from facet.v1 import migrations_pb2 as pb
from gallery.galleries import Galleries


class ShadowReports:
    """Answers GetShadowReport.

    Args:
        shadow: compares the models.
        galleries: the galleries.
    """

    def __init__(self, shadow: Shadow, galleries: Galleries) -> None:
        self._shadow = shadow
        self._migrations = galleries.migrations

    async def report(self, request: pb.GetShadowReportRequest) -> pb.GetShadowReportResponse:
        """Answer a request.

        Raises:
            InvalidField: the request is invalid.
            GalleryNotFound: there is no such gallery.
            NoMigration: it is not being migrated.
            MigrationEnding: the migration is ending.
        """
        convert = partial(message.report, loaded=self._migrations.models, include_crops=request.include_crops)
        return await asyncio.to_thread(
            self._shadow.report, validate.gallery_id(request.gallery_id), convert, reset=request.reset
        )
