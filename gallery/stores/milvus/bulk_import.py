"""A gallery that is being filled in a Milvus."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gallery.errors import StorageUnavailable
from gallery.records.records import Gallery, StoredFace
from gallery.stores.milvus.connection import Milvus
from gallery.stores.milvus.removal import Removal
from gallery.stores.milvus.rows import crop_row, new_gallery_key, subject_row, template_row
from gallery.stores.milvus.schema import Collections

_NOTED_EVERY_SECONDS = 60.0
_CROPS_AT_ONCE = 200
"""Milvus takes 64 MiB at once."""


class MilvusImport:
    """A gallery that is being filled; see :class:`gallery.stores.base.Import` for what it promises.

    Its rows are under a key that no gallery has, so that nobody sees them, until :meth:`commit` writes the row of the
    gallery, last of all. What a process that died left is removed by any replica that starts, or deletes something,
    an hour later.

    Args:
        milvus: where to.
        collections: its collections.
        removal: told of it all along.
        gallery: its counts say nothing here.
        publish: makes it a gallery of a key.
    """

    def __init__(
        self,
        milvus: Milvus,
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
        self._key = new_gallery_key()
        self._subject_ids: set[str] = set()
        self._noted = removal.note(self._key, gallery.contract)
        self._note_again = time.monotonic() + _NOTED_EVERY_SECONDS
        self._is_over = False

    def add(self, faces: Sequence[StoredFace]) -> None:
        """See :meth:`gallery.stores.base.Import.add`. Where it raises, nothing but :meth:`abort` makes sense."""
        self._need_unfinished()
        if time.monotonic() >= self._note_again:
            self._noted = self._removal.note(self._key, self._gallery.contract)
            self._note_again = time.monotonic() + _NOTED_EVERY_SECONDS
        subjects, templates, crops = [], [], []
        for face in faces:
            if face.subject.subject_id not in self._subject_ids:
                self._subject_ids.add(face.subject.subject_id)
                subjects.append(subject_row(face.subject, self._key))
            if face.template is None or face.embedding is None:
                continue
            templates.append(template_row(face.template, self._key, face.embedding, None))
            if face.crop is not None:
                crops.append(crop_row(face.template, self._key, face.crop))
        self._milvus.insert(self._collections.subjects, subjects)
        if crops:
            self._milvus.insert(self._collections.made("crops"), crops, at_once=_CROPS_AT_ONCE)
        if templates:
            dimension = len(templates[0]["embedding"])
            self._milvus.insert(self._collections.templates_made(self._gallery.contract, dimension), templates)

    def commit(self) -> Gallery:
        """See :meth:`gallery.stores.base.Import.commit`."""
        self._need_unfinished()
        if not self._removal.is_noted(self._key, self._noted):
            raise StorageUnavailable("the import did nothing for an hour and was given up")
        gallery = self._publish(self._gallery, self._key)
        self._is_over = True
        return gallery

    def abort(self) -> None:
        """See :meth:`gallery.stores.base.Import.abort`; nothing happens after :meth:`commit`, or the second time."""
        if not self._is_over:
            self._is_over = True
            self._removal.discard(self._key, self._gallery.contract)
            self._removal.run()

    def _need_unfinished(self) -> None:
        if self._is_over:
            raise RuntimeError("the import is over")
