"""What has expired in the PostgreSQL store: conditions that hide it from queries, and the rows that are to be deleted.

Queries with these conditions take the time now as their parameter ``now``, in microseconds.
"""

from __future__ import annotations

from collections.abc import Collection

from gallery.records.expired import Expired, ExpiriesAhead, PolicyEffect
from gallery.records.policies import GalleryPolicy
from gallery.stores.columns import expiries_ahead, policy_columns
from gallery.stores.postgres.connection.database import Connection, Cursor
from gallery.stores.postgres.notes import note_change

_SUBJECT_SINCE = "GREATEST(subjects.create_time, COALESCE(subjects.consent_time, subjects.create_time))"
"""When the age of a subject begins. The index subjects_by_age has the same expression."""

LIVING_SUBJECT = f"""(COALESCE(subjects.expire_time > %(now)s, TRUE)
    AND COALESCE({_SUBJECT_SINCE} + galleries.subject_retention > %(now)s, TRUE))"""
"""The condition that a subject has not expired, in a query with the tables subjects and galleries."""
LIVING_TEMPLATE = """(COALESCE(templates.expire_time > %(now)s, TRUE)
    AND COALESCE(templates.create_time + galleries.template_retention > %(now)s, TRUE))"""
"""The condition that a template has not expired by itself, in a query with the tables templates and galleries."""

_EXPIRED_SUBJECTS = f"""
    SELECT subjects.key, subjects.subject_id FROM subjects
    WHERE subjects.gallery_key = galleries.key AND subjects.expire_time <= %(now)s
    UNION SELECT subjects.key, subjects.subject_id FROM subjects
    WHERE subjects.gallery_key = galleries.key AND {_SUBJECT_SINCE} <= %(now)s - galleries.subject_retention
"""  # noqa: S608 - only the constants above are inserted, as below
_EXPIRED_TEMPLATES = """
    SELECT templates.key, templates.subject_key, templates.template_id FROM templates
    WHERE templates.gallery_key = galleries.key AND templates.expire_time <= %(now)s
    UNION SELECT templates.key, templates.subject_key, templates.template_id FROM templates
    WHERE templates.gallery_key = galleries.key AND templates.create_time <= %(now)s - galleries.template_retention
"""
# The least time comes from an index in no time. The planner cannot know that a gallery has no retention, and might read
# all rows to find that none has expired.
_ANY_SUBJECT = f"""(
    (SELECT MIN(expire_time) FROM subjects WHERE gallery_key = galleries.key) <= %(now)s
    OR (SELECT MIN({_SUBJECT_SINCE}) FROM subjects WHERE gallery_key = galleries.key)
        <= %(now)s - galleries.subject_retention)"""  # noqa: S608
_ANY_TEMPLATE = """(
    (SELECT MIN(expire_time) FROM templates WHERE gallery_key = galleries.key) <= %(now)s
    OR (SELECT MIN(create_time) FROM templates WHERE gallery_key = galleries.key)
        <= %(now)s - galleries.template_retention)"""
COUNT_EXPIRED_SUBJECTS = f"""(CASE WHEN {_ANY_SUBJECT}
    THEN (SELECT COUNT(*) FROM ({_EXPIRED_SUBJECTS}) AS expired) ELSE 0 END)"""  # noqa: S608
"""The number of expired subjects, in a query with the table galleries; it reads only the expired ones."""
COUNT_EXPIRED_TEMPLATES = f"""(CASE WHEN {_ANY_SUBJECT} OR {_ANY_TEMPLATE} THEN (
        SELECT COUNT(*) FROM (
            SELECT key FROM ({_EXPIRED_TEMPLATES}) AS expired
            UNION SELECT templates.key FROM ({_EXPIRED_SUBJECTS}) AS expired
                JOIN templates ON templates.subject_key = expired.key
        ) AS expired
    ) ELSE 0 END)"""  # noqa: S608
"""The number of templates that have expired themselves or with their subjects, likewise."""

_ERASABLE_SUBJECTS = f"""
    SELECT subject_id FROM galleries CROSS JOIN LATERAL ({_EXPIRED_SUBJECTS}) AS expired
    WHERE galleries.key = %(gallery)s AND {_ANY_SUBJECT} LIMIT %(limit)s
"""  # noqa: S608
_ERASABLE_TEMPLATES = f"""
    SELECT subjects.subject_id, template_id
    FROM galleries CROSS JOIN LATERAL ({_EXPIRED_TEMPLATES}) AS expired
        JOIN subjects ON subjects.key = expired.subject_key
    WHERE galleries.key = %(gallery)s AND {_ANY_TEMPLATE} AND {LIVING_SUBJECT} LIMIT %(limit)s
"""  # noqa: S608
_HAS_TERMS = """
    SELECT EXISTS (SELECT FROM subjects WHERE gallery_key = %(gallery)s AND expire_time IS NOT NULL)
        OR EXISTS (SELECT FROM templates WHERE gallery_key = %(gallery)s AND expire_time IS NOT NULL)
        OR EXISTS (SELECT FROM subjects WHERE gallery_key = %(gallery)s AND consent_basis != '')
"""
_COUNT_EXPIRED = f"SELECT {COUNT_EXPIRED_SUBJECTS}, {COUNT_EXPIRED_TEMPLATES} FROM "  # noqa: S608
_WITH_POLICY = """
    WITH changed AS (
        SELECT key,
            LEAST(subject_retention, %(subject_retention)s::BIGINT) AS subject_retention,
            LEAST(template_retention, %(template_retention)s::BIGINT) AS template_retention
        FROM galleries WHERE key = %(gallery)s
    )
"""
"""The gallery with the shorter retentions of its policy and another one: what has expired by either has expired."""
_WITHOUT_CONSENT = f"""
    SELECT COUNT(*) FROM galleries JOIN subjects ON subjects.gallery_key = galleries.key
    WHERE galleries.key = %(gallery)s AND consent_basis = '' AND {LIVING_SUBJECT}
"""  # noqa: S608
_SUBJECT_RETENTION, _TEMPLATE_RETENTION = (
    f"(SELECT {column} FROM galleries WHERE key = %(gallery)s)"  # noqa: S608
    for column in ("subject_retention", "template_retention")
)
# Each is in the order of an index, and ends after the first rows.
_AHEAD = (
    """SELECT expire_time, subject_id, '' FROM subjects
    WHERE gallery_key = %(gallery)s AND expire_time > %(now)s ORDER BY expire_time LIMIT %(limit)s""",
    f"""SELECT {_SUBJECT_SINCE} + {_SUBJECT_RETENTION}, subject_id, '' FROM subjects
    WHERE gallery_key = %(gallery)s AND {_SUBJECT_SINCE} > %(now)s - {_SUBJECT_RETENTION}
    ORDER BY {_SUBJECT_SINCE} LIMIT %(limit)s""",  # noqa: S608
    """SELECT templates.expire_time, subject_id, template_id
    FROM templates JOIN subjects ON subjects.key = subject_key
    WHERE templates.gallery_key = %(gallery)s AND templates.expire_time > %(now)s
    ORDER BY templates.expire_time LIMIT %(limit)s""",
    f"""SELECT templates.create_time + {_TEMPLATE_RETENTION}, subject_id, template_id
    FROM templates JOIN subjects ON subjects.key = subject_key
    WHERE templates.gallery_key = %(gallery)s AND templates.create_time > %(now)s - {_TEMPLATE_RETENTION}
    ORDER BY templates.create_time LIMIT %(limit)s""",  # noqa: S608
)
_OF_SUBJECTS = f"""
    SELECT LEAST(subjects.expire_time, {_SUBJECT_SINCE} + {_SUBJECT_RETENTION}), subject_id, '' FROM subjects
    WHERE gallery_key = %(gallery)s AND subject_id = ANY(%(subjects)s)
    UNION ALL
    SELECT LEAST(templates.expire_time, templates.create_time + {_TEMPLATE_RETENTION}), subject_id, template_id
    FROM subjects JOIN templates ON subject_key = subjects.key
    WHERE subjects.gallery_key = %(gallery)s AND subject_id = ANY(%(subjects)s)
"""  # noqa: S608
_DELETE_TEMPLATES = "DELETE FROM templates WHERE gallery_key = %s AND template_id = ANY(%s)"
_DELETE_TEMPLATES_OF_SUBJECTS = """
    DELETE FROM templates USING subjects
    WHERE subjects.key = subject_key AND subjects.gallery_key = %s AND subject_id = ANY(%s)
"""
_DELETE_SUBJECTS = "DELETE FROM subjects WHERE gallery_key = %s AND subject_id = ANY(%s)"


def find_ahead(connection: Connection, gallery_key: int, now: int, *, limit: int) -> ExpiriesAhead:
    """Return what expires next in a gallery; see :meth:`gallery.stores.base.Store.expiries_ahead`."""
    wanted = {"gallery": gallery_key, "now": now, "limit": limit}
    with connection.pipeline():
        asked = [connection.execute(query.encode(), wanted) for query in _AHEAD]
    return expiries_ahead([each.fetchall() for each in asked], limit=limit)


def ask_for_expiries(connection: Connection, gallery_key: int, subject_ids: Collection[str]) -> Cursor:
    """Ask when subjects and their templates expire, rows of :func:`gallery.stores.columns.expiries_of`.

    It may be part of a pipeline.
    """
    return connection.execute(_OF_SUBJECTS.encode(), {"gallery": gallery_key, "subjects": list(subject_ids)})


def find_expired(connection: Connection, gallery_key: int, now: int, *, limit: int) -> Expired:
    """List what has expired in a gallery: at most ``limit`` subjects, and as many templates of living subjects."""
    wanted = {"gallery": gallery_key, "now": now, "limit": limit}
    subjects = connection.execute(_ERASABLE_SUBJECTS.encode(), wanted).fetchall()
    templates = connection.execute(_ERASABLE_TEMPLATES.encode(), wanted).fetchall()
    return Expired(tuple(subject_id for (subject_id,) in subjects), tuple(templates))


def has_terms(connection: Connection, gallery_key: int) -> bool:
    """Tell whether any subject has a consent, or any subject or template a time at which it expires."""
    row = connection.execute(_HAS_TERMS, {"gallery": gallery_key}).fetchone()
    return row is not None and bool(row[0])


def delete_expired(connection: Connection, gallery_key: int, expired: Expired, now: int) -> None:
    """Delete expired subjects with all their templates, and expired templates; those that are gone are left out."""
    subjects = list(expired.subject_ids)
    templates = [template_id for _, template_id in expired.templates]
    deleted = connection.execute(_DELETE_TEMPLATES, (gallery_key, templates)).rowcount
    deleted += connection.execute(_DELETE_TEMPLATES_OF_SUBJECTS, (gallery_key, subjects)).rowcount
    gone = connection.execute(_DELETE_SUBJECTS, (gallery_key, subjects)).rowcount
    changed = (*expired.subject_ids, *(subject_id for subject_id, _ in expired.templates))
    note_change(connection, gallery_key, now, changed, subjects=-gone, templates=-deleted)


def effect_of(connection: Connection, gallery_key: int, policy: GalleryPolicy, now: int) -> PolicyEffect:
    """Return what a policy would do to the people of a gallery; what has expired already does not count."""
    _, subject_retention, template_retention = policy_columns(policy)
    wanted = {
        "gallery": gallery_key,
        "now": now,
        "subject_retention": subject_retention,
        "template_retention": template_retention,
    }
    before, after, without = (
        connection.execute(query.encode(), wanted).fetchone() or (0, 0)
        for query in (
            _COUNT_EXPIRED + "galleries WHERE key = %(gallery)s",
            _WITH_POLICY + _COUNT_EXPIRED + "changed AS galleries",
            _WITHOUT_CONSENT,
        )
    )
    return PolicyEffect(after[0] - before[0], after[1] - before[1], without[0])
