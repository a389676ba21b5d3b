"""Moves templates from one subject to another in the index of a gallery."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gallery.index.protocol import Index
from gallery.records.changes import Rearrangement
from gallery.records.templates import EmbeddedTemplates, StoredFace

_AT_ONCE = 256


class IndexMove:
    """What a correction does to an index. A search meanwhile finds a template with both subjects, never with none.

    Args:
        index: the index; ``None`` if the gallery cannot be searched.
        wanted: the correction.
        faces: its templates with their embeddings.
        display_name: the name of the subject that gets them.
    """

    def __init__(
        self, index: Index | None, wanted: Rearrangement, faces: Sequence[StoredFace], display_name: str
    ) -> None:
        self._index = index
        self._wanted = wanted
        new_ids = {each.template_id: each.new_id for each in wanted.moved}
        self._added = [
            EmbeddedTemplates(
                [wanted.into_subject_id] * len(some),
                [display_name] * len(some),
                [new_ids[face.key[1]] for face in some],
                np.array([face.embedding for face in some], np.float32),
            )
            for some in (faces[start : start + _AT_ONCE] for start in range(0, len(faces), _AT_ONCE))
        ]

    def reserve(self) -> None:
        """Allocate memory for the first templates; more follow in the same way.

        Raises:
            MemoryError: there is not enough.
        """
        if self._index is not None and self._added:
            self._index.reserve(len(self._added[0]))

    def make(self) -> None:
        """Move the templates."""
        if self._index is None:
            return
        for some in self._added:
            self._index.add(some)
        if self._wanted.is_removed:
            self._index.remove_subject(self._wanted.from_subject_id)
        else:
            for each in self._wanted.moved:
                self._index.remove_template(self._wanted.from_subject_id, each.template_id)
