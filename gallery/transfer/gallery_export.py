"""Whole galleries out of a store and into one, as files that any language can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from gallery.enrollment import new_etag
from gallery.errors import GalleryNotFound
from gallery.index.base import Index
from gallery.records.records import Gallery, StoredFace
from gallery.stores.base import Import, Store
from gallery.transfer.manifest import Manifest
from gallery.transfer.parquet_export import Writer
from gallery.transfer.parquet_format import GROUP_LINES
from gallery.transfer.parquet_import import Reader
from gallery.transfer.parquet_records import embedded_of, faces_of

__all__ = ["Piece", "Reader", "fill", "imported", "pieces_of", "verify"]

_PIECE_BYTES = 1 << 20
_BEFORE_ALL = ("", "")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an exported file.

    Attributes:
        data: at most 1 MiB.
        templates: how many templates the pieces so far hold.
    """

    data: bytes
    templates: int


def pieces_of(store: Store, gallery: Gallery, *, dimension: int) -> Iterator[Piece]:
    """Export a gallery, a page of the store at a time; nothing is held between two pages.

    What is enrolled or deleted meanwhile may be in the file or not; what was there from beginning to end is. A subject
    is in the file under one name, also where it was renamed meanwhile.

    Args:
        store: where the gallery is.
        gallery: as the store has it.
        dimension: values of an embedding.

    Raises:
        GalleryNotFound: the gallery was deleted meanwhile.
        StorageError: the store cannot be read.
    """
    writer = Writer(_manifest(gallery, dimension))
    last: StoredFace | None = None
    after = _BEFORE_ALL
    while found := store.faces(gallery.gallery_id, after=after, limit=GROUP_LINES):
        after = _key(found[-1])
        faces = found if last is None else _continued(last, found)
        if faces:
            yield from _cut(writer.write(faces), writer.templates)
            last = faces[-1]
    if store.gallery(gallery.gallery_id).create_time != gallery.create_time:
        raise GalleryNotFound(gallery.gallery_id)
    yield from _cut(writer.finish(), writer.templates)


def imported(manifest: Manifest, gallery_id: str) -> Gallery:
    """The gallery that comes of a file; its id is the file's where none is given."""
    now = datetime.now(UTC)
    return Gallery(
        gallery_id=gallery_id or manifest.gallery_id,
        display_name=manifest.display_name,
        threshold=float(np.float32(manifest.threshold)),
        mean_of_best=manifest.mean_of_best,
        contract=manifest.contract,
        subject_count=manifest.subjects,
        template_count=manifest.templates,
        create_time=now,
        update_time=now,
        etag=new_etag(),
        calibration=manifest.calibration,
    )


def verify(reader: Reader, check: Callable[[], None]) -> None:
    """Read a file to its end, and keep nothing; see :func:`fill`."""
    for _ in reader.read():
        check()


def fill(importing: Import, reader: Reader, index: Index | None, gallery: Gallery, check: Callable[[], None]) -> None:
    """Read the lines of a file into a gallery that is being imported.

    Args:
        importing: takes the lines; neither committed nor aborted here.
        reader: the file.
        index: takes the templates; ``None`` where the store keeps an index by itself.
        gallery: what it is to be.
        check: called between row groups; what it raises ends the import.

    Raises:
        InvalidImport: a line has a bad field, or the file is damaged.
        StorageError: the lines cannot be kept.
    """
    for lines in reader.read():
        check()
        importing.add(faces_of(lines, gallery.gallery_id, gallery.etag))
        if index is not None:
            index.add(embedded_of(lines))


def _manifest(gallery: Gallery, dimension: int) -> Manifest:
    return Manifest(
        contract=gallery.contract,
        dimension=dimension,
        gallery_id=gallery.gallery_id,
        display_name=gallery.display_name,
        threshold=gallery.threshold,
        mean_of_best=gallery.mean_of_best,
        export_time=datetime.now(UTC).isoformat(timespec="microseconds"),
        lines=0,
        subjects=0,
        templates=0,
        contents_sha256="",
        calibration=gallery.calibration,
    )


def _key(face: StoredFace) -> tuple[str, str]:
    return face.subject.subject_id, face.template.template_id if face.template else ""


def _continued(last: StoredFace, faces: Sequence[StoredFace]) -> list[StoredFace]:
    """A page, its beginning made to agree with the end of the page before, whose subject may have changed meanwhile.

    One that was renamed keeps the name of its first line. Lines of one that had no templates, or that was forgotten
    and enrolled anew, are left out: they are newer than the export.
    """
    subject = last.subject
    agreeing = []
    for face in faces:
        if face.subject.subject_id != subject.subject_id:
            agreeing.append(face)
        elif last.template is not None and face.subject.create_time == subject.create_time:
            agreeing.append(replace(face, subject=subject))
    return agreeing


def _cut(data: bytes, templates: int) -> Iterator[Piece]:
    for start in range(0, len(data), _PIECE_BYTES):
        yield Piece(data[start : start + _PIECE_BYTES], templates)
