"""A gallery's templates, a page at a time, in the orders in which they are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.stores.columns import embeddings_of
from gallery.stores.feed import TemplateOwners
from gallery.stores.postgres.connection.database import Connection, Cursor
from gallery.stores.postgres.expiry import LIVING_SUBJECT
from gallery.stores.postgres.keys import contract_key_of, searching_contract_key
from gallery.stores.postgres.rows import (
    EMBEDDED_BY_AGE,
    EMBEDDED_BY_SUBJECT,
    EMBEDDED_WITH_KEY,
    FACE,
    FOR_EACH_SUBJECT,
    OWNERS,
    OWNERS_OF_EMBEDDED,
    embedded_of,
    faces_of,
)

_KEY = "SELECT key FROM templates WHERE gallery_key = %s AND template_id = %s"
_BY_AGE = f"""{EMBEDDED_BY_AGE} AND templates.gallery_key = %(gallery)s AND embeddings.contract_key = %(contract)s
    AND templates.key > %(after)s ORDER BY templates.key LIMIT %(limit)s"""
_OF_KEYS = f"{EMBEDDED_BY_AGE} AND embeddings.contract_key = %(contract)s AND templates.key = ANY(%(keys)s)"
_TO_COPY = (
    "AND templates.gallery_key = %(gallery)s AND templates.key > %(after)s ORDER BY templates.key LIMIT %(limit)s"
)
_UNDER = "AND embeddings.contract_key = %(contract)s"
_COPY = "COPY ({} {} {}) TO STDOUT (FORMAT BINARY)"
_COPY_EMBEDDED = _COPY.format(EMBEDDED_WITH_KEY, _UNDER, _TO_COPY)
_COPY_OWNERS_OF_EMBEDDED = _COPY.format(OWNERS_OF_EMBEDDED, _UNDER, _TO_COPY)
_COPY_OWNERS = _COPY.format(OWNERS, "", _TO_COPY)
_OWNER_TYPES = ("int8", "text", "text", "text")
_BY_SUBJECT = f"""{EMBEDDED_BY_SUBJECT} AND subjects.gallery_key = %(gallery)s
    AND embeddings.contract_key = %(contract)s
    AND subject_id >= %(subject)s AND (subject_id, template_id) > (%(subject)s, %(template)s)
    ORDER BY subject_id, template_id LIMIT %(limit)s"""
_OF_SUBJECTS = FOR_EACH_SUBJECT.format(
    query=f"""{EMBEDDED_BY_SUBJECT} AND subjects.gallery_key = %(gallery)s AND embeddings.contract_key = %(contract)s"""
)
_LIVING = FOR_EACH_SUBJECT.format(
    query=f"""
    SELECT subject_id FROM subjects JOIN galleries ON galleries.key = gallery_key
    WHERE gallery_key = %(gallery)s AND {LIVING_SUBJECT}"""  # noqa: S608 - only the constant above is inserted
)
# First the rest of the subject that the last page ended in: the two queries use different indexes.
_REST_OF_SUBJECT = f"""{FACE} AND subjects.gallery_key = %(gallery)s AND subject_id = %(subject)s
    AND template_id > %(template)s ORDER BY template_id LIMIT %(limit)s"""
_NEXT_SUBJECTS = f"""{FACE} AND subjects.gallery_key = %(gallery)s AND subject_id > %(subject)s
    ORDER BY subject_id, template_id LIMIT %(limit)s"""


def place_of_template(connection: Connection, gallery_key: int, template_id: str) -> int | None:
    """Return the place of a template in the order in which templates were added; ``None`` if it does not exist."""
    row = connection.execute(_KEY, (gallery_key, template_id)).fetchone()
    return None if row is None else int(row[0])


def embedded_by_age(
    connection: Connection, gallery_key: int, contract: str, now: int, *, after: int, limit: int
) -> EmbeddedTemplates:
    """Return templates with their embeddings by the time they were added.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        contract: the contract of the embeddings; empty for the gallery's.
        now: the time, microseconds.
        after: the place of the last template of the page before, see :func:`place_of_template`; 0 for the first page.
        limit: at most so many.
    """
    return _page(connection, _BY_AGE, gallery_key, contract, {"after": after, "limit": limit, "now": now})


def copied_by_age(
    connection: Connection, gallery_key: int, contract: str, now: int, *, after: int, limit: int, page: int
) -> Iterator[tuple[int, EmbeddedTemplates]]:
    """Read the same as :func:`embedded_by_age`; the database goes on to read while a page is being used.

    Returns:
        pages of ``page`` templates, the last one with fewer, each with the place of its last template.
    """
    key = contract_key_of(connection, contract) if contract else searching_contract_key(connection, gallery_key)
    wanted = {"gallery": gallery_key, "contract": key, "after": after, "limit": limit, "now": now}
    for columns in _copied(connection, _COPY_EMBEDDED, (*_OWNER_TYPES, "bytea"), wanted, page):
        keys, subject_ids, names, template_ids, embeddings = columns
        yield keys[-1], EmbeddedTemplates(subject_ids, names, template_ids, embeddings_of(embeddings))


def owners_by_age(
    connection: Connection, gallery_key: int, contract: str, now: int, *, after: int, limit: int, page: int
) -> Iterator[tuple[int, TemplateOwners]]:
    """Read the same as :func:`copied_by_age` without the embeddings, whose keys are the places."""
    wanted = {"gallery": gallery_key, "after": after, "limit": limit, "now": now}
    if contract:
        wanted["contract"] = contract_key_of(connection, contract)
    statement = _COPY_OWNERS_OF_EMBEDDED if contract else _COPY_OWNERS
    for columns in _copied(connection, statement, _OWNER_TYPES, wanted, page):
        yield columns[0][-1], TemplateOwners(*columns)


def embedded_of_keys(
    connection: Connection, gallery_key: int, contract: str, now: int, keys: Sequence[int]
) -> EmbeddedTemplates:
    """Return the templates of some keys with their embeddings; those that are gone are left out."""
    return _page(connection, _OF_KEYS, gallery_key, contract, {"keys": list(keys), "now": now})


def _copied(
    connection: Connection, statement: str, types: Sequence[str], wanted: dict[str, int], page: int
) -> Iterator[tuple[Any, ...]]:
    """Copy rows from the database, and return the columns of ``page`` rows at a time."""
    with connection.cursor() as cursor, cursor.copy(statement.encode(), wanted) as copy:
        copy.set_types(types)
        rows = copy.rows()
        while columns := tuple(zip(*islice(rows, page), strict=True)):
            yield columns


def embedded_by_subject(
    connection: Connection, gallery_key: int, contract: str, now: int, *, after: tuple[str, str], limit: int
) -> EmbeddedTemplates:
    """Return templates with their embeddings by the ids of subject and template, which ``after`` is, too.

    See :func:`embedded_by_age` for the other arguments.
    """
    wanted = {"subject": after[0], "template": after[1], "limit": limit, "now": now}
    return _page(connection, _BY_SUBJECT, gallery_key, contract, wanted)


def ask_for_embedded(
    connection: Connection, gallery_key: int, subject_ids: Collection[str], contract_key: int, now: int
) -> Cursor:
    """Ask for all templates of some subjects, rows of :func:`.rows.embedded_of`; may be part of a pipeline."""
    wanted = {"gallery": gallery_key, "subjects": list(subject_ids), "contract": contract_key, "now": now}
    return connection.execute(_OF_SUBJECTS.encode(), wanted, binary=True)


def ask_for_living(connection: Connection, gallery_key: int, subject_ids: Collection[str], now: int) -> Cursor:
    """Ask for those of some subjects that exist and have not expired; may be part of a pipeline."""
    wanted = {"gallery": gallery_key, "subjects": list(subject_ids), "now": now}
    return connection.execute(_LIVING.encode(), wanted)


def faces_by_subject(
    connection: Connection, gallery_key: int, now: int, *, after: tuple[str, str], limit: int
) -> list[StoredFace]:
    """Return subjects with their templates by the ids of both, which ``after`` is, too."""
    wanted = {"gallery": gallery_key, "subject": after[0], "template": after[1], "limit": limit, "now": now}
    rows = connection.execute(_REST_OF_SUBJECT.encode(), wanted, binary=True).fetchall() if after[0] else []
    wanted["limit"] = limit - len(rows)
    return faces_of(rows + connection.execute(_NEXT_SUBJECTS.encode(), wanted, binary=True).fetchall())


def _page(
    connection: Connection, query: str, gallery_key: int, contract: str, wanted: dict[str, Any]
) -> EmbeddedTemplates:
    key = contract_key_of(connection, contract) if contract else searching_contract_key(connection, gallery_key)
    values = wanted | {"gallery": gallery_key, "contract": key}
    return embedded_of(connection.execute(query.encode(), values, binary=True).fetchall())
