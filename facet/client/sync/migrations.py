# Generated from facet/client/aio/migrations.py by scripts/generate_client.py; do not edit.
"""The methods of GalleryService that take a gallery to another embedding model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from facet.client.pictures import PictureSource
from facet.client.sync.calls import pages, read
from facet.client.sync.connection import Connection
from facet.v1 import migrations_pb2 as pb


class MigrationMethods(Connection):
    """Migrate galleries to another embedding model, while searches go on. Gallery.migration says where one stands."""

    def start_migration(
        self, gallery_id: str, to_model: str, *, validate_only: bool = False, timeout: float | None = None
    ) -> pb.StartMigrationResponse:
        """Start the migration of a gallery. The server makes embeddings of the new model from kept crops.

        Args:
            gallery_id: the gallery.
            to_model: the new model: its name, the beginning of its file's SHA-256 (8 digits or more), or its embedding
                contract. The server has it loaded, see the setting ``models.embedding_next``.
            validate_only: check everything and answer as usual, but start nothing.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: a migration is under way, the gallery has this model, or a model is not loaded; the
                error's ``reason`` says which.
            NotFound: there is no such gallery.
            ResourceExhausted: the disk is too small for the embeddings of both models (STORAGE_FULL).
        """
        request = pb.StartMigrationRequest(gallery_id=gallery_id, to_model=to_model, validate_only=validate_only)
        return self.galleries.StartMigration(request, timeout=timeout)

    def update_migration(
        self,
        gallery_id: str,
        *,
        threshold: float | None = None,
        shadow_share: float | None = None,
        timeout: float | None = None,
    ) -> pb.Migration:
        """Change a migration, and return it as it is now. An argument that is ``None`` changes nothing.

        Args:
            gallery_id: the gallery.
            threshold: the threshold of the model that does not search, [-1, 1].
            shadow_share: the share of live identifications that are searched with both models, [0, 1].
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated, the migration is ending, or a model is not loaded;
                the error's ``reason`` says which.
            InvalidArgument: both changes are ``None``, or one is out of its range.
            NotFound: there is no such gallery.
        """
        changes = {"threshold": threshold, "shadow_share": shadow_share}
        request = pb.UpdateMigrationRequest(
            gallery_id=gallery_id, threshold=threshold or 0.0, shadow_share=shadow_share or 0.0
        )
        request.update_mask.paths.extend(name for name, value in changes.items() if value is not None)
        return (self.galleries.UpdateMigration(request, timeout=timeout)).migration

    def list_migration_gaps(
        self, gallery_id: str, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> pb.ListMigrationGapsResponse:
        """Return a page of the templates without an embedding of one of the two models.

        :meth:`iter_migration_gaps` returns them all.

        Args:
            gallery_id: the gallery.
            page_size: the most gaps to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated.
            NotFound: there is no such gallery.
        """
        request = pb.ListMigrationGapsRequest(gallery_id=gallery_id, page_size=page_size, page_token=page_token)
        return self.galleries.ListMigrationGaps(request, timeout=timeout)

    def iter_migration_gaps(
        self, gallery_id: str, *, page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.MigrationGap]:
        """Iterate over the templates without an embedding of one of the two models, by subject.

        Args:
            gallery_id: the gallery.
            page_size: gaps a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        for page in pages(
            lambda token: self.list_migration_gaps(gallery_id, page_size=page_size, page_token=token, timeout=timeout)
        ):
            yield from page.gaps

    def fill_migration_gap(
        self,
        gallery_id: str,
        picture: PictureSource,
        *,
        subject_ids: Iterable[str] = (),
        timeout: float | None = None,
    ) -> pb.FillMigrationGapResponse:
        """Make the missing embeddings of the templates of a picture from the picture itself.

        Args:
            gallery_id: the gallery.
            picture: the original picture, byte for byte as it was enrolled, see :func:`facet.picture`. Its SHA-256
                tells of which templates it is.
            subject_ids: fill only templates of these subjects, at most 100; empty for all.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated, the migration is ending, or the model that does not
                search is not loaded; the error's ``reason`` says which.
            InvalidArgument: the picture cannot be read.
            NotFound: there is no such gallery.
        """
        request = pb.FillMigrationGapRequest(gallery_id=gallery_id, picture=read(picture), subject_ids=subject_ids)
        return self.galleries.FillMigrationGap(request, timeout=timeout)

    def switch_migration(
        self,
        gallery_id: str,
        *,
        allow_missing: bool = False,
        allow_default_threshold: bool = False,
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> pb.Migration:
        """Let the new model search, with its own threshold, and return the migration as it is now.

        Args:
            gallery_id: the gallery.
            allow_missing: switch although templates have no embedding of the new model: nobody is found by them until
                they have one.
            allow_default_threshold: switch although nobody chose the threshold of the new model.
            validate_only: check everything and answer as usual, but switch nothing.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated, is switched, or is not ready; the error's ``reason``
                says which.
            NotFound: there is no such gallery.
        """
        request = pb.SwitchMigrationRequest(
            gallery_id=gallery_id,
            allow_missing=allow_missing,
            allow_default_threshold=allow_default_threshold,
            validate_only=validate_only,
        )
        return (self.galleries.SwitchMigration(request, timeout=timeout)).migration

    def roll_back_migration(
        self, gallery_id: str, *, allow_missing: bool = False, timeout: float | None = None
    ) -> pb.Migration:
        """Let the old model search again, with its own threshold, and return the migration as it is now.

        Args:
            gallery_id: the gallery.
            allow_missing: roll back although templates have no embedding of the old model: nobody is found by them
                until they have one.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated, is not switched, or templates have no embedding of
                the old model; the error's ``reason`` says which.
            NotFound: there is no such gallery.
        """
        request = pb.RollBackMigrationRequest(gallery_id=gallery_id, allow_missing=allow_missing)
        return (self.galleries.RollBackMigration(request, timeout=timeout)).migration

    def finish_migration(
        self,
        gallery_id: str,
        *,
        delete_missing: bool = False,
        delete_crops: bool = False,
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> pb.FinishMigrationResponse:
        """End a migration that is switched: the embeddings of the old model are dropped. There is no way back.

        Args:
            gallery_id: the gallery.
            delete_missing: delete the templates that have no embedding of the new model.
            delete_crops: delete the crops of all templates, too.
            validate_only: check everything and answer as usual, but change nothing.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated, is not switched, or templates have no embedding of
                the new model; the error's ``reason`` says which.
            NotFound: there is no such gallery.
        """
        request = pb.FinishMigrationRequest(
            gallery_id=gallery_id,
            delete_missing=delete_missing,
            delete_crops=delete_crops,
            validate_only=validate_only,
        )
        return self.galleries.FinishMigration(request, timeout=timeout)

    def cancel_migration(
        self, gallery_id: str, *, delete_missing: bool = False, timeout: float | None = None
    ) -> pb.CancelMigrationResponse:
        """End a migration that is not switched: the embeddings of the new model are dropped.

        Args:
            gallery_id: the gallery.
            delete_missing: delete the templates that have no embedding of the old model.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated, is switched, or templates have no embedding of the
                old model; the error's ``reason`` says which.
            NotFound: there is no such gallery.
        """
        request = pb.CancelMigrationRequest(gallery_id=gallery_id, delete_missing=delete_missing)
        return self.galleries.CancelMigration(request, timeout=timeout)

    def get_shadow_report(
        self, gallery_id: str, *, include_crops: bool = False, reset: bool = False, timeout: float | None = None
    ) -> pb.GetShadowReportResponse:
        """Return how the two models of a migration agreed on the identifications that were searched with both.

        Args:
            gallery_id: the gallery.
            include_crops: return the faces that the models disagree about, where the server may keep crops.
            reset: forget what was compared, after it is returned.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery is not being migrated.
            NotFound: there is no such gallery.
        """
        request = pb.GetShadowReportRequest(gallery_id=gallery_id, include_crops=include_crops, reset=reset)
        return self.galleries.GetShadowReport(request, timeout=timeout)
