"""Loads the index of a gallery with the rows of files that an earlier start has left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.index.files.segment_file import SegmentFile
from gallery.index.memory_index import MemoryIndex
from gallery.index.segment import DEAD, Segment, ids_array
from gallery.index.subject_table import SubjectTable
from gallery.stores.feed import ChangeFeed

_AT_ONCE = 1024


def resume(index: MemoryIndex, files: Sequence[SegmentFile], feed: ChangeFeed, gallery_id: str, contract: str) -> bool:
    """Fill an index with the rows of files, and with what the store has beside them.

    The store tells who is there. Rows of templates that it does not have, or has no longer, are erased.

    Args:
        index: an empty one.
        files: the files of its key.
        feed: tells what the store has.
        gallery_id: the gallery.
        contract: the contract of the embeddings; empty for the gallery's.

    Returns:
        whether it was filled; it is not if nearly nothing of the files is left.

    Raises:
        StorageError: the store cannot be read.
    """
    rows, subjects = _Rows(files), SubjectTable()
    missing: list[int] = []
    for page in feed.owners(gallery_id, contract=contract):
        places = rows.places(page.template_ids)
        known = np.flatnonzero(places >= 0)
        names = [(page.subject_ids[at], page.display_names[at]) for at in known.tolist()]
        if names:
            rows.subjects[places[known]] = subjects.add_templates(*zip(*names, strict=True))
        missing += [page.keys[at] for at in np.flatnonzero(places < 0).tolist()]
    segments = rows.segments()
    if sum(each.count - each.dead for each in segments) + len(missing) <= index.sizes.exact_rows:
        return False
    index.resume(segments, subjects)
    for start in range(0, len(missing), _AT_ONCE):
        index.add(feed.embedded(gallery_id, missing[start : start + _AT_ONCE], contract=contract))
    return True


class _Rows:
    """The rows of all files, one after the other.

    Args:
        files: the files.

    Attributes:
        subjects: shape ``(n,)``, int32, to be filled with their subject numbers.
    """

    def __init__(self, files: Sequence[SegmentFile]) -> None:
        self._files = files
        # A row without a vector was erased by a process before another one, which has written it here, heard why.
        ids = np.concatenate([np.where(each.rows.scales != 0, each.rows.template_ids, b"") for each in files])
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]
        self.subjects = np.full(len(ids), DEAD, np.int32)

    def places(self, template_ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the row of each template; -1 if there is none."""
        wanted = ids_array(template_ids)
        found = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        return np.where(self._sorted[found] == wanted, self._order[found], -1)

    def segments(self) -> list[Segment]:
        """Return a segment of each file, and erase the rows without a subject."""
        segments, start = [], 0
        for file in self._files:
            subjects = self.subjects[start : start + len(file.rows)].copy()
            file.erase(np.flatnonzero((subjects == DEAD) & (file.rows.template_ids != b"")))
            segments.append(Segment.of_file(file, subjects))
            start += len(file.rows)
        return segments
