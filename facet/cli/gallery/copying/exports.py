"""Exports that pass by: what they say about the gallery is kept, and nothing is written to the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from facet import Client, FacetError
from gallery.transfer.manifest import Manifest
from gallery.transfer.parquet.reader import MAX_TAIL_SHARE, MIN_TAIL_BYTES, manifest_of_tail

_COMPARED = (
    *("contract", "version", "subjects", "templates", "contents_sha256", "distinct_pairs", "migration"),
    *("display_name", "threshold", "threshold_source", "mean_of_best", "calibration", "policy"),
)
"""What two exports of the same contents have in common, as a manifest has it."""


class Export:
    """An export as it arrives.

    Args:
        client: of the server.
        gallery: the gallery.
        progress: called with the number of templates so far.

    Attributes:
        failure: the error with which it ended.
    """

    def __init__(self, client: Client, gallery: str, progress: Callable[[int], None]) -> None:
        self._client = client
        self._gallery = gallery
        self._progress = progress
        self._tail: deque[bytes] = deque()
        self.failure: FacetError | None = None

    def __iter__(self) -> Iterator[bytes]:
        size = kept = 0
        try:
            for piece in self._client.export_gallery(self._gallery, progress=self._progress):
                size += len(piece)
                kept += len(piece)
                self._tail.append(piece)
                while kept - len(self._tail[0]) > MIN_TAIL_BYTES + size // MAX_TAIL_SHARE:
                    kept -= len(self._tail.popleft())
                yield piece
        except FacetError as error:
            self.failure = error
            raise

    def manifest(self) -> Manifest:
        """Return what the export says about itself; it must have arrived.

        Raises:
            InvalidImport: it is not an exported gallery.
        """
        return manifest_of_tail(b"".join(self._tail))

    def read(self) -> Manifest:
        """Let the whole export pass, and return what it says about itself."""
        for _ in self:
            pass
        return self.manifest()


def differences(one: Manifest, other: Manifest) -> Sequence[str]:
    """Name what differs between two exports; nothing if they have the same people, templates and settings."""
    return [name for name in _COMPARED if getattr(one, name) != getattr(other, name)]
