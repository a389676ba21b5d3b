"""Import of a gallery into Milvus."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from gallery.errors import ExpiryNotStored, StorageUnavailable
from gallery.records.distinct_pairs import Pair
from gallery.records.galleries import Gallery
from gallery.records.templates import StoredFace, Template
from gallery.stores.milvus.connection import MilvusConnection
from gallery.stores.milvus.corrections.distinct_pairs import pair_row
from gallery.stores.milvus.locating.gallery_location import second_model
from gallery.stores.milvus.removal import Removal
from gallery.stores.milvus.rows import contracts_of, crop_row, new_gallery_key, subject_row, template_row
from gallery.stores.milvus.schema import VECTOR, Collections

_NOTE_SECONDS = 60.0
_CROPS_AT_ONCE = 200
"""Milvus accepts 64 MiB at once."""


class MilvusImport:
    """A gallery that is being imported; see :class:`gallery.stores.base.GalleryImport` for what it promises.

    Its rows have a key that no gallery has, so they are invisible until :meth:`commit` writes the gallery's own row,
    last of all. If the process dies, any replica that starts or deletes something an hour later removes them.

    Args:
        milvus: the connection.
        collections: its collections.
        removal: told about the import all along.
        gallery: the gallery; its counts are ignored.
        publish: makes the rows of a key a gallery.

    Attributes:
        key: the key of its rows.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        removal: Removal,
        gallery: Gallery,
        publish: Callable[[Gallery, int], Gallery],
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._removal = removal
        self._gallery = gallery
        self._publish = publish
        self.key = new_gallery_key()
        self._subject_ids: set[str] = set()
        self._note_time = removal.note(self.key, contracts_of(gallery))
        self._next_note = time.monotonic() + _NOTE_SECONDS
        self._is_finished = False

    def add(self, faces: Sequence[StoredFace]) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.add`. If it raises, only :meth:`abort` may follow."""
        self._check_unfinished()
        if not self._collections.has_expiry and any(face.has_terms for face in faces):
            raise ExpiryNotStored
        if time.monotonic() >= self._next_note:
            self._note_time = self._removal.note(self.key, contracts_of(self._gallery))
            self._next_note = time.monotonic() + _NOTE_SECONDS
        subjects, templates, others, crops = [], [], [], []
        fields = self._collections.fields("templates")
        for face in faces:
            if face.subject.subject_id not in self._subject_ids:
                self._subject_ids.add(face.subject.subject_id)
                subjects.append(subject_row(face.subject, self.key, self._collections.fields("subjects")))
            if face.template is None:
                continue
            if face.embedding is not None:
                templates.append(template_row(face.template, self.key, face.embedding, None, fields))
            if face.other_embedding is not None:
                template = face.template if face.embedding is None else self._second(face.template)
                others.append(template_row(template, self.key, face.other_embedding, None, fields))
            if face.crop is not None:
                crops.append(crop_row(face.template, self.key, face.crop))
        self._milvus.insert(self._collections.subjects, subjects)
        if crops:
            self._milvus.insert(self._collections.ensure("crops"), crops, at_once=_CROPS_AT_ONCE)
        for contract, rows in zip(contracts_of(self._gallery), (templates, others), strict=False):
            if rows:
                collection = self._collections.ensure_templates(contract, len(rows[0][VECTOR]))
                self._milvus.insert(collection, rows)

    def add_distinct(self, pairs: Sequence[Pair]) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.add_distinct`."""
        self._check_unfinished()
        rows = [pair_row(self.key, pair) for pair in pairs]
        self._milvus.insert(self._collections.ensure("distinct_pairs"), rows)

    def commit(self) -> Gallery:
        """See :meth:`gallery.stores.base.GalleryImport.commit`."""
        self._check_unfinished()
        if not self._removal.is_noted(self.key, self._note_time):
            raise StorageUnavailable("the import did nothing for an hour and was removed")
        gallery = self._publish(self._gallery, self.key)
        self._is_finished = True
        return gallery

    def abort(self) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.abort`."""
        if not self._is_finished:
            self._is_finished = True
            self._removal.schedule(self.key, contracts_of(self._gallery))
            self._removal.run()

    def _second(self, template: Template) -> Template:
        """Return a template as its second row has it."""
        migration = self._gallery.migration
        if migration is None:
            return template
        other = migration.other_model(self._gallery.contract).contract
        return replace(template, embedding_model=second_model(migration, other))

    def _check_unfinished(self) -> None:
        if self._is_finished:
            raise RuntimeError("the import is finished")
