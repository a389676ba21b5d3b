"""What enrolments ask Milvus for, and adding their templates.

Each call of Milvus waits for earlier writes, or for a disk; so any number of enrolments share their calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gallery.errors import SubjectNotFound
from gallery.records.subjects import Subject
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentState
from gallery.stores.milvus.answered_requests import AnsweredRequests
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted_all
from gallery.stores.milvus.locating.gallery_location import EmbeddedTemplate, GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.rows import crop_row, row_id, subject_of, subject_row, template_of, template_row
from gallery.stores.milvus.schema import Collections
from gallery.stores.milvus.subject_templates import SubjectTemplates, of_subjects


class MilvusEnrolling:
    """Reads what enrolments depend on, and writes their templates.

    Args:
        milvus: the connection.
        collections: the collections.
        locator: finds the rows of galleries.
        templates: finds templates.
        requests: finds the requests that were answered.
        threads: read several collections at once.
        forget: removes everything of a subject but its row.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        locator: GalleryLocator,
        templates: SubjectTemplates,
        requests: AnsweredRequests,
        threads: ThreadPoolExecutor,
        forget: Callable[[GalleryLocation, str], None],
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._templates = templates
        self._requests = requests
        self._threads = threads
        self._forget = forget

    def states(self, gallery_id: str, asked: Sequence[EnrollmentQuestion]) -> list[EnrollmentState]:
        """See :meth:`gallery.stores.base.Store.enrollment_states`."""
        location = self._locator.find(gallery_id)
        keys = {each.subject_id: row_id(location.key, each.subject_id) for each in asked}
        request_ids = [each.request_id for each in asked if each.request_id]
        # Each strong read waits for earlier writes, so they run concurrently.
        finding = self._threads.submit(self._locator.find, gallery_id, strong=True)
        fields = self._collections.fields("subjects")
        naming = self._threads.submit(
            self._milvus.get, self._collections.subjects, list(keys.values()), fields, strong=True
        )
        answering = self._threads.submit(self._requests.further, location, request_ids)
        where = of_subjects(list(keys))
        if request_ids:
            where += f" or request in {quoted_all(request_ids)}"
        rows = self._templates.find(location, where, self._collections.fields("templates"), strong=True)
        subjects, further, found = naming.result(), answering.result(), finding.result()
        if (found.key, found.listed) != (location.key, location.listed):
            return self.states(gallery_id, asked)
        of_subject: dict[str, list[Row]] = {}
        for row in rows:
            of_subject.setdefault(row["subject"], []).append(row)
        states = []
        for each in asked:
            subject, own = subjects.get(keys[each.subject_id]), of_subject.get(each.subject_id, [])
            if subject is not None and not self._locator.expiry.is_living(found, subject):
                subject = None
            of_picture = [row for row in own if subject and row["picture"] == each.picture_sha256]
            states.append(
                EnrollmentState(
                    subject=subject_of(subject, gallery_id, templates=len(own)) if subject else None,
                    templates_of_picture=[template_of(row, gallery_id) for row in of_picture],
                    answered=self._requests.answer(location, rows, each.request_id, further.get(each.request_id)),
                )
            )
        return states

    def add(self, gallery_id: str, added: Sequence[AddedTemplate], *, contract: str) -> None:
        """See :meth:`gallery.stores.base.Store.add_templates`. A subject that another replica just created stays.

        If this fails, or dies, some of them may have been added.
        """
        location = self._locator.find(gallery_id)
        embedded = [
            location.embedded(each.template, each.embedding, contract=contract, other=each.other) for each in added
        ]
        new_subjects = self._new_subjects(location, added)
        crops = [crop_row(each.template, location.key, each.crop) for each in added if each.crop is not None]
        if crops:
            self._milvus.insert(self._collections.ensure("crops"), crops)
        # What died between the two has the embedding that is searched by.
        self._insert(location, [(own, each) for (own, _), each in zip(embedded, added, strict=True)])
        self._insert(location, [(second, each) for (_, second), each in zip(embedded, added, strict=True) if second])
        if new_subjects:
            fields = self._collections.fields("subjects")
            rows = [subject_row(subject, location.key, fields) for subject in new_subjects]
            self._milvus.upsert(self._collections.subjects, rows)
        self._locator.invalidate(gallery_id)

    def _new_subjects(self, location: GalleryLocation, added: Sequence[AddedTemplate]) -> list[Subject]:
        """Return the subjects that do not exist yet, and remove what is left of earlier ones with their ids."""
        keys = {each.template.subject_id: row_id(location.key, each.template.subject_id) for each in added}
        fields = self._collections.fields("subjects")
        rows = self._milvus.get(self._collections.subjects, list(keys.values()), fields)
        new_subjects = []
        for each in added:
            subject_id = each.template.subject_id
            row = rows.get(keys[subject_id])
            if row is not None and self._locator.expiry.is_living(location, row):
                continue
            if each.new_subject is None:
                raise SubjectNotFound(each.template.gallery_id, subject_id)
            if row is not None:
                self._forget(location, subject_id)
            new_subjects.append(each.new_subject)
        if new_subjects:
            self._templates.remove_orphans(location, [subject.subject_id for subject in new_subjects])
        return new_subjects

    def _insert(self, location: GalleryLocation, embedded: Sequence[tuple[EmbeddedTemplate, AddedTemplate]]) -> None:
        """Insert rows of templates under one contract."""
        if not embedded:
            return
        first, _ = embedded[0]
        fields = self._collections.fields("templates")
        rows = [
            template_row(each.template, location.key, each.embedding, its.request, fields) for each, its in embedded
        ]
        self._milvus.insert(self._collections.ensure_templates(first.contract, first.embedding.size), rows)
