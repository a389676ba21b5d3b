"""What an enrolment asks for, and adding its template: one round trip each.

So other enrolments into the gallery wait only for the database.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gallery.records.subjects import Subject
from gallery.records.templates import Template
from gallery.stores.base import EnrollmentRequest, EnrollmentState
from gallery.stores.postgres.answered_requests import answer_of, ask_for_answer
from gallery.stores.postgres.connection.database import Connection
from gallery.stores.postgres.expiry import LIVING_SUBJECT
from gallery.stores.postgres.inserts import embedding_bytes, subject_values, template_values
from gallery.stores.postgres.keys import LOCK, gallery_key_of
from gallery.stores.postgres.notes import NOTED
from gallery.stores.postgres.rows import SUBJECT, TEMPLATE, subject_of, template_of

_SUBJECT = f"{SUBJECT} AND gallery_id = %(gallery)s AND subject_id = %(subject)s"
_OF_PICTURE = f"""{TEMPLATE} AND gallery_id = %(gallery)s AND subject_id = %(subject)s AND picture_sha256 = %(picture)s
    ORDER BY template_id"""
_SEARCHES = "(%(contract)s = '' OR contract_key = (SELECT key FROM contracts WHERE contract = %(contract)s))"
"""The condition that the contract of the embedding searches a gallery."""
_DELETE_EXPIRED = f"""
    WITH gone AS (
        DELETE FROM subjects USING galleries
        WHERE galleries.key = subjects.gallery_key AND gallery_id = %(gallery)s AND NOT is_hidden
            AND subject_id = %(subject)s AND NOT {LIVING_SUBJECT}
        RETURNING subjects.key, subjects.gallery_key
    ), changed AS (
        SELECT gallery_key AS key, -1 AS subjects,
            -(SELECT COUNT(*) FROM templates WHERE subject_key = gone.key) AS templates
        FROM gone
    ), {NOTED}
"""  # noqa: S608 - only the constants above are inserted, as below
# Only a digest that is new may take a key: a conflict would use one up, and there are not enough for every enrolment.
_ADD_MODELS = """
    INSERT INTO models (sha256) SELECT DISTINCT sha256 FROM unnest(%(models)s::TEXT[]) AS sha256
    WHERE sha256 != '' AND NOT EXISTS (SELECT FROM models WHERE models.sha256 = sha256.sha256)
    ON CONFLICT DO NOTHING
"""
_ADD_TEMPLATE = f"""
    WITH gallery AS (
        SELECT key, contract_key, other_key FROM galleries
        WHERE gallery_id = %(gallery)s AND NOT is_hidden AND {_SEARCHES}
    ), created AS (
        {{created}}
    ), subject AS (
        SELECT key FROM created
        UNION ALL SELECT subjects.key FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
        WHERE gallery_id = %(gallery)s AND subject_id = %(subject)s AND {LIVING_SUBJECT}
    ), added AS (
        INSERT INTO templates (gallery_key, subject_key, template_id, picture_sha256, x1, y1, x2, y2, quality,
            create_time, expire_time, face_model, embedding_model)
        SELECT gallery.key, subject.key, %(template_id)s, %(picture_sha256)s, %(x1)s, %(y1)s, %(x2)s, %(y2)s,
            %(quality)s, %(create_time)s, %(expire_time)s::BIGINT,
            (SELECT key FROM models WHERE sha256 = %(face_model)s),
            (SELECT key FROM models WHERE sha256 = %(embedding_model)s)
        FROM gallery CROSS JOIN subject
        RETURNING key, gallery_key
    ), embedded AS (
        INSERT INTO embeddings (template_key, contract_key, embedding)
        SELECT added.key, contract_key, %(embedding)b::BYTEA FROM added, gallery
        UNION ALL SELECT added.key, other_key, %(other)b::BYTEA FROM added, gallery
            WHERE other_key IS NOT NULL AND %(other)b::BYTEA IS NOT NULL
    ), cropped AS (
        INSERT INTO crops (template_key, png)
        SELECT key, %(crop)b::BYTEA FROM added WHERE %(crop)b::BYTEA IS NOT NULL
    ), answered AS (
        INSERT INTO requests (gallery_key, request_id, digest, template_key)
        SELECT gallery_key, %(request)s::TEXT, %(digest)s::TEXT, key FROM added WHERE %(request)s::TEXT IS NOT NULL
        ON CONFLICT (gallery_key, request_id) DO UPDATE
            SET digest = EXCLUDED.digest, template_key = EXCLUDED.template_key
    ), changed AS (
        SELECT gallery_key AS key, (SELECT COUNT(*) FROM created) AS subjects, 1 AS templates FROM added
    ), {NOTED}
"""  # noqa: S608
_ADD_TO_SUBJECT = _ADD_TEMPLATE.format(created="SELECT key FROM subjects WHERE FALSE")
_ADD_WITH_SUBJECT = _ADD_TEMPLATE.format(
    created="""INSERT INTO subjects (gallery_key, subject_id, display_name, create_time, update_time, etag,
            consent_basis, consent_reference, consent_time, expire_time)
        SELECT key, %(new_subject_id)s, %(new_display_name)s, %(new_create_time)s, %(new_update_time)s, %(new_etag)s,
            %(new_consent_basis)s, %(new_consent_reference)s, %(new_consent_time)s::BIGINT,
            %(new_expire_time)s::BIGINT
        FROM gallery
        ON CONFLICT (gallery_key, subject_id) DO NOTHING
        RETURNING key"""
)


def enrollment_state(
    connection: Connection, gallery_id: str, subject_id: str, *, picture_sha256: str, request_id: str, now: int
) -> EnrollmentState:
    """See :meth:`gallery.stores.base.Store.enrollment_state`.

    Raises:
        GalleryNotFound: the gallery does not exist.
    """
    wanted = {"gallery": gallery_id, "subject": subject_id, "picture": picture_sha256, "now": now}
    with connection.pipeline():
        subjects = connection.execute(_SUBJECT.encode(), wanted)
        templates = connection.execute(_OF_PICTURE.encode(), wanted)
        answered = ask_for_answer(connection, gallery_id, request_id, now)
    subject = subjects.fetchone()
    if subject is None:
        gallery_key_of(connection, gallery_id)
    return EnrollmentState(
        None if subject is None else subject_of(subject), [template_of(row) for row in templates], answer_of(answered)
    )


def add_template(
    connection: Connection,
    template: Template,
    embedding: NDArray[np.float32],
    *,
    now: int,
    new_subject: Subject | None,
    request: EnrollmentRequest | None,
    crop: bytes | None,
    contract: str,
    other: NDArray[np.float32] | None,
    is_locked: bool,
) -> bool:
    """Add a template; see :meth:`gallery.stores.base.Store.add_template`.

    Args:
        connection: in a transaction that writes.
        template: the template.
        embedding: its embedding under the contract that searches.
        now: the time, microseconds.
        new_subject: its subject if that is new; one that exists stays as it is, unless it has expired.
        request: the request that it answers.
        crop: its crop.
        contract: the contract that searches, as the caller knows it; empty if the caller is sure.
        other: its embedding under the other contract of the gallery's migration.
        is_locked: whether the transaction has locked the gallery.

    Returns:
        whether it was added. If not, nothing was changed: the gallery or the subject does not exist, or another
        contract searches.
    """
    subject_id = template.subject_id
    wanted = {"gallery": template.gallery_id, "subject": subject_id, "subjects": [subject_id], "now": now}
    values = {
        "contract": contract,
        "face_model": template.face_model,
        "embedding_model": template.embedding_model,
        "embedding": embedding_bytes(embedding),
        "other": None if other is None else embedding_bytes(other),
        "crop": crop,
        "request": request and request.request_id,
        "digest": request and request.digest,
    }
    query = _ADD_TO_SUBJECT
    with connection.pipeline():
        if not is_locked:
            connection.execute(LOCK, (template.gallery_id,))
        if new_subject is not None:
            connection.execute(_DELETE_EXPIRED.encode(), wanted)
            values |= {f"new_{name}": value for name, value in subject_values(new_subject).items()}
            query = _ADD_WITH_SUBJECT
        connection.execute(_ADD_MODELS, {"models": [template.face_model, template.embedding_model]})
        added = connection.execute(query.encode(), wanted | template_values(template) | values)
    return added.rowcount == 1
