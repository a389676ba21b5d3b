"""Pairs of subjects that were told apart, in the SQLite store. A pair has no ids of its own: it goes with a subject."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from gallery.errors import TooManyDistinctPairs
from gallery.records.distinct_pairs import Pair, ordered
from gallery.stores.sqlite.expiry import LIVING_SUBJECT

_LIVING = f"""EXISTS (SELECT 1 FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
    WHERE subjects.key = {{key}} AND {LIVING_SUBJECT})"""  # noqa: S608 - only a constant is inserted, as below
_PAIRS = f"""
    SELECT one.subject_id, other.subject_id FROM distinct_pairs
        JOIN subjects AS one ON one.key = one_key JOIN subjects AS other ON other.key = other_key
    WHERE distinct_pairs.gallery_key = ? AND {_LIVING.format(key="one_key")} AND {_LIVING.format(key="other_key")}
"""  # noqa: S608


def read_pairs(connection: sqlite3.Connection, gallery_key: int) -> frozenset[Pair]:
    """Return the pairs of a gallery whose subjects have not expired."""
    return frozenset(ordered(*pair) for pair in connection.execute(_PAIRS, (gallery_key,)))


def write_pair(
    connection: sqlite3.Connection, gallery_id: str, gallery_key: int, subject_keys: tuple[int, int], *, limit: int
) -> None:
    """Store a pair; does nothing if it is stored.

    Raises:
        TooManyDistinctPairs: the gallery has ``limit`` pairs.
    """
    pair = (gallery_key, *sorted(subject_keys))
    where = "gallery_key = ? AND one_key = ? AND other_key = ?"
    if connection.execute(f"SELECT 1 FROM distinct_pairs WHERE {where}", pair).fetchone() is not None:  # noqa: S608
        return
    count = "SELECT COUNT(*) FROM distinct_pairs WHERE gallery_key = ?"
    if connection.execute(count, (gallery_key,)).fetchone()[0] >= limit:
        raise TooManyDistinctPairs(gallery_id, limit)
    insert_pair(connection, gallery_key, subject_keys)


def insert_pair(connection: sqlite3.Connection, gallery_key: int, subject_keys: tuple[int, int]) -> None:
    """Store a pair; does nothing if it is stored."""
    connection.execute(
        "INSERT OR IGNORE INTO distinct_pairs (gallery_key, one_key, other_key) VALUES (?, ?, ?)",
        (gallery_key, *sorted(subject_keys)),
    )


def insert_pairs(connection: sqlite3.Connection, gallery_key: int, pairs: Sequence[Pair]) -> None:
    """Store pairs, those of missing subjects left out; does nothing about those that are stored."""
    for keys in _keys_of_pairs(connection, gallery_key, pairs):
        insert_pair(connection, gallery_key, keys)


def delete_pairs(connection: sqlite3.Connection, gallery_key: int, pairs: Sequence[Pair]) -> None:
    """Delete those pairs that there are."""
    for keys in _keys_of_pairs(connection, gallery_key, pairs):
        delete_pair(connection, gallery_key, keys)


def subject_keys(connection: sqlite3.Connection, gallery_key: int, subject_ids: Iterable[str]) -> dict[str, int]:
    """Return the keys of those subjects that exist, in this order."""
    query = "SELECT key FROM subjects WHERE gallery_key = ? AND subject_id = ?"
    found = ((each, connection.execute(query, (gallery_key, each)).fetchone()) for each in subject_ids)
    return {subject_id: row[0] for subject_id, row in found if row is not None}


def _keys_of_pairs(
    connection: sqlite3.Connection, gallery_key: int, pairs: Sequence[Pair]
) -> Iterator[tuple[int, int]]:
    keys = subject_keys(connection, gallery_key, {subject_id for pair in pairs for subject_id in pair})
    return ((keys[one], keys[other]) for one, other in pairs if one in keys and other in keys)


def delete_pair(connection: sqlite3.Connection, gallery_key: int, subject_keys: tuple[int, int]) -> None:
    """Delete a pair; does nothing if there is none."""
    connection.execute(
        "DELETE FROM distinct_pairs WHERE gallery_key = ? AND one_key = ? AND other_key = ?",
        (gallery_key, *sorted(subject_keys)),
    )
