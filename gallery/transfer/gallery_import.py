"""Import of an exported gallery, row group by row group."""

from __future__ import annotations

from collections.abc import Callable

from gallery.etags import new_etag
from gallery.index.protocol import Index
from gallery.records.galleries import Gallery, infer_threshold_source, rounded_threshold
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
        threshold_source=manifest.threshold_source
        or infer_threshold_source(threshold, manifest.calibration, default_threshold=default_threshold),
    )


def add_lines(
    reader: ParquetReader,
    importing: GalleryImport,
    index: Index | None,
    gallery: Gallery,
    check: Callable[[], None],
) -> None:
    """Add the lines of a file to a gallery that is being imported.

    Args:
        reader: the file.
        importing: gets the lines; it is neither committed nor aborted here.
        index: gets the templates; ``None`` if the store keeps its own index.
        gallery: the gallery.
        check: called between row groups; an exception from it ends the import.

    Raises:
        InvalidImport: a line has an invalid field, or the file is damaged.
        StorageError: the lines cannot be stored.
    """
    for lines in reader.read():
        check()
        importing.add(faces_of(lines, gallery.gallery_id, gallery.etag))
        if index is not None:
            index.add(embedded_of(lines))
