"""Everything that is stored about one person, for the person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.base import Store

_TEMPLATES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class CompleteTemplate:
    """A template with everything that is stored for it.

    Attributes:
        template: the template.
        embeddings: by embedding contract, that of the gallery first, then the other one of its migration; float32,
            shape ``(dimension,)``, unit length.
        crop: the aligned face as PNG; ``None`` if it is not stored.
        request_ids: the enrolment requests that were answered with it, in code point order.
    """

    template: Template
    embeddings: Mapping[str, NDArray[np.float32]]
    crop: bytes | None
    request_ids: tuple[str, ...]


def export_subject(store: Store, gallery_id: str, subject_id: str) -> tuple[Subject, Iterator[CompleteTemplate]]:
    """Return a subject and its templates, the oldest first. A few templates are in memory at a time.

    Templates that are enrolled or deleted in the meantime may be among them or not; all others are.

    Raises:
        GalleryNotFound: the gallery does not exist; also from the iterator, if it is deleted in the meantime.
        SubjectNotFound: the subject does not exist.
        StorageError: the store cannot be read; also from the iterator.
    """
    return store.subject(gallery_id, subject_id), _templates(store, gallery_id, subject_id)


def _templates(store: Store, gallery_id: str, subject_id: str) -> Iterator[CompleteTemplate]:
    after = (subject_id, "")
    while found := _page(store, gallery_id, after):
        for face, embeddings in found:
            # After the last template of this subject come those of the next one.
            if face.subject.subject_id != subject_id or face.template is None:
                return
            request_ids = store.requests_of_template(gallery_id, face.template.template_id)
            yield CompleteTemplate(face.template, embeddings, face.crop, tuple(request_ids))
        after = found[-1][0].key


def _page(
    store: Store, gallery_id: str, after: tuple[str, str]
) -> list[tuple[StoredFace, Mapping[str, NDArray[np.float32]]]]:
    """Return some faces with their embeddings by contract."""
    while True:
        gallery = store.gallery(gallery_id)
        found = store.faces(gallery_id, after=after, limit=_TEMPLATES_AT_ONCE)
        if store.gallery(gallery_id).migration == gallery.migration:  # not switched meanwhile
            return [(face, _by_contract(face, gallery.contracts)) for face in found]


def _by_contract(face: StoredFace, contracts: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
    both = zip(contracts, (face.embedding, face.other_embedding), strict=False)
    return {contract: embedding for contract, embedding in both if embedding is not None}
