"""Pairs of subjects that were told apart, in the PostgreSQL store. A pair goes with either of its subjects."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gallery.errors import TooManyDistinctPairs
from gallery.records.distinct_pairs import Pair, ordered
from gallery.stores.postgres.connection.database import Connection
from gallery.stores.postgres.expiry import LIVING_SUBJECT

_PAIRS = f"""
    SELECT one.subject_id, other.subject_id
    FROM distinct_pairs JOIN galleries ON galleries.key = distinct_pairs.gallery_key
        JOIN subjects AS one ON one.key = distinct_pairs.one_key
        JOIN subjects AS other ON other.key = distinct_pairs.other_key
    WHERE distinct_pairs.gallery_key = %(gallery)s AND {LIVING_SUBJECT.replace("subjects.", "one.")}
        AND {LIVING_SUBJECT.replace("subjects.", "other.")}
"""  # noqa: S608 - only a constant is inserted
_INSERT = """
    INSERT INTO distinct_pairs (gallery_key, one_key, other_key)
    SELECT %(gallery)s, LEAST(one.key, other.key), GREATEST(one.key, other.key)
    FROM unnest(%(ones)s::TEXT[], %(others)s::TEXT[]) AS pair (one_id, other_id)
        JOIN subjects AS one ON one.gallery_key = %(gallery)s AND one.subject_id = one_id
        JOIN subjects AS other ON other.gallery_key = %(gallery)s AND other.subject_id = other_id
    ON CONFLICT DO NOTHING
"""
_DELETE = """
    DELETE FROM distinct_pairs
    USING unnest(%(ones)s::TEXT[], %(others)s::TEXT[]) AS pair (one_id, other_id)
        JOIN subjects AS one ON one.gallery_key = %(gallery)s AND one.subject_id = one_id
        JOIN subjects AS other ON other.gallery_key = %(gallery)s AND other.subject_id = other_id
    WHERE distinct_pairs.gallery_key = %(gallery)s
        AND one_key = LEAST(one.key, other.key) AND other_key = GREATEST(one.key, other.key)
"""
_COUNT = "SELECT COUNT(*) FROM distinct_pairs WHERE gallery_key = %s"


def read_pairs(connection: Connection, gallery_key: int, now: int) -> frozenset[Pair]:
    """Return the pairs of a gallery whose subjects have not expired."""
    rows = connection.execute(_PAIRS.encode(), {"gallery": gallery_key, "now": now})
    return frozenset(ordered(*pair) for pair in rows)


def tell_apart(connection: Connection, gallery_id: str, gallery_key: int, pair: Pair, *, limit: int) -> None:
    """Store a pair; does nothing if it is stored.

    Raises:
        TooManyDistinctPairs: the gallery has ``limit`` pairs.
    """
    if insert_pairs(connection, gallery_key, (pair,)):
        row = connection.execute(_COUNT, (gallery_key,)).fetchone()
        if row is not None and row[0] > limit:
            raise TooManyDistinctPairs(gallery_id, limit)


def insert_pairs(connection: Connection, gallery_key: int, pairs: Collection[Pair]) -> int:
    """Store pairs, those of missing subjects left out, and return how many were not stored before."""
    return connection.execute(_INSERT, _values(gallery_key, pairs)).rowcount if pairs else 0


def delete_pairs(connection: Connection, gallery_key: int, pairs: Collection[Pair]) -> None:
    """Delete those pairs that there are."""
    if pairs:
        connection.execute(_DELETE, _values(gallery_key, pairs))


def subject_keys(connection: Connection, gallery_key: int, subject_ids: Iterable[str]) -> dict[str, int]:
    """Return the keys of those subjects that exist, in this order."""
    wanted = list(subject_ids)
    rows = connection.execute(
        "SELECT subject_id, key FROM subjects WHERE gallery_key = %s AND subject_id = ANY(%s)", (gallery_key, wanted)
    )
    found = {str(subject_id): int(key) for subject_id, key in rows}
    return {each: found[each] for each in wanted if each in found}


def _values(gallery_key: int, pairs: Collection[Pair]) -> dict[str, object]:
    return {"gallery": gallery_key, "ones": [one for one, _ in pairs], "others": [other for _, other in pairs]}
