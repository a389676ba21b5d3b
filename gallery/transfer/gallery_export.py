"""Export of a gallery, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gallery.errors import ExportOutdated, GalleryNotFound
from gallery.records.galleries import Gallery
from gallery.records.policies import NO_POLICY
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace
from gallery.stores.base import Store
from gallery.times import now
from gallery.transfer.manifest import VERSION, WITH_MIGRATION, WITH_PAIRS, WITH_TERMS, Manifest
from gallery.transfer.parquet.schema import GROUP_LINES
from gallery.transfer.parquet.writer import ParquetWriter

_PIECE_BYTES = 1 << 20
_BEFORE_ALL = ("", "")


@dataclass(frozen=True, slots=True)
class ExportPiece:
    """A part of an exported file.

    Attributes:
        data: at most 1 MiB.
        templates: the number of templates in this and all earlier pieces.
    """

    data: bytes
    templates: int


def export_pieces(store: Store, gallery: Gallery, *, dimension: int) -> Iterator[ExportPiece]:
    """Export a gallery, one page of the store at a time; no lock is held between pages.

    Templates that are enrolled or deleted during the export may be in the file or not; all others are. A subject has
    one name in the file, even if it is renamed during the export. A pair of subjects is in the file if they were told
    apart before and after the export. Templates that go from one subject to another could be missing, or be in the file
    twice, so a merge, a move, or the undoing of one ends the export.

    In a migration, templates have the embeddings of both models. While a migration ends, only those of the model that
    searches are in the file. Pages from before and after a switch would have their embeddings in different columns, so
    a switch, a rollback and an end of a migration end the export; its start does not.

    Args:
        store: the gallery's store.
        gallery: the gallery as it is when the export begins.
        dimension: values of an embedding.

    Raises:
        GalleryNotFound: the gallery was deleted during the export.
        ExportOutdated: the gallery got its first consent or expiry during the export, or subjects were merged,
            templates moved, or such a correction undone, or its migration was switched, rolled back or ended.
        StorageError: the store cannot be read.
    """
    mark = store.changes.mark(gallery.gallery_id)
    if mark is None:
        raise ExportOutdated(gallery.gallery_id)
    if gallery.migration is not None and gallery.migration.is_ending:
        gallery = replace(gallery, migration=None)
    has_terms = gallery.policy != NO_POLICY or store.has_terms(gallery.gallery_id)
    paired = store.distinct_pairs(gallery.gallery_id)
    version = WITH_PAIRS if paired else WITH_TERMS if has_terms else VERSION
    version = version if gallery.migration is None else WITH_MIGRATION
    writer = ParquetWriter(_manifest(gallery, dimension, version))
    wanted = {subject_id for pair in paired for subject_id in pair}
    places: dict[str, int] = {}
    last: StoredFace | None = None
    for faces in _pages(store, gallery):
        if version == VERSION and any(each.has_terms for each in faces):
            raise ExportOutdated(gallery.gallery_id)
        ids = dict.fromkeys(face.subject.subject_id for face in faces)
        if last is not None:
            ids.pop(last.subject.subject_id, None)
        places |= {each: place for place, each in enumerate(ids, writer.subjects) if each in wanted}
        yield from _split(writer.write(faces), writer.templates)
        last = faces[-1]
    if store.gallery(gallery.gallery_id).create_time != gallery.create_time:
        raise GalleryNotFound(gallery.gallery_id)
    pairs = paired & store.distinct_pairs(gallery.gallery_id)
    if store.changes.mark(gallery.gallery_id) != mark:
        raise ExportOutdated(gallery.gallery_id)
    in_file = [(places[one], places[other]) for one, other in pairs if one in places and other in places]
    yield from _split(writer.finish(in_file), writer.templates)


def _pages(store: Store, gallery: Gallery) -> Iterator[list[StoredFace]]:
    """Yield the lines of a gallery, page by page.

    Raises:
        ExportOutdated: its migration was switched, rolled back or ended.
    """
    given_up = _GivenUp()
    last: StoredFace | None = None
    after = _BEFORE_ALL
    while found := store.faces(gallery.gallery_id, after=after, limit=GROUP_LINES):
        after = found[-1].key
        if not _has_same_embeddings(gallery, store.gallery(gallery.gallery_id)):
            raise ExportOutdated(gallery.gallery_id)
        if faces := given_up.left_out(found if last is None else _consistent(last, found)):
            yield faces
            last = faces[-1]
    if faces := given_up.rest():
        yield faces


class _GivenUp:
    """Leaves out the templates without an embedding, which a migration that ends deletes. Their subjects stay."""

    def __init__(self) -> None:
        self._waiting: Subject | None = None
        self._written = ""

    def left_out(self, faces: Sequence[StoredFace]) -> list[StoredFace]:
        """Return the lines that are exported, of the next ones."""
        kept: list[StoredFace] = []
        for face in faces:
            subject_id = face.subject.subject_id
            if self._waiting is not None and self._waiting.subject_id != subject_id:
                kept += self.rest()
            if face.template is None or face.embedding is not None or face.other_embedding is not None:
                kept.append(face)
                self._waiting, self._written = None, subject_id
            elif self._written != subject_id:
                self._waiting = face.subject
        return kept

    def rest(self) -> list[StoredFace]:
        """Return the line of a subject all of whose templates were left out, if it was the last one."""
        subject, self._waiting = self._waiting, None
        return [] if subject is None else [StoredFace(subject, None, None, None)]


def _manifest(gallery: Gallery, dimension: int, version: int) -> Manifest:
    return Manifest(
        contract=gallery.contract,
        dimension=dimension,
        gallery_id=gallery.gallery_id,
        display_name=gallery.display_name,
        threshold=gallery.threshold,
        mean_of_best=gallery.mean_of_best,
        export_time=now().isoformat(timespec="microseconds"),
        lines=0,
        subjects=0,
        templates=0,
        contents_sha256="",
        calibration=gallery.calibration,
        threshold_source=gallery.threshold_source,
        version=version,
        policy=gallery.policy,
        migration=gallery.migration,
    )


def _has_same_embeddings(gallery: Gallery, current: Gallery) -> bool:
    """Tell whether what was just read has the embeddings that a gallery had when its export began.

    Args:
        gallery: the gallery as it was; without a migration that was ending.
        current: as it is now.
    """
    began, now_is = gallery.migration, current.migration
    if current.contract != gallery.contract:
        return False
    if began is None:
        return now_is is None or now_is.is_ending or now_is.switch_time is None
    return now_is is not None and (now_is.migration_id, now_is.switch_time, now_is.end) == (
        began.migration_id,
        began.switch_time,
        began.end,
    )


def _consistent(last: StoredFace, faces: Sequence[StoredFace]) -> list[StoredFace]:
    """Make the beginning of a page agree with the last line of the page before.

    A subject that was renamed keeps the name of its first line. Lines are left out if the subject had no template on
    the page before, or was deleted and created again: they are newer than the export.
    """
    subject = last.subject
    consistent = []
    for face in faces:
        if face.subject.subject_id != subject.subject_id:
            consistent.append(face)
        elif last.template is not None and face.subject.create_time == subject.create_time:
            consistent.append(replace(face, subject=subject))
    return consistent


def _split(data: bytes, templates: int) -> Iterator[ExportPiece]:
    for start in range(0, len(data), _PIECE_BYTES):
        yield ExportPiece(data[start : start + _PIECE_BYTES], templates)
