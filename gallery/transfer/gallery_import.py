"""Import of an exported gallery, row group by row group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gallery.etags import new_etag
from gallery.index.protocol import Index
from gallery.records.distinct_pairs import Pair
from gallery.records.galleries import Gallery
from gallery.records.templates import StoredFace
from gallery.records.thresholds import infer_threshold_source, rounded_threshold
from gallery.stores.base import GalleryImport
from gallery.times import now
from gallery.transfer.manifest import Manifest
from gallery.transfer.parquet.reader import ParquetReader
from gallery.transfer.parquet.records import embedded_of, faces_of


def gallery_of(manifest: Manifest, gallery_id: str, *, default_threshold: float) -> Gallery:
    """Return the gallery that a file describes.

    Args:
        manifest: the file's manifest.
        gallery_id: the id of the gallery; empty for the id in the file.
        default_threshold: the server's default threshold, to infer the source of a threshold that has none.
    """
    moment = now()
    threshold = rounded_threshold(manifest.threshold)
    return Gallery(
        gallery_id=gallery_id or manifest.gallery_id,
        display_name=manifest.display_name,
        threshold=threshold,
        mean_of_best=manifest.mean_of_best,
        contract=manifest.contract,
        subject_count=manifest.subjects,
        template_count=manifest.templates,
        create_time=moment,
        update_time=moment,
        etag=new_etag(),
        calibration=manifest.calibration,
        policy=manifest.policy,
        migration=manifest.migration,
        threshold_source=manifest.threshold_source
        or infer_threshold_source(threshold, manifest.calibration, default_threshold=default_threshold),
    )


def add_lines(
    reader: ParquetReader,
    importing: GalleryImport,
    indexes: Mapping[str, Index],
    gallery: Gallery,
    check: Callable[[], None],
) -> None:
    """Add the lines of a file, and the pairs of subjects that were told apart, to a gallery that is being imported.

    Args:
        reader: the file.
        importing: gets the lines; it is neither committed nor aborted here.
        indexes: get the templates, by contract; empty if the store keeps its own.
        gallery: the gallery.
        check: called between row groups; an exception from it ends the import.

    Raises:
        InvalidImport: a line has an invalid field, or the file is damaged.
        StorageError: the lines cannot be stored.
    """
    paired = _PairedSubjects(reader.manifest.distinct_pairs)
    for lines in reader.read():
        check()
        faces = faces_of(lines, gallery.gallery_id, gallery.etag)
        importing.add(faces)
        paired.note(faces)
        for contract, embedded in zip(gallery.contracts, (lines.embedded, lines.other_embedded), strict=False):
            if contract in indexes:
                indexes[contract].add(embedded_of(lines, embedded))
    if pairs := paired.pairs():
        importing.add_distinct(pairs)


class _PairedSubjects:
    """The ids of the subjects that a file tells apart by their places.

    Args:
        places: see :class:`gallery.transfer.manifest.Manifest`.
    """

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        self._places = places
        self._wanted = {place for pair in places for place in pair}
        self._ids: dict[int, str] = {}
        self._count = 0
        self._last = ""

    def note(self, faces: Sequence[StoredFace]) -> None:
        """Note the next subjects of the file; they follow the earlier ones in its order."""
        for subject_id in (face.subject.subject_id for face in faces):
            if subject_id != self._last:
                if self._count in self._wanted:
                    self._ids[self._count] = subject_id
                self._count += 1
                self._last = subject_id

    def pairs(self) -> list[Pair]:
        """Return the pairs, once all subjects were noted."""
        return [(self._ids[one], self._ids[other]) for one, other in self._places]
