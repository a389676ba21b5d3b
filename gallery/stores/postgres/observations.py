"""Observations in the PostgreSQL store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from gallery.errors import GalleryNotFound
from gallery.observations import counts_json
from gallery.observations.counts_json import InvalidCounts
from gallery.observations.records import DAY, HOUR, Counts, Observation, start_of
from gallery.stores.columns import BadRow
from gallery.stores.observation_rows import AT_ONCE, becomes_day, total_of
from gallery.stores.postgres.connection.database import Connection, PostgresDatabase
from gallery.stores.postgres.keys import gallery_key_of, locked_gallery_key
from gallery.times import from_microseconds, microseconds_of, to_microseconds

_FIND = """
    SELECT source, start, span, counts FROM observations
    WHERE gallery_key = %(gallery)s AND start >= %(since)s AND start < %(until)s
        AND (start, source) > (%(last_start)s, %(last_source)s) AND %(source)s IN ('', source)
    ORDER BY start, source LIMIT %(limit)s
"""
_WRITE = """
    INSERT INTO observations (gallery_key, source, start, span, counts) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (gallery_key, start, source, span) DO UPDATE SET counts = EXCLUDED.counts
"""
_BEGIN = """
    INSERT INTO reference_starts (gallery_key, source, start) VALUES (%s, %s, %s)
    ON CONFLICT (gallery_key, source) DO UPDATE SET start = EXCLUDED.start
"""


class PostgresObservations:
    """See :class:`gallery.stores.logs.ObservationLog`.

    Args:
        database: the open database.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self.at_once = AT_ONCE

    def add(self, observations: Sequence[Observation]) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.add`."""
        with self._database.writing() as connection:
            # In one order, so that no two servers wait for each other.
            for each in sorted(observations, key=lambda each: each.gallery_id):
                with suppress(GalleryNotFound):
                    _add(connection, locked_gallery_key(connection, each.gallery_id), each)

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
            wanted = {
                "gallery": gallery_key_of(connection, gallery_id),
                "since": to_microseconds(since),
                "until": to_microseconds(until),
                "last_start": to_microseconds(last_start),
                "last_source": last_source,
                "source": source,
                "limit": limit,
            }
            return [_observation(gallery_id, *row) for row in connection.execute(_FIND, wanted)]

    def sources(self, gallery_id: str, *, since: datetime) -> Sequence[str]:
        """See :meth:`gallery.stores.logs.ObservationLog.sources`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT source FROM observations WHERE gallery_key = %s AND start >= %s ORDER BY source",
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
            key = locked_gallery_key(connection, gallery_id)
            connection.execute(
                "DELETE FROM observations WHERE gallery_key = %s AND start <= %s - span",
                (key, to_microseconds(keep_since)),
            )
            found = connection.execute(
                """SELECT DISTINCT source, start / %(day)s * %(day)s FROM observations
                WHERE gallery_key = %(gallery)s AND span = %(hour)s AND start < %(before)s""",
                {"day": day, "gallery": key, "hour": hour, "before": to_microseconds(start_of(days_before, DAY))},
            ).fetchall()
        for source, start in found:
            if becomes_day(source, from_microseconds(start), keep_hours):
                with self._database.writing() as connection:
                    _join_hours(connection, locked_gallery_key(connection, gallery_id), source, start)

    def reference_starts(self, gallery_id: str) -> Mapping[str, datetime]:
        """See :meth:`gallery.stores.logs.ObservationLog.reference_starts`."""
        with self._database.reading() as connection:
            key = gallery_key_of(connection, gallery_id)
            rows = connection.execute("SELECT source, start FROM reference_starts WHERE gallery_key = %s", (key,))
            return {source: from_microseconds(start) for source, start in rows}

    def begin_reference(self, gallery_id: str, source: str, start: datetime) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.begin_reference`."""
        with self._database.writing() as connection:
            key = locked_gallery_key(connection, gallery_id)
            if not source:
                connection.execute("DELETE FROM reference_starts WHERE gallery_key = %s", (key,))
            connection.execute(_BEGIN, (key, source, to_microseconds(start)))


def _observation(gallery_id: str, source: str, start: int, span: int, data: bytes) -> Observation:
    try:
        counts = counts_json.from_bytes(bytes(data))
    except InvalidCounts as error:
        raise BadRow(f"observations of {gallery_id!r}: {error}") from error
    return Observation(gallery_id, source, from_microseconds(start), timedelta(microseconds=span), counts)


def _add(connection: Connection, gallery_key: int, observation: Observation) -> None:
    place = gallery_key, observation.source, to_microseconds(observation.start), microseconds_of(observation.span)
    row = connection.execute(
        "SELECT counts FROM observations WHERE (gallery_key, source, start, span) = (%s, %s, %s, %s)", place
    ).fetchone()
    _write(connection, place, total_of([observation.counts], [] if row is None else [row[0]]))


def _join_hours(connection: Connection, gallery_key: int, source: str, day: int) -> None:
    """Replace the hours of a day, and what is there of the day, by one row."""
    of_day = (gallery_key, source, day, day + microseconds_of(DAY))
    rows = connection.execute(
        """DELETE FROM observations WHERE gallery_key = %s AND source = %s AND start >= %s AND start < %s
        RETURNING counts""",
        of_day,
    ).fetchall()
    _write(connection, (gallery_key, source, day, microseconds_of(DAY)), total_of([], [data for (data,) in rows]))


def _write(connection: Connection, place: tuple[int, str, int, int], counts: Counts) -> None:
    connection.execute(_WRITE, (*place, counts_json.to_bytes(counts)))
