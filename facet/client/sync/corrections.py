# Generated from facet/client/aio/corrections.py by scripts/generate_client.py; do not edit.
"""The methods of GalleryService that correct who is who."""

from __future__ import annotations

from collections.abc import Iterator

from facet.client.sync.calls import pages
from facet.client.sync.server import ServerMethods
from facet.v1 import gallery_service_pb2 as pb


class CorrectionMethods(ServerMethods):
    """Merge subjects, move templates, undo that, and tell subjects apart."""

    def merge_subjects(
        self,
        gallery_id: str,
        from_subject_id: str,
        into_subject_id: str,
        *,
        from_etag: str = "",
        into_etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.MergeSubjectsResponse:
        """Merge a subject into another one, because they are one person. Its id disappears.

        Args:
            gallery_id: the gallery.
            from_subject_id: the subject that disappears.
            into_subject_id: the subject that gets its templates, and keeps its id and name.
            from_etag: merge only if the etag of the first is still this one; empty to merge anyway.
            into_etag: the same for the second.
            request_id: the caller's id of this request; the same id again does not merge twice.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            Aborted: somebody else changed one of the subjects.
            FailedPrecondition: they were told apart, or have too many templates; the error's ``reason`` says which.
            InvalidArgument: the two are the same.
            NotFound: there is no such gallery or subject.
        """
        request = pb.MergeSubjectsRequest(
            gallery_id=gallery_id,
            from_subject_id=from_subject_id,
            into_subject_id=into_subject_id,
            from_etag=from_etag,
            into_etag=into_etag,
            request_id=request_id,
        )
        return self.galleries.MergeSubjects(request, timeout=timeout)

    def move_template(
        self,
        gallery_id: str,
        template_id: str,
        from_subject_id: str,
        into_subject_id: str,
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.MoveTemplateResponse:
        """Move a template to another subject, because it shows that person. The first subject stays.

        Args:
            gallery_id: the gallery.
            template_id: the template.
            from_subject_id: the subject that it belongs to.
            into_subject_id: the subject that gets it.
            request_id: the caller's id of this request; the same id again does not move twice.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the other subject has too many templates.
            InvalidArgument: the two are the same.
            NotFound: there is no such gallery, subject or template.
        """
        request = pb.MoveTemplateRequest(
            gallery_id=gallery_id,
            template_id=template_id,
            from_subject_id=from_subject_id,
            into_subject_id=into_subject_id,
            request_id=request_id,
        )
        return self.galleries.MoveTemplate(request, timeout=timeout)

    def undo_change(
        self, gallery_id: str, change_id: str, *, validate_only: bool = False, timeout: float | None = None
    ) -> pb.Change:
        """Undo a merge or a move, and return it.

        Args:
            gallery_id: the gallery.
            change_id: ``change.change_id`` of the answer to the merge or move.
            validate_only: check everything and answer as usual, but undo nothing.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: its time is up, or something was changed since; the error's ``reason`` says which.
            NotFound: there is no such gallery or change, or a subject that it is about was deleted.
        """
        request = pb.UndoChangeRequest(gallery_id=gallery_id, change_id=change_id, validate_only=validate_only)
        return (self.galleries.UndoChange(request, timeout=timeout)).change

    def list_changes(
        self,
        gallery_id: str,
        *,
        subject_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.ListChangesResponse:
        """Return a page of the merges and moves that can be undone, or were; :meth:`iter_changes` returns them all.

        Args:
            gallery_id: the gallery.
            subject_id: only the changes from or into this subject; empty for all.
            page_size: the most changes to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.ListChangesRequest(
            gallery_id=gallery_id, subject_id=subject_id, page_size=page_size, page_token=page_token
        )
        return self.galleries.ListChanges(request, timeout=timeout)

    def iter_changes(
        self, gallery_id: str, *, subject_id: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Change]:
        """Iterate over the merges and moves that can be undone, or were, the latest first.

        Args:
            gallery_id: the gallery.
            subject_id: only the changes from or into this subject; empty for all.
            page_size: changes a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        for page in pages(
            lambda token: self.list_changes(
                gallery_id, subject_id=subject_id, page_size=page_size, page_token=token, timeout=timeout
            )
        ):
            yield from page.changes

    def set_distinct(
        self,
        gallery_id: str,
        subject_id: str,
        other_subject_id: str,
        *,
        remove: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Tell two subjects apart, because they are two people who look alike, or take that back.

        Args:
            gallery_id: the gallery.
            subject_id: a subject.
            other_subject_id: another one.
            remove: take it back.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the gallery has too many pairs.
            InvalidArgument: the two are the same.
            NotFound: there is no such gallery or subject.
        """
        request = pb.SetDistinctRequest(
            gallery_id=gallery_id, subject_id=subject_id, other_subject_id=other_subject_id, remove=remove
        )
        self.galleries.SetDistinct(request, timeout=timeout)

    def list_distinct(
        self,
        gallery_id: str,
        *,
        subject_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.ListDistinctResponse:
        """Return a page of the pairs of subjects that were told apart; :meth:`iter_distinct` returns them all.

        Args:
            gallery_id: the gallery.
            subject_id: only the pairs of this subject; empty for all.
            page_size: the most pairs to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.ListDistinctRequest(
            gallery_id=gallery_id, subject_id=subject_id, page_size=page_size, page_token=page_token
        )
        return self.galleries.ListDistinct(request, timeout=timeout)

    def iter_distinct(
        self, gallery_id: str, *, subject_id: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.DistinctPair]:
        """Iterate over the pairs of subjects that were told apart. Pages are asked for as they are needed.

        Args:
            gallery_id: the gallery.
            subject_id: only the pairs of this subject; empty for all.
            page_size: pairs a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        for page in pages(
            lambda token: self.list_distinct(
                gallery_id, subject_id=subject_id, page_size=page_size, page_token=token, timeout=timeout
            )
        ):
            yield from page.pairs
