# Generated from facet/client/aio/galleries.py by scripts/generate_client.py; do not edit.
"""The methods of GalleryService for whole galleries."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from datetime import datetime

from facet.client.calibrations import Probe, calibration_requests
from facet.client.duplicates import DuplicateSearch, Resumption
from facet.client.errors import FacetError
from facet.client.sync.calls import download, pages, pause, upload
from facet.client.sync.connection import Connection
from facet.client.transfers import FileSource, ImportRequests, Received
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.types_pb2 import Embedding


class GalleryMethods(Connection):
    """Create, search, calibrate and move galleries."""

    def create_gallery(
        self,
        gallery_id: str = "",
        *,
        display_name: str = "",
        threshold: float | None = None,
        mean_of_best: int | None = None,
        policy: pb.GalleryPolicy | None = None,
        timeout: float | None = None,
    ) -> pb.Gallery:
        """Create a gallery.

        Args:
            gallery_id: its id; empty to let the server choose one.
            display_name: a name for people.
            threshold: the least similarity of a match, [-1, 1]; ``None`` for the server's default.
            mean_of_best: a subject's similarity is the mean over this many of its templates, the most similar ones, 1
                to 16; ``None`` for 1.
            policy: what it demands of the people in it, and how long it keeps them, see :func:`facet.policy`.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            AlreadyExists: there is a gallery of this id.
        """
        request = pb.CreateGalleryRequest(
            gallery_id=gallery_id,
            display_name=display_name,
            threshold=threshold,
            mean_of_best=mean_of_best,
            policy=policy,
        )
        return (self.galleries.CreateGallery(request, timeout=timeout)).gallery

    def get_gallery(self, gallery_id: str, *, timeout: float | None = None) -> pb.Gallery:
        """Return a gallery.

        Args:
            gallery_id: the gallery.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            NotFound: there is no gallery of this id.
        """
        request = pb.GetGalleryRequest(gallery_id=gallery_id)
        return (self.galleries.GetGallery(request, timeout=timeout)).gallery

    def list_galleries(
        self, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> pb.ListGalleriesResponse:
        """Return a page of the galleries, by id; :meth:`iter_galleries` returns them all.

        Args:
            page_size: the most galleries to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.ListGalleriesRequest(page_size=page_size, page_token=page_token)
        return self.galleries.ListGalleries(request, timeout=timeout)

    def iter_galleries(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[pb.Gallery]:
        """Iterate over all galleries, by id. Pages are asked for as they are needed.

        Args:
            page_size: galleries a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        for page in pages(lambda token: self.list_galleries(page_size=page_size, page_token=token, timeout=timeout)):
            yield from page.galleries

    def update_gallery(
        self,
        gallery_id: str,
        *,
        display_name: str | None = None,
        threshold: float | None = None,
        mean_of_best: int | None = None,
        policy: pb.GalleryPolicy | None = None,
        validate_only: bool = False,
        etag: str = "",
        timeout: float | None = None,
    ) -> pb.Gallery:
        """Change a gallery, and return it as it is now. An argument that is ``None`` changes nothing.

        A policy may let people expire at once; ``client.galleries.UpdateGallery`` also returns how many.

        Args:
            gallery_id: the gallery.
            display_name: its new name for people.
            threshold: its new threshold, [-1, 1].
            mean_of_best: see :meth:`create_gallery`.
            policy: its new policy, which replaces the old one as a whole; see :func:`facet.policy`.
            validate_only: check everything, but change nothing.
            etag: change it only if its etag is still this one; empty to change it anyway.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            Aborted: somebody else changed the gallery.
            FailedPrecondition: the policy requires consents that are not recorded.
            InvalidArgument: every change is ``None``.
            NotFound: there is no gallery of this id.
        """
        changes = {
            "display_name": display_name,
            "threshold": threshold,
            "mean_of_best": mean_of_best,
            "policy": policy,
        }
        request = pb.UpdateGalleryRequest(
            gallery=pb.Gallery(
                gallery_id=gallery_id,
                display_name=display_name or "",
                threshold=threshold or 0.0,
                mean_of_best=mean_of_best or 0,
                policy=policy,
                etag=etag,
            ),
            validate_only=validate_only,
        )
        request.update_mask.paths.extend(name for name, value in changes.items() if value is not None)
        return (self.galleries.UpdateGallery(request, timeout=timeout)).gallery

    def delete_gallery(
        self, gallery_id: str, *, force: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Delete a gallery.

        Args:
            gallery_id: the gallery.
            force: delete it even if it holds subjects.
            etag: delete it only if its etag is still this one; empty to delete it anyway.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            Aborted: somebody else changed the gallery.
            FailedPrecondition: it holds subjects.
            NotFound: there is no gallery of this id.
        """
        request = pb.DeleteGalleryRequest(gallery_id=gallery_id, force=force, etag=etag)
        self.galleries.DeleteGallery(request, timeout=timeout)

    def search_embedding(
        self,
        gallery_id: str,
        embedding: Embedding,
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        min_revision: str = "",
        timeout: float | None = None,
    ) -> pb.SearchEmbeddingResponse:
        """Identify an embedding that the program already has.

        Args:
            gallery_id: the gallery to search.
            embedding: the probe, as :meth:`analyze_faces` returns it.
            top_k: how many subjects to name, 1 to 100; ``None`` for 5.
            threshold: decide by this similarity, [-1, 1]; ``None`` for the gallery's.
            min_revision: the revision that a change has returned, perhaps from another server: the search notices that
                change. Empty: the server may lag behind others for a moment.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the embedding has another contract than the gallery.
        """
        request = pb.SearchEmbeddingRequest(
            gallery_id=gallery_id,
            embedding=embedding,
            top_k=top_k,
            threshold=threshold,
            min_revision=min_revision,
        )
        return self.galleries.SearchEmbedding(request, timeout=timeout)

    def export_gallery(
        self, gallery_id: str, *, progress: Callable[[int], None] | None = None, timeout: float | None = None
    ) -> Generator[bytes, None, None]:
        """Export a whole gallery as a file, in pieces. The file is complete once the iteration ends without an error.

        Args:
            gallery_id: the gallery.
            progress: called with the number of templates so far.
            timeout: seconds the whole export may take; ``None`` for no limit.

        Raises:
            DataLoss: the pieces that arrived are not those that were sent.
            NotFound: there is no gallery of this id.
        """
        received = Received()
        request = pb.ExportGalleryRequest(gallery_id=gallery_id)
        with closing(download(self.galleries.ExportGallery, request, timeout)) as responses:
            for response in responses:
                if chunk := received.take(response):
                    yield chunk
                if progress is not None:
                    progress(received.templates)
        received.finish()

    def list_erasures(
        self,
        gallery_id: str = "",
        subject_id: str = "",
        *,
        since: datetime | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.ListErasuresResponse:
        """Return a page of the records of erasures, the oldest first, and with the first page the known copies.

        Args:
            gallery_id: the gallery, which may be deleted; empty for all galleries.
            subject_id: a subject of the gallery; empty for all subjects.
            since: only erasures since this time, which has a time zone; ``None`` for all that are kept.
            page_size: the most records to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the galleries are in Milvus, and have no such records.
        """
        request = pb.ListErasuresRequest(
            gallery_id=gallery_id, subject_id=subject_id, page_size=page_size, page_token=page_token
        )
        if since is not None:
            request.since.FromDatetime(since)
        return self.galleries.ListErasures(request, timeout=timeout)

    def iter_erasures(
        self,
        gallery_id: str = "",
        subject_id: str = "",
        *,
        since: datetime | None = None,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[pb.Erasure]:
        """Iterate over the records of erasures, the oldest first. Pages are asked for as they are needed.

        Args:
            gallery_id: the gallery, which may be deleted; empty for all galleries.
            subject_id: a subject of the gallery; empty for all subjects.
            since: only erasures since this time, which has a time zone; ``None`` for all that are kept.
            page_size: records a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        for page in pages(
            lambda token: self.list_erasures(
                gallery_id, subject_id, since=since, page_size=page_size, page_token=token, timeout=timeout
            )
        ):
            yield from page.erasures

    def list_outcomes(
        self, gallery_id: str, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> pb.ListOutcomesResponse:
        """Return a page of what clients said about the answers of a gallery, the one said first at the beginning.

        Args:
            gallery_id: the gallery.
            page_size: the most outcomes to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            NotFound: there is no gallery of this id.
        """
        request = pb.ListOutcomesRequest(gallery_id=gallery_id, page_size=page_size, page_token=page_token)
        return self.galleries.ListOutcomes(request, timeout=timeout)

    def iter_outcomes(
        self, gallery_id: str, *, page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Outcome]:
        """Iterate over what clients said about the answers of a gallery. Pages are asked for as they are needed.

        Args:
            gallery_id: the gallery.
            page_size: outcomes a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        for page in pages(
            lambda token: self.list_outcomes(gallery_id, page_size=page_size, page_token=token, timeout=timeout)
        ):
            yield from page.outcomes

    def import_gallery(
        self, source: FileSource, gallery_id: str = "", *, validate_only: bool = False, timeout: float | None = None
    ) -> pb.Gallery:
        """Create a gallery from an exported file, all of it or nothing.

        Args:
            source: the file. It is read on a thread.
            gallery_id: the id of the new gallery; empty for the id in the file.
            validate_only: check everything, but keep nothing.
            timeout: seconds the whole import may take; ``None`` for no limit.

        Raises:
            AlreadyExists: there is a gallery of this id.
            InvalidArgument: the file is damaged or of another kind.
            OSError: the file cannot be read.
        """
        with closing(
            ImportRequests(source, pb.ImportTarget(gallery_id=gallery_id, validate_only=validate_only))
        ) as sent:
            return (upload(self.galleries.ImportGallery, sent, timeout)).gallery

    def calibrate(
        self,
        gallery_id: str,
        target_fpir: float,
        probes: Iterable[Probe] | None = None,
        *,
        for_template_count: int | None = None,
        cohort_gallery_id: str = "",
        data_set: str = "",
        without_suspects: bool = False,
        insist: bool = False,
        validate_only: bool = False,
        etag: str = "",
        contract: str = "",
        progress: Callable[[int], None] | None = None,
        timeout: float | None = None,
    ) -> pb.CalibrateGalleryResponse:
        """Choose a gallery's threshold for a false-positive identification rate, and keep the evidence with it.

        Args:
            gallery_id: the gallery.
            target_fpir: the share of searches for unknown people that may find somebody, [1e-9, 0.5].
            probes: for each search a subject's id and a picture of the person, or a CalibrationProbe message, which can
                say which face is meant. ``None`` searches for the gallery's own people among its others.
            for_template_count: choose the threshold for a gallery of this many templates; ``None`` for as many as it
                has.
            cohort_gallery_id: without probes, also search for the people of this gallery.
            data_set: a name of the probes for people.
            without_suspects: leave out pairs of subjects that may be one person.
            insist: set the threshold although the forecast says that it is unreliable.
            validate_only: check everything, but keep nothing. An unreliable threshold is not refused: the forecast of
                the answer says why it is.
            etag: calibrate only if the gallery's etag is still this one; empty to calibrate anyway.
            contract: the embedding contract whose threshold to choose, in a migration: that of either model; empty for
                the gallery's. The threshold of the model that does not search is that of Gallery.migration.
            progress: called with the number of probes that were sent. The server takes them as it has room.
            timeout: seconds the whole calibration may take; ``None`` for no limit.

        Raises:
            FailedPrecondition: there were too few searches for this target (TOO_FEW_SEARCHES), or the threshold would
                be unreliable (CALIBRATION_UNRELIABLE); ``metadata`` has the figures.
            OSError: a picture cannot be read; nothing was changed.
            ValueError: there are no probes.
        """
        settings = pb.CalibrationSettings(
            gallery_id=gallery_id,
            target_fpir=target_fpir,
            for_template_count=for_template_count,
            cohort_gallery_id=cohort_gallery_id,
            data_set=data_set,
            without_suspects=without_suspects,
            insist=insist,
            validate_only=validate_only,
            etag=etag,
            contract=contract,
            against_itself=probes is None,
            probe_count=len(probes) if isinstance(probes, Sized) else None,
        )
        sent = calibration_requests(settings, probes, progress)
        return upload(self.galleries.CalibrateGallery, sent, timeout)

    def find_duplicates(
        self,
        gallery_id: str,
        *,
        least_chance: float | None = None,
        max_findings: int = 1000,
        include_crops: bool = False,
        search: DuplicateSearch | None = None,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> list[pb.DuplicateFinding]:
        """Find subjects who are one person, and templates of somebody else; the most probable first.

        A large gallery takes a while: a million templates about half an hour. While no server answers, for at most a
        minute, the call is made again and goes on.

        Args:
            gallery_id: the gallery.
            least_chance: leave out what is less probable, [0.05, 1]; ``None`` for 0.5.
            max_findings: how many are returned, 1 to 10,000.
            include_crops: return the faces as well, if the server keeps them.
            search: collects what is found, instead of ``max_findings``. If the call breaks off, the same one goes on.
            progress: called with the templates that were searched for, and all there are.
            timeout: seconds that each call may take; ``None`` for no limit.

        Raises:
            InvalidArgument: the resume token of the search is not one of this gallery.
            NotFound: there is no gallery of this id.
            ResourceExhausted: the gallery is being searched already.
        """
        search = search or DuplicateSearch(max_findings)
        resumption = Resumption()
        while True:
            request = pb.FindDuplicatesRequest(
                gallery_id=gallery_id,
                least_chance=least_chance,
                max_findings=search.max_findings,
                resume_token=search.resume_token,
                include_crops=include_crops,
            )
            try:
                with closing(download(self.galleries.FindDuplicates, request, timeout)) as responses:
                    for response in responses:
                        search.take(response)
                        resumption.succeeded()
                        if progress is not None:
                            progress(search.templates_done, search.template_count)
            except FacetError as error:
                seconds = resumption.pause(error)
            else:
                return search.findings
            pause(seconds)
