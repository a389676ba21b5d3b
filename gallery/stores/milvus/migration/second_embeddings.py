"""The embeddings that templates in Milvus have under the other contract of a migration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gallery.errors import ContractMismatch
from gallery.records.migrations import Migration
from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.corrections.claims import Claims
from gallery.stores.milvus.faces import NO_TEMPLATES, FaceReader, embedded
from gallery.stores.milvus.locating.gallery_location import GalleryLocation, second_model
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.removal import remove_belongings
from gallery.stores.milvus.rows import id_of, row_id
from gallery.stores.milvus.schema import VECTOR, Collections
from gallery.stores.milvus.subject_templates import SubjectTemplates, of_subject

_WORK = "embeddings"
_AT_ONCE = 128
"""Embeddings that are added at once: each time waits for four time ticks, whether they are few or many."""
_LINES_AT_ONCE = 1000
_ROWS_AT_ONCE = 5000
_BEFORE_ALL = ("", "")
_Line = tuple[Row, str]


class MilvusSecondEmbeddings:
    """See :class:`gallery.stores.base.SecondEmbeddings`.

    An embedding is a row with the id of its template in the collection of its contract. Milvus keeps both rows if one
    id is inserted twice. So one server at a time adds or drops embeddings of a gallery, and another one gets
    :class:`gallery.errors.StorageBusy`; it may try again at once, or a minute later if a server died. Enrolments write
    both rows themselves and do not wait. Only if an enrolment stalled between its two rows, for as long as it takes
    another server to list the template and to embed its crop, the template would have its second row twice.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds the rows of galleries.
        faces: reads subjects with their templates.
        templates: finds templates.
        claims: lets one server at a time work.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        locator: GalleryLocator,
        faces: FaceReader,
        templates: SubjectTemplates,
        claims: Claims,
    ) -> None:
        self.at_once = _AT_ONCE
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._faces = faces
        self._templates = templates
        self._claims = claims

    def missing(
        self,
        gallery_id: str,
        contract: str,
        *,
        after: tuple[str, str],
        limit: int,
        picture_sha256: str = "",
        subject_id: str = "",
    ) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.SecondEmbeddings.missing`."""
        location = self._locator.find(gallery_id)
        having, lacking = _sides(location, contract)
        if lacking is None or lacking.templates is None:
            return []
        wanted = [f"picture == {quoted(picture_sha256)}"] if picture_sha256 else []
        wanted += [of_subject(subject_id)] if subject_id else []
        counted = 0 if wanted else sum(self.count_missing(gallery_id, contract))
        if not wanted and not counted:
            return []  # without a look at every template
        lines = self._some(lacking, wanted, after) if wanted else self._faces.lines(lacking, after, _LINES_AT_ONCE)
        found = list(islice(self._without(having, lines), limit))
        if after == _BEFORE_ALL and len(found) < min(limit, counted):
            self._templates.remove_all_orphans(location)
        return self._faces.stored_faces(lacking, gallery_id, found, with_embeddings=False)

    def count_missing(self, gallery_id: str, contract: str) -> tuple[int, int]:
        """See :meth:`gallery.stores.base.SecondEmbeddings.count_missing`.

        It includes what other servers have just written: a switch goes by it. What an enrolment that died left without
        a subject is counted until :meth:`missing` meets it.
        """
        location = self._locator.find(gallery_id)
        having, _ = _sides(location, contract)
        wheres = ("has_crop == true", "has_crop == false")
        templates = self._locator.count_matching(location, wheres, strong=True)
        # Counted later, so that an enrolment between its two rows is not missing one.
        embedded_ones = (0, 0) if having is None else self._locator.count_matching(having, wheres, strong=True)
        with_crop, without = (count - found for count, found in zip(templates, embedded_ones, strict=True))
        # Templates may have got one between the two counts.
        return max(0, with_crop), max(0, without)

    def add(
        self, gallery_id: str, contract: str, template_ids: Sequence[str], embeddings: NDArray[np.float32]
    ) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.SecondEmbeddings.add`.

        Raises:
            ContractMismatch: the contract is neither of the two, or the migration ends.
            StorageBusy: another server adds or drops embeddings.
        """
        wanted = dict(zip(template_ids, embeddings, strict=True))
        with self._working(gallery_id, contract) as (location, migration):
            if migration.is_ending:
                raise ContractMismatch(gallery_id, expected=location.contract, found=contract)
            having = location.others if contract == location.contract else location.templates
            if having is None or not wanted:
                return NO_TEMPLATES
            collection = self._collections.ensure_templates(contract, embeddings.shape[1])
            keys, fields = [row_id(location.key, each) for each in wanted], self._collections.fields("templates")
            there = self._milvus.get(collection, keys, (), strong=True)
            rows = self._milvus.get(having, [key for key in keys if key not in there], fields)
            model = second_model(migration, contract)
            added = [
                {"id": key}
                | {field: row[field] for field in fields}
                | {"embedding_model": model, VECTOR: wanted[id_of(row)]}
                for key, row in rows.items()
            ]
            self._milvus.insert(collection, added)
            kept = self._still_there(having, collection, added)
        names = self._faces.names(location, {row["subject"] for row in kept})
        return embedded([row for row in kept if row["subject"] in names], names)

    def drop(self, gallery_id: str, contract: str, *, model: str, limit: int) -> int:  # noqa: ARG002 - rows have it
        """See :meth:`gallery.stores.base.SecondEmbeddings.drop`.

        Raises:
            ContractMismatch: the contract is not the one that does not search.
            StorageBusy: another server adds or drops embeddings.
        """
        dropped = 0
        with self._working(gallery_id, contract) as (location, _):
            if contract == location.contract:
                raise ContractMismatch(gallery_id, expected=location.contracts[-1], found=contract)
            if location.others is None or location.templates is None:
                return 0
            for ids in self._pages(location, location.others):
                staying = self._milvus.get(location.templates, ids, (), strong=True)
                gone = [each for each in ids if each in staying][: limit - dropped]
                self._milvus.delete(location.others, gone)
                dropped += len(gone)
                if dropped >= limit:
                    break
        return dropped

    def delete_crops(self, gallery_id: str, *, limit: int) -> int:
        """See :meth:`gallery.stores.base.SecondEmbeddings.delete_crops`.

        :attr:`gallery.records.templates.Template.has_crop` stays as it is: Milvus cannot change a row of a template
        without being without it for a moment.
        """
        location, crops = self._locator.find(gallery_id), self._collections.find("crops")
        if crops is None:
            return 0
        rows = self._milvus.first_page(crops, location.filter, (), limit=limit, strong=True)
        self._milvus.delete(crops, [row["id"] for row in rows])
        return len(rows)

    def check_room(self, added: int) -> None:
        """See :meth:`gallery.stores.base.SecondEmbeddings.check_room`: Milvus does not tell."""

    @contextmanager
    def beginning_or_ending(self, location: GalleryLocation) -> Iterator[None]:
        """Keep embeddings from being added and dropped while a migration begins or ends.

        Raises:
            StorageBusy: another server adds or drops embeddings.
        """
        with self._claims.alone(location, _WORK):
            yield

    def remove_all(self, location: GalleryLocation, contract: str) -> None:
        """Remove all rows of a gallery under a contract that it does not have, and what belongs to them alone."""
        collection = self._collections.find_templates(contract)
        for ids in () if collection is None else self._pages(location, collection):
            staying = self._milvus.get(location.templates, ids, (), strong=True) if location.templates else {}
            remove_belongings(self._milvus, self._collections, [each for each in ids if each not in staying])
            self._milvus.delete(str(collection), ids)

    @contextmanager
    def _working(self, gallery_id: str, contract: str) -> Iterator[tuple[GalleryLocation, Migration]]:
        """Hold the claim to the embeddings of a gallery, which must be migrated from or to this contract."""
        with self._claims.alone(self._locator.find(gallery_id), _WORK):
            location = self._locator.find(gallery_id, strong=True)
            if location.migration is None or contract not in location.contracts:
                raise ContractMismatch(gallery_id, expected=location.contracts[-1], found=contract)
            try:
                yield location, location.migration
            finally:
                self._locator.invalidate(gallery_id)

    def _still_there(self, templates: str, collection: str, added: Sequence[Row]) -> list[Row]:
        """Return the added rows, without those whose templates another server has removed; these are deleted again."""
        rows = self._milvus.get(templates, [row["id"] for row in added], ("subject",), strong=True)
        kept = [row for row in added if row["id"] in rows]
        self._milvus.delete(collection, [row["id"] for row in added if row["id"] not in rows])
        return kept

    def _pages(self, location: GalleryLocation, collection: str) -> Iterator[list[str]]:
        """Yield the ids of all rows of a gallery in a collection of templates; the rows may be deleted meanwhile."""
        # One strong read sees what is being written at this moment; the pages need not wait again.
        self._milvus.first_page(collection, location.filter, (), limit=1, strong=True)
        for rows in self._milvus.pages(collection, location.filter, (), at_once=_ROWS_AT_ONCE):
            yield [row["id"] for row in rows]

    def _some(self, location: GalleryLocation, wanted: Sequence[str], after: tuple[str, str]) -> Iterator[_Line]:
        """Yield the lines of the templates that match some expressions."""
        rows = self._templates.find(location, " and ".join(wanted), ("subject",))
        subjects = self._faces.subject_rows(location, {row["subject"] for row in rows})
        ids = sorted((row["subject"], id_of(row)) for row in rows)
        yield from ((subjects[each[0]], each[1]) for each in ids if each > after and each[0] in subjects)

    def _without(self, having: GalleryLocation | None, lines: Iterable[_Line]) -> Iterator[_Line]:
        """Yield the lines of templates that have no row in the other collection."""
        lines = (line for line in lines if line[1])
        while some := list(islice(lines, _LINES_AT_ONCE)):
            there: Mapping[str, Row] = {}
            if having is not None and having.templates is not None:
                there = self._milvus.get(having.templates, [row_id(having.key, each) for _, each in some], ())
            yield from (line for line in some if row_id(line[0]["gallery"], line[1]) not in there)


def _sides(location: GalleryLocation, contract: str) -> tuple[GalleryLocation | None, GalleryLocation | None]:
    """Return where embeddings under a contract are, and where those of templates may be that have none."""
    if contract not in location.contracts:
        return None, location.under("")
    others = [location.under(each) for each in location.contracts if each != contract]
    return location.under(contract), next(iter(others), None)
