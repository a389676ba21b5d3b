"""Observations in the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from gallery.errors import DatabaseDamaged, GalleryNotFound
from gallery.observations import counts_json
from gallery.observations.counts_json import InvalidCounts
from gallery.observations.records import DAY, HOUR, Counts, Observation, start_of
from gallery.stores.observation_rows import AT_ONCE, becomes_day, total_of
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.rows import gallery_key_of
from gallery.times import from_microseconds, microseconds_of, to_microseconds


class SqliteObservations:
    """See :class:`gallery.stores.logs.ObservationLog`. Nothing in the rows is personal, so they are not encrypted.

    Args:
        database: the open database.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.at_once = AT_ONCE

    def add(self, observations: Sequence[Observation]) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.add`."""
        with self._database.writing() as connection:
            for each in observations:
                with suppress(GalleryNotFound):
                    _add(connection, gallery_key_of(connection, each.gallery_id), each)

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
        last_start, last_source = (since, "") if after is None else after
        with self._database.reading() as connection:
            rows = connection.execute(
                """SELECT source, start, span, counts FROM observations
                WHERE gallery_key = ?1 AND start >= ?2 AND start < ?3 AND (start, source) > (?4, ?5)
                    AND ?6 IN ('', source)
                ORDER BY start, source LIMIT ?7""",
                (
                    gallery_key_of(connection, gallery_id),
                    to_microseconds(since),
                    to_microseconds(until),
                    to_microseconds(last_start),
                    last_source,
                    source,
                    limit,
                ),
            ).fetchall()
        return [self._observation(gallery_id, *row) for row in rows]

    def sources(self, gallery_id: str, *, since: datetime) -> Sequence[str]:
        """See :meth:`gallery.stores.logs.ObservationLog.sources`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT source FROM observations WHERE gallery_key = ? AND start >= ? ORDER BY source",
                (gallery_key_of(connection, gallery_id), to_microseconds(since)),
            )
            return [source for (source,) in rows]

    def tidy(
        self,
        gallery_id: str,
        *,
        days_before: datetime,
        keep_since: datetime,
        keep_hours: Mapping[str, tuple[datetime, datetime]],
    ) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.tidy`."""
        hour, day = microseconds_of(HOUR), microseconds_of(DAY)
        with self._database.writing() as connection:
            key = gallery_key_of(connection, gallery_id)
            connection.executemany(
                "DELETE FROM observations WHERE gallery_key = ? AND span = ? AND start <= ?",
                [(key, span, to_microseconds(keep_since) - span) for span in (hour, day)],
            )
            found = connection.execute(
                """SELECT DISTINCT source, start / ?1 * ?1 FROM observations
                WHERE gallery_key = ?2 AND span = ?3 AND start < ?4""",
                (day, key, hour, to_microseconds(start_of(days_before, DAY))),
            ).fetchall()
        for source, start in found:
            if becomes_day(source, from_microseconds(start), keep_hours):
                with self._database.writing() as connection:
                    _join_hours(connection, gallery_key_of(connection, gallery_id), source, start)

    def reference_starts(self, gallery_id: str) -> Mapping[str, datetime]:
        """See :meth:`gallery.stores.logs.ObservationLog.reference_starts`."""
        with self._database.reading() as connection:
            key = gallery_key_of(connection, gallery_id)
            rows = connection.execute("SELECT source, start FROM reference_starts WHERE gallery_key = ?", (key,))
            return {source: from_microseconds(start) for source, start in rows}

    def begin_reference(self, gallery_id: str, source: str, start: datetime) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.begin_reference`."""
        with self._database.writing() as connection:
            key = gallery_key_of(connection, gallery_id)
            if not source:
                connection.execute("DELETE FROM reference_starts WHERE gallery_key = ?", (key,))
            connection.execute(
                """INSERT INTO reference_starts (gallery_key, source, start) VALUES (?, ?, ?)
                ON CONFLICT (gallery_key, source) DO UPDATE SET start = excluded.start""",
                (key, source, to_microseconds(start)),
            )

    def _observation(self, gallery_id: str, source: str, start: int, span: int, data: bytes) -> Observation:
        try:
            counts = counts_json.from_bytes(data)
        except InvalidCounts as error:
            raise DatabaseDamaged(str(self._database.path), f"observations of {gallery_id!r}: {error}") from error
        return Observation(gallery_id, source, from_microseconds(start), timedelta(microseconds=span), counts)


def _add(connection: sqlite3.Connection, gallery_key: int, observation: Observation) -> None:
    place = gallery_key, observation.source, to_microseconds(observation.start), microseconds_of(observation.span)
    row = connection.execute(
        "SELECT counts FROM observations WHERE (gallery_key, source, start, span) = (?, ?, ?, ?)", place
    ).fetchone()
    _write(connection, place, total_of([observation.counts], [] if row is None else [row[0]]))


def _join_hours(connection: sqlite3.Connection, gallery_key: int, source: str, day: int) -> None:
    """Replace the hours of a day, and what is there of the day, by one row."""
    of_day = (gallery_key, source, day, day + microseconds_of(DAY))
    where = "WHERE gallery_key = ? AND source = ? AND start >= ? AND start < ?"
    rows = connection.execute(f"SELECT counts FROM observations {where}", of_day).fetchall()  # noqa: S608 - see above
    connection.execute(f"DELETE FROM observations {where}", of_day)  # noqa: S608 - see above
    place = gallery_key, source, day, microseconds_of(DAY)
    _write(connection, place, total_of([], [data for (data,) in rows]))


def _write(connection: sqlite3.Connection, place: tuple[int, str, int, int], counts: Counts) -> None:
    connection.execute(
        """INSERT INTO observations (gallery_key, source, start, span, counts) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (gallery_key, start, source, span) DO UPDATE SET counts = excluded.counts""",
        (*place, counts_json.to_bytes(counts)),
    )
