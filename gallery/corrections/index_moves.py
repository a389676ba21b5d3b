"""Moves templates from one subject to another in the indexes of a gallery."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.index.protocol import Index
from gallery.opened.open_gallery import OpenGallery
from gallery.records.changes import Rearrangement
from gallery.records.templates import EmbeddedTemplates, StoredFace

_AT_ONCE = 256


class IndexMoves:
    """What a correction does to the indexes of a gallery.

    A search meanwhile finds a template with both subjects, never with none.

    Args:
        opened: the gallery.
        wanted: the correction.
        faces: its templates with their embeddings.
        display_name: the name of the subject that gets them.
    """

    def __init__(
        self, opened: OpenGallery, wanted: Rearrangement, faces: Sequence[StoredFace], display_name: str
    ) -> None:
        self._wanted = wanted
        self._opened = opened
        new_ids = {each.template_id: each.new_id for each in wanted.moved}
        self._added: list[tuple[Index, EmbeddedTemplates]] = []
        for contract, index in opened.indexes.items():
            embedded = [
                (new_ids[face.key[1]], embedding)
                for face in faces
                if (embedding := _embedding(face, is_own=contract == opened.settings.contract)) is not None
            ]
            for start in range(0, len(embedded), _AT_ONCE):
                template_ids, embeddings = zip(*embedded[start : start + _AT_ONCE], strict=True)
                ids = [wanted.into_subject_id] * len(template_ids)
                names = [display_name] * len(template_ids)
                added = EmbeddedTemplates(ids, names, template_ids, np.array(embeddings, np.float32))
                self._added.append((index, added))

    def reserve(self) -> None:
        """Allocate memory for the first templates; more follow in the same way.

        Raises:
            MemoryError: there is not enough.
        """
        for index, added in {id(index): (index, added) for index, added in reversed(self._added)}.values():
            index.reserve(len(added))

    def make(self) -> None:
        """Move the templates."""
        for index, added in self._added:
            index.add(added)
        if self._wanted.is_removed:
            self._opened.remove_subject(self._wanted.from_subject_id)
            return
        for index in self._opened.indexes.values():
            for each in self._wanted.moved:
                index.remove_template(self._wanted.from_subject_id, each.template_id)


def _embedding(face: StoredFace, *, is_own: bool) -> NDArray[np.float32] | None:
    """Return the embedding under the contract that searches, or under the other one."""
    return face.embedding if is_own else face.other_embedding
