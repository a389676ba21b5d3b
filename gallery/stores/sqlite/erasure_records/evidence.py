"""Bytes of rows that are about to be erased, to search the files for them afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gallery.stores.sqlite.erasure_records.byte_search import is_searchable

MOST_TEMPLATES = 8
"""Templates of one erasure whose bytes are kept, evenly chosen."""
_MOST_REQUESTS = 4
_MOST_CHANGES = 4
_BYTES = 64
"""Of an embedding or crop; a match of so many is no chance."""

_EMBEDDINGS = "SELECT substr(embedding, 1 + (length(embedding) - ?1) / 2, ?1) FROM templates WHERE key = ?2"
_SECOND = """SELECT substr(embedding, 1 + (length(embedding) - ?1) / 2, ?1) FROM second_embeddings
    WHERE template_key = ?2"""
_CROPS = "SELECT substr(png, 1 + (length(png) - ?1) / 2, ?1) FROM crops WHERE template_key = ?2"
# What follows each other in a row follows each other in the file; the etag makes the whole unique.
_SUBJECT = """SELECT display_name, create_time, update_time, etag, consent_basis, consent_reference FROM subjects
    WHERE key = ?"""
_CHANGES = """SELECT substr(text, 1 + (length(text) - ?1) / 2, ?1) FROM changes WHERE one_key = ?2 OR other_key = ?2
    LIMIT ?3"""
_REQUESTS = "SELECT request_id, digest FROM requests WHERE template_key = ? LIMIT ?"


class Evidence:
    """Values of erased rows, of large erasures a sample. They are overwritten in memory when they are not needed.

    Attributes:
        values: parts of embeddings and crops, and names and requests with what follows them in their rows.
    """

    def __init__(self) -> None:
        self.values: list[bytearray] = []

    def add_subject(self, connection: sqlite3.Connection, subject_key: int) -> None:
        """Keep the name of a subject, the reference of its consent, and what undoes its corrections."""
        for name, created, updated, *texts in connection.execute(_SUBJECT, (subject_key,)):
            times = b"".join(int(each).to_bytes(8, "big", signed=True) for each in (created, updated))
            self._add([_stored(name) + times + b"".join(map(_stored, texts))])
        changes = connection.execute(_CHANGES, (_BYTES, subject_key, _MOST_CHANGES))
        self._add(_stored(text) for (text,) in changes)

    def add_templates(self, connection: sqlite3.Connection, template_keys: Sequence[int]) -> None:
        """Keep the middles of embeddings and crops, and requests, of some of the templates."""
        for key in evenly(template_keys, MOST_TEMPLATES):
            for query in (_EMBEDDINGS, _SECOND, _CROPS):
                self._add(value for (value,) in connection.execute(query, (_BYTES, key)))
            requests = connection.execute(_REQUESTS, (key, _MOST_REQUESTS))
            self._add(_stored(request_id) + _stored(digest) for request_id, digest in requests)

    def forget(self) -> None:
        """Overwrite the values."""
        for value in self.values:
            value[:] = bytes(len(value))
        self.values = []

    def _add(self, values: Iterable[bytes]) -> None:
        self.values += [bytearray(value) for value in values if is_searchable(value)]


def kept_values(connection: sqlite3.Connection, values: Sequence[bytearray]) -> set[int]:
    """Return the numbers of the values that are in an embedding or the crop of a stored template.

    It reads all of them, some thousands at a time, so that no writer waits long.
    """
    kept: set[int] = set()
    for table, key, column in _TABLES:
        (last,) = connection.execute(f"SELECT MAX({key}) FROM {table}").fetchone()  # noqa: S608 - one of the tables below
        for start in range(0, (last or 0) + 1, _KEYS_AT_ONCE):
            rows = connection.execute(
                f"SELECT {column} FROM {table} WHERE {key} BETWEEN ? AND ?",  # noqa: S608
                (start, start + _KEYS_AT_ONCE - 1),
            )
            for (stored,) in rows:
                kept |= {number for number, value in enumerate(values) if number not in kept and value in stored}
    return kept


_KEYS_AT_ONCE = 1000
_TABLES = (
    ("templates", "key", "embedding"),
    ("second_embeddings", "template_key", "embedding"),
    ("crops", "template_key", "png"),
)


def evenly(items: Sequence[int], most: int) -> Sequence[int]:
    """Return at most so many items, evenly spaced."""
    return items if len(items) <= most else [items[number * len(items) // most] for number in range(most)]


def _stored(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
