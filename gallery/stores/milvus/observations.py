"""Observations in Milvus, which many servers write."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby

from gallery.errors import GalleryNotFound, StorageUnavailable
from gallery.observations import counts_json
from gallery.observations.counts_json import InvalidCounts
from gallery.observations.records import HOUR, Counts, Observation, total
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections, fields_of, with_no_vector
from gallery.times import from_microseconds, microseconds_of, to_microseconds

_FIELDS = fields_of("observations")
_ROWS_AT_ONCE = 1000


class MilvusObservations:
    """See :class:`gallery.stores.logs.ObservationLog`.

    Milvus has no transactions, so each process adds to rows of its own, which no other process writes. Reading adds up
    the rows of all of them. Hours stay hours: two processes that put the same day together could lose one.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds galleries.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections, locator: GalleryLocator) -> None:
        self.at_once = 1  # there are no transactions
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._process = secrets.token_hex(4)
        self._adding = threading.Lock()

    def add(self, observations: Sequence[Observation]) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.add`; the first of them are stored even if later ones fail."""
        with self._adding:
            for each in observations:
                with suppress(GalleryNotFound):
                    self._add(each)

    def find(
        self,
        gallery_id: str,
        *,
        since: datetime,
        until: datetime,
        source: str = "",
        after: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[Observation]:
        """See :meth:`gallery.stores.logs.ObservationLog.find`."""
        key = self._locator.find(gallery_id).key
        collection = self._collections.find("observations")
        if collection is None:
            return []
        first = to_microseconds(since if after is None else max(since, after[0]))
        where = f"gallery == {key} and start >= {first} and start < {to_microseconds(until)}"
        if source:
            where += f" and source == {quoted(source)}"
        found: list[Observation] = []
        for rows in _by_start(self._milvus, collection, where):
            added_up = _added_up(gallery_id, rows)
            found += [each for each in added_up if after is None or (each.start, each.source) > after]
            if len(found) >= limit:
                break
        return found[:limit]

    def sources(self, gallery_id: str, *, since: datetime) -> Sequence[str]:
        """See :meth:`gallery.stores.logs.ObservationLog.sources`."""
        key = self._locator.find(gallery_id).key
        collection = self._collections.find("observations")
        if collection is None:
            return []
        where = f"gallery == {key} and start >= {to_microseconds(since)}"
        pages = self._milvus.pages(collection, where, ("source",), at_once=_ROWS_AT_ONCE)
        return sorted({row["source"] for rows in pages for row in rows})

    def tidy(
        self,
        gallery_id: str,
        *,
        days_before: datetime,  # noqa: ARG002 - hours stay hours
        keep_since: datetime,
        keep_hours: Mapping[str, tuple[datetime, datetime]],  # noqa: ARG002 - as above
    ) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.tidy`."""
        key = self._locator.find(gallery_id).key
        if collection := self._collections.find("observations"):
            old = f"gallery == {key} and start <= {to_microseconds(keep_since) - microseconds_of(HOUR)}"
            for rows in self._milvus.pages(collection, old, (), at_once=_ROWS_AT_ONCE):
                self._milvus.delete(collection, [row["id"] for row in rows])

    def reference_starts(self, gallery_id: str) -> Mapping[str, datetime]:
        """See :meth:`gallery.stores.logs.ObservationLog.reference_starts`."""
        key = self._locator.find(gallery_id).key
        collection = self._collections.find("reference_starts")
        if collection is None:
            return {}
        pages = self._milvus.pages(collection, f"gallery == {key}", ("source", "start"), at_once=_ROWS_AT_ONCE)
        return {row["source"]: from_microseconds(row["start"]) for rows in pages for row in rows}

    def begin_reference(self, gallery_id: str, source: str, start: datetime) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.begin_reference`."""
        key = self._locator.find(gallery_id).key
        collection = self._collections.ensure("reference_starts")
        place = row_id(key, hashlib.sha256(source.encode()).hexdigest()[:16])
        row = {"id": place, "gallery": key, "source": source, "start": to_microseconds(start)}
        # Before the row is written: these reads would wait for it.
        others = f"gallery == {key} and id != {quoted(place)}"
        pages = [] if source else list(self._milvus.pages(collection, others, (), at_once=_ROWS_AT_ONCE))
        self._milvus.upsert(collection, [with_no_vector(row)])
        for rows in pages:
            self._milvus.delete(collection, [each["id"] for each in rows])

    def _add(self, observation: Observation) -> None:
        key = self._locator.find(observation.gallery_id).key
        start, span = to_microseconds(observation.start), microseconds_of(observation.span)
        source = hashlib.sha256(observation.source.encode()).hexdigest()[:16]
        place = row_id(key, f"{start:016x}:{source}:{span:x}:{self._process}")
        collection = self._collections.ensure("observations")
        stored = self._milvus.get(collection, [place], _FIELDS)
        counts = observation.counts
        if place in stored:
            with suppress(InvalidCounts):  # damaged counts must not keep others from being counted
                counts = total([counts, _counts(stored[place])])
        row = {
            "id": place,
            "gallery": key,
            "source": observation.source,
            "start": start,
            "span": span,
            "counts": base64.b85encode(counts_json.to_bytes(counts)).decode(),
        }
        self._milvus.upsert(collection, [with_no_vector(row)])


def _by_start(milvus: MilvusConnection, collection: str, where: str) -> Iterator[list[Row]]:
    """All rows of one start at a time: their ids sort by it."""
    held: list[Row] = []
    for page in milvus.pages(collection, where, _FIELDS, at_once=_ROWS_AT_ONCE):
        for start, rows in groupby(page, lambda row: int(row["start"])):
            if held and held[0]["start"] != start:
                yield held
                held = []
            held += rows
    if held:
        yield held


def _added_up(gallery_id: str, rows: Sequence[Row]) -> list[Observation]:
    """The observations of one start, by source: those of all processes together."""
    by_source: dict[tuple[str, int], list[Observation]] = {}
    for row in rows:
        by_source.setdefault((row["source"], row["span"]), []).append(_observation(gallery_id, row))
    return [
        Observation(gallery_id, source, each[0].start, each[0].span, total(part.counts for part in each))
        for (source, _), each in sorted(by_source.items())
    ]


def _observation(gallery_id: str, row: Row) -> Observation:
    try:
        counts = _counts(row)
    except InvalidCounts as error:
        raise StorageUnavailable(f"Milvus: observations of {gallery_id!r} are damaged") from error
    return Observation(
        gallery_id, row["source"], from_microseconds(row["start"]), timedelta(microseconds=row["span"]), counts
    )


def _counts(row: Row) -> Counts:
    try:
        return counts_json.from_bytes(base64.b85decode(row["counts"]))
    except ValueError as error:
        raise InvalidCounts("they are not base85") from error
