"""Export and import of galleries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from gallery.errors import GalleryExists, GalleryNotFound, InvalidImport
from gallery.opened.registry import GalleryRegistry
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.stores.base import Store
from gallery.transfer.subject_export import CompleteTemplate, export_subject

if TYPE_CHECKING:
    from gallery.transfer.gallery_export import ExportPiece


class GalleryTransfer:
    """Exports and imports galleries.

    PyArrow is imported with the first export or import: it takes a quarter of a second and 50 MB, which other servers
    save. Every method may raise :class:`gallery.errors.StorageError`.

    Args:
        store: where galleries are stored.
        registry: the open galleries.
        default_threshold: the server's default threshold, to recognise it in files that do not name its source.
    """

    def __init__(self, store: Store, registry: GalleryRegistry, *, default_threshold: float) -> None:
        self._store = store
        self._registry = registry
        self._default_threshold = default_threshold

    def export_gallery(
        self, gallery_id: str, permitted: Callable[[str], bool] = lambda _: True
    ) -> Iterator[ExportPiece]:
        """Export a gallery of any contract; see :func:`gallery.transfer.gallery_export.export_pieces`.

        Args:
            gallery_id: the gallery.
            permitted: whether the export may name another gallery, by its id.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """
        from gallery.transfer.gallery_export import export_pieces

        gallery = self._store.gallery(gallery_id).told_to(permitted)
        self._note_copy("export", gallery_id)
        return export_pieces(self._store, gallery, dimension=self._dimension(gallery))

    def export_subject(self, gallery_id: str, subject_id: str) -> tuple[Subject, Iterator[CompleteTemplate]]:
        """Return everything about a person; see :func:`gallery.transfer.subject_export.export_subject`.

        Raises:
            GalleryNotFound: the gallery does not exist.
            SubjectNotFound: the subject does not exist.
        """
        exported = export_subject(self._store, gallery_id, subject_id)
        self._note_copy("access_report", gallery_id)
        return exported

    def import_gallery(
        self, file: BinaryIO, gallery_id: str = "", *, validate_only: bool = False, check: Callable[[], None]
    ) -> Gallery:
        """Create a gallery from an exported file; it becomes visible once everything is stored.

        Args:
            file: readable and seekable.
            gallery_id: the id of the new gallery; empty for the id in the file.
            validate_only: check everything and return the same answer, but store nothing.
            check: called now and then; an exception from it ends the import, and nothing is stored.

        Raises:
            InvalidImport: the file is not an exported gallery, is damaged, or a line has an invalid field.
            ContractMismatch: the server has no model of the contract that searches it. In a migration, the model that
                does not search may be missing.
            GalleryExists: the id is taken.
        """
        from gallery.transfer.gallery_import import add_lines, gallery_of
        from gallery.transfer.parquet.reader import ParquetReader

        reader = ParquetReader(file)
        gallery = gallery_of(reader.manifest, gallery_id, default_threshold=self._default_threshold)
        dimension = self._registry.dimensions.get(gallery.contract)
        if dimension is None:
            raise self._registry.mismatches.other_file(gallery)
        if reader.manifest.dimension != dimension:
            raise InvalidImport(f"must be {dimension} under this contract", field="manifest.dimension")
        if gallery.migration is not None:
            other = gallery.migration.other_model(gallery.contract)
            if self._registry.dimensions.get(other.contract, other.dimension) != other.dimension:
                raise InvalidImport("a model of this contract has another dimension", field="manifest.migration")
        self.check_id_is_free(gallery.gallery_id)
        if validate_only:
            for _ in reader.read():
                check()
            return gallery
        importing = self._store.begin_import(gallery)
        try:
            indexes = self._registry.indexes_to_fill(gallery)
            add_lines(reader, importing, indexes or {}, gallery, check)
            with self._registry.create_lock:
                imported = importing.commit()
                self._registry.add_created(imported, indexes)
                return imported
        except BaseException:
            importing.abort()
            raise

    def check_id_is_free(self, gallery_id: str) -> None:
        """Check that no gallery has an id, before the work of an import.

        Raises:
            GalleryExists: a gallery has it.
        """
        with suppress(GalleryNotFound):
            self._store.gallery(gallery_id)
            raise GalleryExists(gallery_id)

    def _dimension(self, gallery: Gallery) -> int:
        """Return how many values the embeddings of a gallery have."""
        if gallery.migration is not None:
            return gallery.migration.model(gallery.contract).dimension
        first = self._store.embedded_templates(gallery.gallery_id, after="", limit=1)
        known = self._registry.dimensions.get(gallery.contract, self._registry.dimension)
        return first.embeddings.shape[1] if len(first) else known

    def _note_copy(self, kind: str, gallery_id: str) -> None:
        if self._store.erasures is not None:
            self._store.erasures.note_copy(kind, gallery_id)
