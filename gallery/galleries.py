"""All galleries of a server: what is kept in the store, and what is searched in memory, as one thing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from gallery.calibration import searches as calibrating
from gallery.calibration.searches import Closest, Evidence
from gallery.calibration.thresholds import Chosen, standing
from gallery.embeddings import normalized
from gallery.enrollment import Enrolling, new_etag
from gallery.errors import (
    ContractMismatch,
    EtagMismatch,
    GalleryExists,
    GalleryNotFound,
    InvalidImport,
    SubjectWithoutTemplates,
)
from gallery.pages import last_id, page_of
from gallery.ranking import decide
from gallery.records.calibrations import Standing
from gallery.records.records import Enrolled, Enrollment, Gallery, Identification, Page, Subject, Template
from gallery.registry import Searchable, Settings, Shelf
from gallery.search_pool import SearchPool
from gallery.stores.base import Store

if TYPE_CHECKING:
    from gallery.transfer.transfer import Piece

_GALLERIES = ("galleries",)


class Galleries:
    """Galleries, their subjects and templates, and whose a probe is.

    What was written is on disk and seen by every search that begins after the method has returned; what was
    deleted is gone from memory and from the store's files. Where a method raises, nothing of what it was to
    do is there, but for one case: a deletion or renaming whose traces could not be erased has happened,
    raises :class:`gallery.errors.StorageError`, and the next deletion erases them too.

    Changes of one gallery wait for each other, so that two enrolments cannot pass the look-alike check side
    by side. Searches wait for no change and for no other search, and touch no store but one that keeps the
    index, or that other processes write to. Thresholds are rounded to float32, as similarities are, so that what
    is compared here and what a client sees agree.

    A gallery of another contract than the server's can be listed, read, renamed and deleted; to enrol or to
    search raises :class:`gallery.errors.ContractMismatch`.

    Every method may raise :class:`gallery.errors.GalleryNotFound` for its gallery, and
    :class:`gallery.errors.StorageError`. Page sizes are at least 1. An empty etag is not compared.

    Args:
        store: where all is kept; closed by :meth:`close`.
        contract: the embedding contract of the server's model.
        dimension: how many values its embeddings have.
        max_templates_per_subject: at least 1.
        search_threads: most threads that work on one search, at least 1; best one for each core of the process.

    Raises:
        StorageError: the store cannot be read, or holds embeddings of another dimension under this contract.
    """

    def __init__(
        self,
        store: Store,
        *,
        contract: str,
        dimension: int,
        max_templates_per_subject: int,
        search_threads: int = 1,
    ) -> None:
        self._store = store
        self._contract = contract
        self._dimension = dimension
        self._max_templates = max_templates_per_subject
        self._shelf = Shelf(store, contract=contract, dimension=dimension, pool=SearchPool(search_threads))

    def create_gallery(self, gallery_id: str, *, display_name: str, threshold: float, mean_of_best: int = 1) -> Gallery:
        """Create a gallery of the server's contract; an empty id asks for a new UUIDv7.

        Raises:
            GalleryExists: the id is taken.
        """
        now = datetime.now(UTC)
        gallery = Gallery(
            gallery_id=gallery_id or str(uuid_utils.uuid7()),
            display_name=display_name,
            threshold=_float32(threshold),
            mean_of_best=mean_of_best,
            contract=self._contract,
            subject_count=0,
            template_count=0,
            create_time=now,
            update_time=now,
            etag=new_etag(),
        )
        with self._shelf.changing:
            self._store.create_gallery(gallery)
            self._shelf.put(gallery)
        return gallery

    def get_gallery(self, gallery_id: str) -> Gallery:
        """Answer a gallery."""
        return self._store.gallery(gallery_id)

    def list_galleries(self, *, page_size: int, page_token: str = "") -> Page[Gallery]:
        """List galleries by id.

        Raises:
            InvalidPageToken: not a token of this list.
        """
        after = last_id(page_token, scope=_GALLERIES)
        found = self._store.galleries(after=after, limit=page_size + 1)
        ids = [gallery.gallery_id for gallery in found]
        return page_of(found, ids, page_size=page_size, scope=_GALLERIES)

    def update_gallery(
        self,
        gallery_id: str,
        *,
        display_name: str | None = None,
        threshold: float | None = None,
        mean_of_best: int | None = None,
        etag: str = "",
    ) -> Gallery:
        """Change what is not ``None``.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
        """
        with self._writing(gallery_id) as searchable:
            gallery = self._store.update_gallery(
                gallery_id,
                display_name=display_name,
                threshold=None if threshold is None else _float32(threshold),
                mean_of_best=mean_of_best,
                etag=etag,
                new_etag=new_etag(),
                at=datetime.now(UTC),
            )
            searchable.settings = Settings.of(gallery)
            return gallery

    def begin_calibration(self, gallery_id: str, *, etag: str = "") -> Gallery:
        """The gallery that is to be calibrated, which can be searched.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            ContractMismatch: the gallery is of another contract than the server.
        """
        self.need_searchable(gallery_id)
        gallery = self._store.gallery(gallery_id)
        if etag and etag != gallery.etag:
            raise EtagMismatch(gallery_id, "", expected=gallery.etag, found=etag)
        return gallery

    def search_strangers(
        self, gallery: Gallery, probes: NDArray[np.float32], subject_ids: Sequence[str]
    ) -> list[Closest]:
        """Search for people among the others: see :func:`gallery.calibration.searches.closest`.

        Args:
            gallery: what :meth:`begin_calibration` answered; its ``mean_of_best`` is used to the end.
            probes: shape ``(n, dimension)``.
            subject_ids: whose each is.

        Raises:
            ContractMismatch: the gallery is of another contract than the server.
            InvalidEmbedding: a probe is of another dimension, not finite, or without a length.
        """
        return calibrating.closest(
            self._shelf.find(gallery.gallery_id).index_for(self._contract),
            normalized(probes, dimension=self._dimension),
            subject_ids,
            mean_of_best=gallery.mean_of_best,
        )

    def search_itself(self, gallery: Gallery, cohort_id: str, *, check: Callable[[], None]) -> Evidence:
        """Search for a gallery's own people among the others: see :func:`gallery.calibration.searches.among_others`.

        Args:
            gallery: what :meth:`begin_calibration` answered; its ``mean_of_best`` is used to the end.
            cohort_id: another gallery; empty for none.
            check: called now and then; what it raises ends the search.

        Raises:
            ContractMismatch: the gallery or the cohort is of another contract than the server.
        """
        if cohort_id:
            self.need_searchable(cohort_id)
        return calibrating.among_others(
            self._store,
            self._shelf.find(gallery.gallery_id).index_for(self._contract),
            gallery.gallery_id,
            cohort_id,
            mean_of_best=gallery.mean_of_best,
            check=check,
        )

    def calibrate(
        self,
        gallery: Gallery,
        evidence: Evidence,
        *,
        target_fpir: float,
        for_templates: int = 0,
        without_suspects: bool = False,
        etag: str = "",
        validate_only: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[Gallery, Chosen]:
        """Set a gallery's threshold to what its evidence says, and keep that with it.

        Args:
            gallery: what :meth:`begin_calibration` answered, before the searches.
            evidence: the searches.
            target_fpir: see :func:`gallery.calibration.searches.conclude`.
            for_templates: the same.
            without_suspects: the same.
            etag: where it is set it must be the current one.
            validate_only: check everything and answer as if, but keep nothing.
            check: called before anything is kept; what it raises ends the calibration.

        Raises:
            GalleryNotFound: the gallery was deleted meanwhile.
            EtagMismatch: ``etag`` is not the current one, or ``mean_of_best`` was changed meanwhile, so that the
                searches are of other similarities.
            TooFewSearches: see :func:`gallery.calibration.searches.conclude`.
        """
        now = datetime.now(UTC)
        calibration, chosen = calibrating.conclude(
            gallery,
            evidence,
            target_fpir=target_fpir,
            for_templates=for_templates,
            without_suspects=without_suspects,
            at=now,
        )
        check()
        with self._writing(gallery.gallery_id) as searchable:
            self._need_unchanged(gallery, etag)
            if validate_only:
                return replace(gallery, threshold=chosen.threshold, calibration=calibration), chosen
            kept = self._store.update_gallery(
                gallery.gallery_id,
                display_name=None,
                threshold=chosen.threshold,
                mean_of_best=None,
                calibration=calibration,
                etag=etag,
                new_etag=new_etag(),
                at=now,
            )
            searchable.settings = Settings.of(kept)
            return kept, chosen

    def calibration_of(self, gallery: Gallery) -> Standing:
        """How the calibration of a gallery stands."""
        return standing(
            gallery.calibration,
            contract=self._contract,
            threshold=gallery.threshold,
            mean_of_best=gallery.mean_of_best,
            templates=gallery.template_count,
        )

    def delete_gallery(self, gallery_id: str, *, force: bool = False, etag: str = "") -> None:
        """Delete a gallery; with ``force`` also where it holds subjects.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            GalleryNotEmpty: it holds subjects, and ``force`` is not set.
        """
        with self._erasing(gallery_id) as searchable:
            with self._shelf.changing:
                self._store.delete_gallery(gallery_id, force=force, etag=etag)
                self._shelf.drop(gallery_id)
            if searchable.index is not None:
                searchable.index.clear()

    def enroll(
        self, gallery_id: str, subject_id: str, enrollment: Enrollment, *, validate_only: bool = False
    ) -> Enrolled:
        """Make a face a template of a subject, which is created where it does not exist.

        The same face is enrolled once: where a template of the subject was taken from the same picture, from
        a box that overlaps by :data:`gallery.enrollment.SAME_FACE_IOU`, that template is answered. Another
        face of that picture is another template. A request id that was answered before is answered with the
        same template again, for as long as that template lives.

        A face looks like another subject where the gallery would identify it so: the other subject's best
        template reaches the threshold and is nearer than the best one of its own subject.

        Args:
            gallery_id: the gallery.
            subject_id: the subject; empty asks for a new one with a new UUIDv7.
            enrollment: the face. An existing subject keeps its name.
            validate_only: check everything and answer as if, but keep nothing; the answer's template id is
                empty, and so are the etag of a new subject and the id of one that is still to get its id.

        Raises:
            ContractMismatch: the gallery is of another contract than the embedding or the server.
            InvalidEmbedding: the embedding is of another dimension, not finite, or without a length.
            RequestIdReused: the request id stands for another request.
            TooManyTemplates: the subject has as many as are allowed.
            LooksLikeAnotherSubject: see above; not raised where ``accept_lookalike`` is set.
        """
        with self._writing(gallery_id) as searchable:
            index = searchable.index_for(enrollment.contract)
            embedding = normalized(enrollment.embedding[None], dimension=self._dimension)[0]
            bench = Enrolling(self._store, searchable, index, self._max_templates)
            checked = bench.check(subject_id, enrollment, embedding)
            if validate_only:
                return replace(checked, template=replace(checked.template, template_id=""))
            return bench.keep(checked, enrollment, embedding)

    def get_subject(self, gallery_id: str, subject_id: str) -> Subject:
        """Answer a subject.

        Raises:
            SubjectNotFound: there is none.
        """
        return self._store.subject(gallery_id, subject_id)

    def list_subjects(self, gallery_id: str, *, page_size: int, page_token: str = "") -> Page[Subject]:
        """List the subjects of a gallery by id.

        Raises:
            InvalidPageToken: not a token of this list.
        """
        scope = ("subjects", gallery_id)
        after = last_id(page_token, scope=scope)
        found = self._store.subjects(gallery_id, after=after, limit=page_size + 1)
        return page_of(found, [subject.subject_id for subject in found], page_size=page_size, scope=scope)

    def update_subject(self, gallery_id: str, subject_id: str, *, display_name: str, etag: str = "") -> Subject:
        """Give a subject another name.

        Raises:
            SubjectNotFound: there is none.
            EtagMismatch: ``etag`` is not the current one.
        """
        with self._erasing(gallery_id) as searchable:
            subject = self._store.rename_subject(
                gallery_id,
                subject_id,
                display_name=display_name,
                etag=etag,
                new_etag=new_etag(),
                at=datetime.now(UTC),
            )
            if searchable.index is not None:
                searchable.index.rename(subject_id, display_name)
            return subject

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str = "") -> int:
        """Forget a subject and its templates, and say how many.

        Raises:
            SubjectNotFound: there is none.
            EtagMismatch: ``etag`` is not the current one.
        """
        with self._erasing(gallery_id) as searchable:
            deleted = self._store.delete_subject(gallery_id, subject_id, etag=etag)
            if searchable.index is not None:
                searchable.index.remove_subject(subject_id)
            return deleted

    def list_templates(
        self, gallery_id: str, subject_id: str, *, page_size: int, page_token: str = ""
    ) -> Page[Template]:
        """List the templates of a subject by id, the oldest first.

        Raises:
            SubjectNotFound: there is none.
            InvalidPageToken: not a token of this list.
        """
        scope = ("templates", gallery_id, subject_id)
        after = last_id(page_token, scope=scope)
        found = self._store.templates(gallery_id, subject_id, after=after, limit=page_size + 1)
        return page_of(found, [template.template_id for template in found], page_size=page_size, scope=scope)

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """Delete a template; the subject stays, also without any.

        Raises:
            SubjectNotFound: there is no such subject.
            TemplateNotFound: the subject has no such template.
        """
        with self._erasing(gallery_id) as searchable:
            self._store.delete_template(gallery_id, subject_id, template_id)
            if searchable.index is not None:
                searchable.index.remove_template(subject_id, template_id)

    def search(
        self,
        gallery_id: str,
        probes: NDArray[np.float32],
        *,
        top_k: int,
        threshold: float | None = None,
        contract: str | None = None,
    ) -> tuple[Identification, ...]:
        """Say whose the probes are.

        Args:
            gallery_id: the gallery.
            probes: shape ``(n, dimension)``; they are brought to unit length.
            top_k: how many subjects to name for each, at least 1.
            threshold: decide by this, [-1, 1]; the gallery's where ``None``.
            contract: what the probes were made under; the server's where ``None``.

        Raises:
            ContractMismatch: the gallery is of another contract than the probes or the server.
            InvalidEmbedding: a probe is of another dimension, not finite, or without a length.
        """
        searchable = self._shelf.find(gallery_id)
        index = searchable.index_for(self._contract if contract is None else contract)
        settings = searchable.settings
        applied = settings.threshold if threshold is None else _float32(threshold)
        ranked = index.search(
            normalized(probes, dimension=self._dimension), subjects=max(2, top_k), mean_of_best=settings.mean_of_best
        )
        if not self._shelf.holds(searchable):
            raise GalleryNotFound(gallery_id)  # deleted meanwhile, and perhaps half cleared
        return tuple(
            settings.rated(
                decide(each.candidates, top_k=top_k, threshold=applied, templates_compared=each.templates_compared),
                self._contract,
            )
            for each in ranked
        )

    def need_searchable(self, gallery_id: str) -> None:
        """Make sure that a gallery can be searched, at no cost: before the work that would end in a search.

        Raises:
            ContractMismatch: the gallery is of another contract than the server.
        """
        self._shelf.find(gallery_id).index_for(self._contract)

    def revision(self, gallery_id: str) -> Hashable:
        """Another value after every change that a search of the gallery may notice, at no cost.

        Raises:
            ContractMismatch: the gallery is of another contract than the server.
        """
        searchable = self._shelf.find(gallery_id)
        searchable.index_for(self._contract)
        return searchable.revision

    def threshold(self, gallery_id: str) -> float:
        """The threshold that the next search of a gallery applies, [-1, 1]."""
        return self._shelf.find(gallery_id).settings.threshold

    def similarity_to_subject(self, gallery_id: str, subject_id: str, probe: NDArray[np.float32]) -> float:
        """Cosine of a probe, shape ``(dimension,)``, and the subject's best template, [-1, 1].

        Raises:
            ContractMismatch: the gallery is of another contract than the server.
            InvalidEmbedding: the probe is of another dimension, not finite, or without a length.
            SubjectNotFound: there is no such subject.
            SubjectWithoutTemplates: it has nothing to compare with.
        """
        searchable = self._shelf.find(gallery_id)
        index = searchable.index_for(self._contract)
        unit = normalized(probe[None], dimension=self._dimension)[0]
        similarity = index.similarity(subject_id, unit, mean_of_best=searchable.settings.mean_of_best)
        if similarity is None:
            self._store.subject(gallery_id, subject_id)
            raise SubjectWithoutTemplates(gallery_id, subject_id)
        return similarity

    def export_gallery(self, gallery_id: str) -> Iterator[Piece]:
        """Export a gallery, of whatever contract, as a file in pieces; see :func:`pieces_of`."""
        # Arrow costs a quarter of a second and 50 MB, which servers that never export or import save.
        from gallery.transfer import transfer

        gallery = self._store.gallery(gallery_id)
        first = self._store.embedded_templates(gallery_id, after="", limit=1)
        dimension = first.embeddings.shape[1] if len(first) else self._dimension
        return transfer.pieces_of(self._store, gallery, dimension=dimension)

    def import_gallery(
        self, file: BinaryIO, gallery_id: str = "", *, validate_only: bool = False, check: Callable[[], None]
    ) -> Gallery:
        """Make a gallery of an exported file, which is seen once all of it is kept.

        Args:
            file: can be read and sought in.
            gallery_id: the new gallery's; the file's where it is empty.
            validate_only: check everything and answer as if, but keep nothing.
            check: called now and then; what it raises ends the import, and nothing is kept.

        Raises:
            InvalidImport: it is no exported gallery, or is damaged, or a line has a bad field.
            ContractMismatch: it is of another contract than the server.
            GalleryExists: the id is taken.
        """
        from gallery.transfer import transfer

        reader = transfer.Reader(file)
        gallery = transfer.imported(reader.manifest, gallery_id)
        if gallery.contract != self._contract:
            raise ContractMismatch(gallery.gallery_id, expected=gallery.contract, found=self._contract)
        if reader.manifest.dimension != self._dimension:
            raise InvalidImport(f"must be {self._dimension} under this contract", field="manifest.dimension")
        self.need_free_id(gallery.gallery_id)
        if validate_only:
            transfer.verify(reader, check)
            return gallery
        importing = self._store.begin_import(gallery)
        try:
            index = self._shelf.index_to_fill(gallery)
            transfer.fill(importing, reader, index, gallery, check)
            with self._shelf.changing:
                kept = importing.commit()
                self._shelf.put(kept, index)
                return kept
        except BaseException:
            importing.abort()
            raise

    def need_free_id(self, gallery_id: str) -> None:
        """Make sure that no gallery has an id: before the work that would end in one.

        Raises:
            GalleryExists: one has.
        """
        with suppress(GalleryNotFound):
            self._store.gallery(gallery_id)
            raise GalleryExists(gallery_id)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _need_unchanged(self, gallery: Gallery, etag: str) -> None:
        now = self._store.gallery(gallery.gallery_id)
        if now.create_time != gallery.create_time:
            raise GalleryNotFound(gallery.gallery_id)
        if now.mean_of_best != gallery.mean_of_best or (etag and now.etag != etag):
            raise EtagMismatch(gallery.gallery_id, "", expected=now.etag, found=gallery.etag)

    @contextmanager
    def _writing(self, gallery_id: str) -> Iterator[Searchable]:
        searchable = self._shelf.find(gallery_id)
        with searchable.writing:
            if not self._shelf.holds(searchable):
                raise GalleryNotFound(gallery_id)
            try:
                yield searchable
            finally:
                searchable.changes += 1

    @contextmanager
    def _erasing(self, gallery_id: str) -> Iterator[Searchable]:
        try:
            with self._writing(gallery_id) as searchable:
                yield searchable
        finally:
            # Other changes of the gallery do not wait for it: a backup can make it last.
            self._store.scrub()


def _float32(value: float) -> float:
    return float(np.float32(value))
