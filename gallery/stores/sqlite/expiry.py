"""What has expired in the SQLite store: conditions that hide it from queries, and the rows that are to be deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from gallery.records.expired import Expired, ExpiriesAhead, Expiry, PolicyEffect
from gallery.records.policies import GalleryPolicy
from gallery.stores.columns import expiries_ahead, expiries_of, policy_columns
from gallery.stores.sqlite.inserts import add_to_counts
from gallery.times import Clock, to_microseconds

_NOW_FUNCTION = "facet_now"
_NOW = f"(SELECT {_NOW_FUNCTION}())"
"""The time now, in microseconds; as a sub-query it is read once for a statement."""
_NEVER = (1 << 63) - 1
_SUBJECT_SINCE = "MAX(subjects.create_time, COALESCE(subjects.consent_time, subjects.create_time))"
"""When the age of a subject begins. The index subjects_by_age has the same expression."""

LIVING_SUBJECT = f"""(COALESCE(subjects.expire_time > {_NOW}, 1)
    AND COALESCE({_SUBJECT_SINCE} + galleries.subject_retention > {_NOW}, 1))"""
"""The condition that a subject has not expired, in a query with the tables subjects and galleries."""
LIVING_TEMPLATE = f"""(COALESCE(templates.expire_time > {_NOW}, 1)
    AND COALESCE(templates.create_time + galleries.template_retention > {_NOW}, 1))"""
"""The condition that a template has not expired by itself, in a query with the tables templates and galleries."""

_EXPIRED_SUBJECTS = f"""
    SELECT subjects.key FROM subjects WHERE subjects.gallery_key = galleries.key AND subjects.expire_time <= {_NOW}
    UNION SELECT subjects.key FROM subjects
        WHERE subjects.gallery_key = galleries.key AND {_SUBJECT_SINCE} <= {_NOW} - galleries.subject_retention
"""  # noqa: S608 - only the constants above are inserted, as below
_EXPIRED_TEMPLATES = f"""
    SELECT templates.key FROM templates WHERE templates.gallery_key = galleries.key AND templates.expire_time <= {_NOW}
    UNION SELECT templates.key FROM templates
        WHERE templates.gallery_key = galleries.key
            AND templates.create_time <= {_NOW} - galleries.template_retention
"""  # noqa: S608
COUNT_EXPIRED_SUBJECTS = f"(SELECT COUNT(*) FROM ({_EXPIRED_SUBJECTS}))"  # noqa: S608
"""The number of expired subjects, in a query with the table galleries; it reads only the expired ones."""
COUNT_EXPIRED_TEMPLATES = f"""(SELECT COUNT(*) FROM ({_EXPIRED_TEMPLATES}
    UNION SELECT templates.key FROM templates WHERE templates.subject_key IN ({_EXPIRED_SUBJECTS})))"""  # noqa: S608
"""The number of templates that have expired themselves or with their subjects, likewise."""

_ERASABLE_SUBJECTS = f"""
    SELECT subject_id FROM galleries JOIN subjects ON subjects.key IN ({_EXPIRED_SUBJECTS})
    WHERE galleries.key = ? LIMIT ?
"""  # noqa: S608
_ERASABLE_TEMPLATES = f"""
    SELECT subject_id, template_id FROM galleries JOIN templates ON templates.key IN ({_EXPIRED_TEMPLATES})
        JOIN subjects ON subjects.key = templates.subject_key
    WHERE galleries.key = ? AND {LIVING_SUBJECT} LIMIT ?
"""  # noqa: S608
_HAS_TERMS = """
    SELECT EXISTS (SELECT 1 FROM subjects WHERE gallery_key = :key AND expire_time IS NOT NULL)
        OR EXISTS (SELECT 1 FROM templates WHERE gallery_key = :key AND expire_time IS NOT NULL)
        OR EXISTS (SELECT 1 FROM subjects WHERE gallery_key = :key AND consent_basis != '')
"""
_EXPIRED_SUBJECT = f"""
    SELECT 1 FROM galleries JOIN subjects ON subjects.gallery_key = galleries.key
    WHERE galleries.key = ? AND subject_id = ? AND NOT {LIVING_SUBJECT}
"""  # noqa: S608
_COUNT_EXPIRED = f"SELECT {COUNT_EXPIRED_SUBJECTS}, {COUNT_EXPIRED_TEMPLATES} FROM "  # noqa: S608
_WITH_POLICY = """
    WITH changed AS (
        SELECT key,
            COALESCE(MIN(subject_retention, ?1), subject_retention, ?1) AS subject_retention,
            COALESCE(MIN(template_retention, ?2), template_retention, ?2) AS template_retention
        FROM galleries WHERE key = ?3
    )
"""
"""The gallery with the shorter retentions of its policy and another one: what has expired by either has expired."""
_WITHOUT_CONSENT = f"""
    SELECT COUNT(*) FROM galleries JOIN subjects ON subjects.gallery_key = galleries.key
    WHERE galleries.key = ? AND consent_basis = '' AND {LIVING_SUBJECT}
"""  # noqa: S608
_SUBJECT_RETENTION, _TEMPLATE_RETENTION = (
    f"(SELECT {column} FROM galleries WHERE key = :key)"  # noqa: S608
    for column in ("subject_retention", "template_retention")
)
_OF_SUBJECT = f"""
    SELECT MIN(COALESCE(subjects.expire_time, {_NEVER}), COALESCE({_SUBJECT_SINCE} + {_SUBJECT_RETENTION}, {_NEVER})),
        subject_id, ''
    FROM subjects WHERE gallery_key = :key AND subject_id = :subject
    UNION ALL
    SELECT MIN(COALESCE(templates.expire_time, {_NEVER}),
            COALESCE(templates.create_time + {_TEMPLATE_RETENTION}, {_NEVER})),
        subject_id, template_id
    FROM subjects JOIN templates ON subject_key = subjects.key
    WHERE subjects.gallery_key = :key AND subject_id = :subject
"""  # noqa: S608
# Each is in the order of an index, and ends after the first rows.
_AHEAD = (
    f"""SELECT expire_time, subject_id, '' FROM subjects
    WHERE gallery_key = :key AND expire_time > {_NOW} ORDER BY expire_time LIMIT :limit""",  # noqa: S608
    f"""SELECT {_SUBJECT_SINCE} + {_SUBJECT_RETENTION}, subject_id, '' FROM subjects
    WHERE gallery_key = :key AND {_SUBJECT_SINCE} > {_NOW} - {_SUBJECT_RETENTION}
    ORDER BY {_SUBJECT_SINCE} LIMIT :limit""",  # noqa: S608
    f"""SELECT templates.expire_time, subject_id, template_id
    FROM templates CROSS JOIN subjects ON subjects.key = subject_key
    WHERE templates.gallery_key = :key AND templates.expire_time > {_NOW}
    ORDER BY templates.expire_time LIMIT :limit""",  # noqa: S608
    f"""SELECT templates.create_time + {_TEMPLATE_RETENTION}, subject_id, template_id
    FROM templates CROSS JOIN subjects ON subjects.key = subject_key
    WHERE templates.gallery_key = :key AND templates.create_time > {_NOW} - {_TEMPLATE_RETENTION}
    ORDER BY templates.create_time LIMIT :limit""",  # noqa: S608
)

_DELETE_TEMPLATE = "DELETE FROM templates WHERE gallery_key = ? AND template_id = ?"
_DELETE_TEMPLATES = """
    DELETE FROM templates WHERE subject_key = (SELECT key FROM subjects WHERE gallery_key = ? AND subject_id = ?)
"""
_DELETE_SUBJECT = "DELETE FROM subjects WHERE gallery_key = ? AND subject_id = ?"


def set_clock(connection: sqlite3.Connection, clock: Clock) -> None:
    """Have the queries of a connection compare expiries with this clock."""
    connection.create_function(_NOW_FUNCTION, 0, lambda: to_microseconds(clock()))


def find_ahead(connection: sqlite3.Connection, gallery_key: int, *, limit: int) -> ExpiriesAhead:
    """Return what expires next in a gallery; see :meth:`gallery.stores.base.Store.expiries_ahead`."""
    wanted = {"key": gallery_key, "limit": limit}
    return expiries_ahead([connection.execute(query, wanted).fetchall() for query in _AHEAD], limit=limit)


def find_expiries_of(connection: sqlite3.Connection, gallery_key: int, subject_ids: Collection[str]) -> list[Expiry]:
    """Return when subjects and their templates expire; those that do not are left out."""
    found: list[tuple[int, str, str]] = []
    for subject_id in subject_ids:
        found += connection.execute(_OF_SUBJECT, {"key": gallery_key, "subject": subject_id})
    return expiries_of([each for each in found if each[0] != _NEVER])


def find_expired(connection: sqlite3.Connection, gallery_key: int, *, limit: int) -> Expired:
    """List what has expired in a gallery: at most ``limit`` subjects, and as many templates of living subjects."""
    subjects = connection.execute(_ERASABLE_SUBJECTS, (gallery_key, limit)).fetchall()
    templates = connection.execute(_ERASABLE_TEMPLATES, (gallery_key, limit)).fetchall()
    return Expired(tuple(subject_id for (subject_id,) in subjects), tuple(templates))


def has_terms(connection: sqlite3.Connection, gallery_key: int) -> bool:
    """Tell whether any subject has a consent, or any subject or template a time at which it expires."""
    (found,) = connection.execute(_HAS_TERMS, {"key": gallery_key}).fetchone()
    return bool(found)


def is_expired(connection: sqlite3.Connection, gallery_key: int, subject_id: str) -> bool:
    """Tell whether a gallery still stores a subject that has expired."""
    return connection.execute(_EXPIRED_SUBJECT, (gallery_key, subject_id)).fetchone() is not None


def delete_expired(connection: sqlite3.Connection, gallery_key: int, expired: Expired) -> None:
    """Delete expired subjects with all their templates, and expired templates; those that are gone are left out."""
    templates = [(gallery_key, template_id) for _, template_id in expired.templates]
    subjects = [(gallery_key, subject_id) for subject_id in expired.subject_ids]
    deletions = ((_DELETE_TEMPLATE, templates), (_DELETE_TEMPLATES, subjects), (_DELETE_SUBJECT, subjects))
    # No rows at all may count as -1.
    deleted = [max(0, connection.executemany(deletion, rows).rowcount) for deletion, rows in deletions]
    add_to_counts(connection, gallery_key, subjects=-deleted[2], templates=-deleted[0] - deleted[1])


def effect_of(connection: sqlite3.Connection, gallery_key: int, policy: GalleryPolicy) -> PolicyEffect:
    """Return what a policy would do to the people of a gallery; what has expired already does not count."""
    _, *retentions = policy_columns(policy)
    before = connection.execute(_COUNT_EXPIRED + "galleries WHERE key = ?", (gallery_key,)).fetchone()
    after = connection.execute(
        _WITH_POLICY + _COUNT_EXPIRED + "changed AS galleries", (*retentions, gallery_key)
    ).fetchone()
    (without,) = connection.execute(_WITHOUT_CONSENT, (gallery_key,)).fetchone()
    return PolicyEffect(after[0] - before[0], after[1] - before[1], without)
