"""All galleries of a server: the store and the search index, changed together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.calibrator import Calibrator
from gallery.corrections.corrections import UNDO_FOR, Corrections
from gallery.duplicates.duplicate_finder import DuplicateFinder
from gallery.enrollment.enroller import Enroller
from gallery.erasure.erasing import erasing
from gallery.erasure.erasure_reports import ErasureReports
from gallery.erasure.retention import Retention
from gallery.errors import (
    ConsentRequired,
    ContractMismatch,
    SubjectNotFound,
    SubjectsWithoutConsent,
)
from gallery.estimation.observation_history import ObservationHistory
from gallery.etags import check_etag, new_etag
from gallery.following.follower import Follower
from gallery.following.revisions import Revisions
from gallery.index.files.index_folder import IndexFolder
from gallery.log import SILENT, Log
from gallery.migration.migrations import Migrations
from gallery.opened.file_keeper import IndexKeeper
from gallery.opened.mismatches import ModelNames
from gallery.opened.registry import GalleryRegistry
from gallery.outcome_reports import OutcomeReports
from gallery.pages import Page, last_id, page_of
from gallery.records.distinct_pairs import DistinctPairs
from gallery.records.enrollments import Enrolled, Enrollment
from gallery.records.expired import NO_EFFECT, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.identifications import Identification
from gallery.records.policies import NO_POLICY, GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import Template
from gallery.records.thresholds import DEFAULT_THRESHOLD, ThresholdSource, rounded_threshold
from gallery.search import Searcher
from gallery.search_pool import BACKGROUND, SearchPool
from gallery.stores.base import Store
from gallery.times import Clock, new_id, now
from gallery.transfer.gallery_transfer import GalleryTransfer

_GALLERIES = ("galleries",)


class Galleries:
    """Galleries, their subjects and templates, and the search of them.

    When a method returns, what it wrote is on disk and visible to every search that begins later; what it deleted is
    gone from memory and from the store's files. When it raises, it has changed nothing, with one exception: if the
    traces of a deletion or renaming cannot be erased, it raises a :class:`gallery.errors.StorageError` with
    ``change_was_made``. The store erases them as soon as it can.

    Changes of a gallery wait for each other, so two enrolments cannot pass the look-alike check at the same time.
    Searches wait for nothing. They ask the store only if it keeps the index, or if other processes write to it.
    Thresholds are rounded to float32, as similarities are, so that a comparison here agrees with what a client sees.

    A gallery with another contract than the server's can be listed, read, renamed and deleted. Enrolling in it or
    searching it raises :class:`gallery.errors.ContractMismatch`.

    Every method may raise :class:`gallery.errors.GalleryNotFound` for its gallery, and
    :class:`gallery.errors.StorageError`. Page sizes are at least 1. An empty etag is not compared.

    Args:
        store: where everything is stored; :meth:`close` closes it.
        contract: the embedding contract of the server's model.
        dimension: values of an embedding.
        further: the contracts of further models of the server, with the dimensions of their embeddings.
        max_templates_per_subject: at least 1.
        min_subject_similarity: see :class:`gallery.enrollment.enroller.Enroller`; by default no face looks unlike its
            subject.
        default_threshold: of galleries that are created without one.
        undo_for: how long a merge or a move can be undone.
        search_threads: the most threads of one search, at least 1; best one for each core of the process.
        clock: tells what has expired; the store must have the same.
        log: told when what other servers write cannot be followed.
        snapshot_dir: a folder of files from which large galleries of a store that others write to are loaded sooner at
            the next start; ``None`` for none.

    Attributes:
        clock: tells what has expired.
        retention: erases what has expired.
        calibrator: calibrates thresholds.
        duplicates: finds subjects that are one person, and templates of somebody else.
        corrections: merges subjects, moves templates, and undoes that.
        erasures: what was erased.
        observations: what searches looked like.
        outcomes: what clients said about answers.
        migrations: migrates galleries to another embedding model.
        transfer: exports and imports galleries.
        follower: follows what other servers write to the same store; ``None`` if none does, or if the store keeps the
            index.

    Raises:
        StorageError: the store cannot be read, or has embeddings of another dimension under this contract.
    """

    def __init__(
        self,
        store: Store,
        *,
        contract: str,
        dimension: int,
        max_templates_per_subject: int,
        min_subject_similarity: float = -1.0,
        default_threshold: float = DEFAULT_THRESHOLD,
        undo_for: timedelta = UNDO_FOR,
        search_threads: int = 1,
        clock: Clock = now,
        further: Mapping[str, int] = MappingProxyType({}),
        log: Log = SILENT,
        snapshot_dir: Path | None = None,
    ) -> None:
        self._store = store
        self.clock = clock
        self._default_threshold = default_threshold
        files = IndexFolder(snapshot_dir, log) if snapshot_dir is not None and store.feed is not None else None
        try:
            self._registry = GalleryRegistry(
                store,
                contract=contract,
                dimension=dimension,
                pool=SearchPool(search_threads),
                clock=clock,
                further=further,
                files=files,
            )
        except BaseException:
            if files is not None:
                files.close()
            raise
        self._keeper = None if files is None else IndexKeeper(files, self._registry.opened, log)
        self.retention = Retention(store, self._registry)
        self._enroller = Enroller(
            store, self._registry, max_templates=max_templates_per_subject, min_similarity=min_subject_similarity
        )
        self._searcher = Searcher(store, self._registry)
        self.corrections = Corrections(
            store, self._registry, self.retention, max_templates=max_templates_per_subject, undo_for=undo_for
        )
        self.calibrator = Calibrator(store, self._registry)
        self.duplicates = DuplicateFinder(store, self._registry, SearchPool(search_threads, niceness=BACKGROUND))
        self.erasures = ErasureReports(store)
        self.observations = ObservationHistory(store)
        self.outcomes = OutcomeReports(store, self._registry)
        self.migrations = Migrations(store, self._registry, default_threshold=default_threshold)
        self.transfer = GalleryTransfer(store, self._registry, default_threshold=default_threshold)
        self.follower = None if store.feed is None else Follower(self._registry, store.feed, log)
        self.revisions = Revisions(self._registry, self.follower)
        if self.follower is not None:
            self.follower.start()
        if self._keeper is not None:
            self._keeper.start()

    def create_gallery(
        self,
        gallery_id: str,
        *,
        display_name: str,
        threshold: float | None = None,
        mean_of_best: int = 1,
        policy: GalleryPolicy = NO_POLICY,
    ) -> Gallery:
        """Create a gallery with the server's contract.

        Args:
            gallery_id: the id; empty for a new UUIDv7.
            display_name: a name for people.
            threshold: [-1, 1]; ``None`` for the server's default.
            mean_of_best: see :class:`gallery.records.galleries.Gallery`.
            policy: see :class:`gallery.records.galleries.Gallery`.

        Raises:
            GalleryExists: the id is taken.
            ExpiryNotStored: the store cannot store policies.
        """
        moment = self.clock()
        gallery = Gallery(
            gallery_id=gallery_id or new_id(),
            display_name=display_name,
            threshold=rounded_threshold(self._default_threshold if threshold is None else threshold),
            mean_of_best=mean_of_best,
            contract=self._registry.contract,
            subject_count=0,
            template_count=0,
            create_time=moment,
            update_time=moment,
            etag=new_etag(),
            threshold_source=ThresholdSource.DEFAULT if threshold is None else ThresholdSource.CALLER,
            policy=policy,
        )
        self._registry.check_store()
        with self._registry.create_lock:
            self._store.create_gallery(gallery)
            self._registry.add_created(gallery)
        return gallery

    def get_gallery(self, gallery_id: str) -> Gallery:
        """Return a gallery."""
        return self._store.gallery(gallery_id)

    def list_galleries(
        self, *, page_size: int, page_token: str = "", permitted: Callable[[str], bool] = lambda _: True
    ) -> Page[Gallery]:
        """List galleries by id.

        Args:
            page_size: the maximum number of galleries.
            page_token: of the page before; empty for the first page.
            permitted: whether a gallery may be listed, by its id. Neither the page nor its token tells of others.

        Raises:
            InvalidPageToken: the token is not one of this list.
        """
        after = last_id(page_token, scope=_GALLERIES)
        found: list[Gallery] = []
        while len(found) <= page_size:
            stored = self._store.galleries(after=after, limit=page_size + 1)
            found += [gallery for gallery in stored if permitted(gallery.gallery_id)]
            if len(stored) <= page_size:
                break
            after = stored[-1].gallery_id
        del found[page_size + 1 :]
        ids = [gallery.gallery_id for gallery in found]
        return page_of(found, ids, page_size=page_size, scope=_GALLERIES)

    def update_gallery(self, gallery_id: str, change: GalleryChange, *, etag: str = "") -> Gallery:
        """Change a gallery; see :meth:`change_gallery`."""
        return self.change_gallery(gallery_id, change, etag=etag)[0]

    def change_gallery(self, gallery_id: str, change: GalleryChange, *, etag: str = "") -> tuple[Gallery, PolicyEffect]:
        """Change a gallery's name, settings or policy; return it, and what a new policy has done.

        A policy applies to everybody in the gallery at once. What had expired before stays so.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            SubjectsWithoutConsent: the policy requires consents, and subjects have none.
            ExpiryNotStored: the store cannot store policies.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            effect = NO_EFFECT
            if change.policy is not None:
                effect = self._effect_of(gallery_id, change.policy)
                self.retention.erase_held(opened)
            gallery = self._store.update_gallery(gallery_id, change, etag=etag, new_etag=new_etag(), time=self.clock())
            self._registry.show(opened, gallery)
            if change.policy is not None:
                self._registry.drop_expired(opened, anew=True)
                self.corrections.shorten(gallery_id, opened.settings.policy)
            return gallery, effect

    def preview_gallery(
        self, gallery_id: str, change: GalleryChange, *, etag: str = ""
    ) -> tuple[Gallery, PolicyEffect]:
        """Return what :meth:`change_gallery` would return; change nothing.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            SubjectsWithoutConsent: the policy requires consents, and subjects have none.
            ExpiryNotStored: the store cannot store policies.
        """
        gallery = self._store.gallery(gallery_id)
        check_etag(gallery_id, current=gallery.etag, sent=etag)
        effect = NO_EFFECT if change.policy is None else self._effect_of(gallery_id, change.policy)
        return change.apply(gallery, etag=gallery.etag, time=gallery.update_time), effect

    def name_models(self, names: ModelNames) -> None:
        """Say what embedding models are called: galleries are migrated from and to them, and errors name them."""
        self.migrations.models = names.loaded
        self._registry.mismatches.names = names

    def unserved(self) -> Sequence[ContractMismatch]:
        """Tell which galleries cannot be searched, because the server has not loaded their model, and what helps."""
        return self._registry.unserved()

    def problem_of(self, gallery: Gallery) -> str:
        """Say why a gallery cannot be searched, as :meth:`unserved` does; empty if it can."""
        return str(self._registry.unserved_error(gallery.gallery_id, gallery.contract, gallery.migration) or "")

    def policy(self, gallery_id: str) -> GalleryPolicy:
        """Return the policy of a gallery; asks the store no more often than a search."""
        return self._registry.find(gallery_id).settings.policy

    def delete_gallery(self, gallery_id: str, *, force: bool = False, etag: str = "") -> None:
        """Delete a gallery.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            GalleryNotEmpty: it has subjects, and ``force`` is not set.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            with self._registry.create_lock:
                self._store.delete_gallery(gallery_id, force=force, etag=etag)
                self._registry.remove(gallery_id)
            for index in opened.indexes.values():
                index.clear()

    def enroll(
        self, gallery_id: str, subject_id: str, enrollment: Enrollment, *, validate_only: bool = False
    ) -> Enrolled:
        """Add a face as a template of a subject; see :meth:`gallery.enrollment.enroller.Enroller.enroll`."""
        return self._enroller.enroll(gallery_id, subject_id, enrollment, validate_only=validate_only)

    def get_subject(self, gallery_id: str, subject_id: str) -> Subject:
        """Return a subject.

        Raises:
            SubjectNotFound: it does not exist.
        """
        return self._store.subject(gallery_id, subject_id)

    def list_subjects(self, gallery_id: str, *, page_size: int, page_token: str = "") -> Page[Subject]:
        """List the subjects of a gallery by id.

        Raises:
            InvalidPageToken: the token is not one of this list.
        """
        scope = ("subjects", gallery_id)
        after = last_id(page_token, scope=scope)
        found = self._store.subjects(gallery_id, after=after, limit=page_size + 1)
        return page_of(found, [subject.subject_id for subject in found], page_size=page_size, scope=scope)

    def update_subject(self, gallery_id: str, subject_id: str, change: SubjectChange, *, etag: str = "") -> Subject:
        """Change a subject.

        Raises:
            SubjectNotFound: it does not exist.
            EtagMismatch: ``etag`` is not the current one.
            ConsentRequired: the gallery requires the consent that would be removed.
            ExpiryNotStored: the store cannot store consents and expiries.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            if opened.settings.policy.require_consent and "consent" in change.fields and change.consent is None:
                raise ConsentRequired(gallery_id, subject_id)
            subject = self._store.update_subject(
                gallery_id, subject_id, change, etag=etag, new_etag=new_etag(), time=self.clock()
            )
            for index in opened.indexes.values():
                index.rename(subject_id, subject.display_name)
            if not change.fields <= {"display_name"}:
                self._registry.note_expiries(opened, subject_id)
            return subject

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str = "") -> int:
        """Delete a subject and its templates, and return how many templates it had.

        Raises:
            SubjectNotFound: it does not exist.
            SubjectMerged: likewise, but undoing a merge would bring it back.
            EtagMismatch: ``etag`` is not the current one.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            try:
                deleted = self._store.delete_subject(gallery_id, subject_id, etag=etag)
            except SubjectNotFound as error:
                raise self.corrections.missing(gallery_id, subject_id) from error
            opened.forget_subject(subject_id)
            return deleted

    def list_templates(
        self, gallery_id: str, subject_id: str, *, page_size: int, page_token: str = ""
    ) -> Page[Template]:
        """List the templates of a subject by id, the oldest first.

        Raises:
            SubjectNotFound: the subject does not exist.
            InvalidPageToken: the token is not one of this list.
        """
        scope = ("templates", gallery_id, subject_id)
        after = last_id(page_token, scope=scope)
        found = self._store.templates(gallery_id, subject_id, after=after, limit=page_size + 1)
        return page_of(found, [template.template_id for template in found], page_size=page_size, scope=scope)

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """Delete a template; its subject stays, even without templates.

        Raises:
            SubjectNotFound: the subject does not exist.
            TemplateNotFound: the subject has no such template.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            self._store.delete_template(gallery_id, subject_id, template_id)
            for index in opened.indexes.values():
                index.remove_template(subject_id, template_id)

    def search(
        self,
        gallery_id: str,
        probes: NDArray[np.float32],
        *,
        top_k: int,
        threshold: float | None = None,
        contract: str | None = None,
        distinct_subjects: bool = False,
    ) -> tuple[Identification, ...]:
        """Identify probes; see :meth:`gallery.search.Searcher.search`."""
        return self._searcher.search(
            gallery_id,
            probes,
            top_k=top_k,
            threshold=threshold,
            contract=contract,
            distinct_subjects=distinct_subjects,
        )

    def search_contract(self, gallery_id: str) -> str:
        """Return the embedding contract that probes for a gallery must have now; costs nothing.

        A search that began with it is answered, even if the gallery is switched to another model in the meantime. It
        raises :class:`gallery.errors.ContractMismatch` only if the gallery has dropped this one since: begin again.

        Raises:
            ContractMismatch: the server has no model of the gallery.
        """
        return self._registry.search_contract(gallery_id)

    def enrollment_contracts(self, gallery_id: str) -> tuple[str, ...]:
        """Return the contracts that an enrolment must have embeddings of, the one that searches first.

        During a migration these are both, as far as the server has their models.

        Raises:
            ContractMismatch: the server has no model of the gallery.
        """
        self._registry.search_contract(gallery_id)
        contracts = self._registry.find(gallery_id).settings.contracts
        return tuple(each for each in contracts if each in self._registry.dimensions)

    def revision(self, gallery_id: str) -> Hashable:
        """Return a value that changes with everything that a search of the gallery may notice; costs nothing.

        Raises:
            ContractMismatch: the server has no model of the gallery.
        """
        self._registry.search_contract(gallery_id)
        return self._registry.find(gallery_id).revision

    def threshold(self, gallery_id: str, contract: str | None = None) -> float:
        """Return the threshold that the next search of a gallery applies, [-1, 1].

        Args:
            gallery_id: the gallery.
            contract: the embedding contract of the search; ``None`` for the one that searches.

        Raises:
            ContractMismatch: the gallery has no templates of this contract any more.
        """
        opened = self._registry.find(gallery_id)
        return opened.settings.threshold if contract is None else opened.search_by(contract)[1].threshold

    def distinct_pairs(self, gallery_id: str) -> DistinctPairs:
        """Return the subjects of a gallery that were told apart; asks the store no more often than a search."""
        return self._registry.find(gallery_id).distinct

    def similarity_to_subject(
        self, gallery_id: str, subject_id: str, probe: NDArray[np.float32], *, contract: str | None = None
    ) -> float:
        """Compare a probe with a subject; see :meth:`gallery.search.Searcher.similarity_to_subject`."""
        return self._searcher.similarity_to_subject(gallery_id, subject_id, probe, contract=contract)

    def _effect_of(self, gallery_id: str, policy: GalleryPolicy) -> PolicyEffect:
        effect = self._store.effect_of(gallery_id, policy)
        if policy.require_consent and effect.without_consent:
            raise SubjectsWithoutConsent(gallery_id, effect.without_consent)
        return effect

    def check_store(self) -> None:
        """Check that changes can be stored; see :meth:`gallery.stores.base.Store.check`."""
        self._store.check()

    def close(self) -> None:
        """Close the store."""
        if self.follower is not None:
            self.follower.close()
        if self._keeper is not None:
            self._keeper.close()
        self._store.close()
