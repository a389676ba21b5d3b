"""What enrolments ask for, and adding their templates: one round trip each, for any number of them.

So other enrolments into the gallery wait only for the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gallery.errors import ContractMismatch, GalleryNotFound
from gallery.records.templates import Template
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentState
from gallery.stores.postgres.answered_requests import answers_of, ask_for_answers
from gallery.stores.postgres.connection.database import Connection
from gallery.stores.postgres.expiry import LIVING_SUBJECT
from gallery.stores.postgres.inserts import embedding_bytes, subject_values, template_values
from gallery.stores.postgres.keys import LOCK
from gallery.stores.postgres.notes import NOTED
from gallery.stores.postgres.rows import (
    FOR_EACH_SUBJECT,
    SUBJECT,
    TEMPLATE,
    find_gallery,
    find_subject,
    subject_of,
    template_of,
)

_GALLERY = "SELECT FROM galleries WHERE gallery_id = %(gallery)s AND NOT is_hidden"
_SUBJECTS = FOR_EACH_SUBJECT.format(query=f"{SUBJECT} AND gallery_id = %(gallery)s")
_OF_PICTURES = f"""
    SELECT found.* FROM unnest(%(subjects)s::TEXT[], %(pictures)s::TEXT[]) AS asked (subject, picture)
        CROSS JOIN LATERAL (
            {TEMPLATE} AND gallery_id = %(gallery)s AND subject_id = asked.subject AND picture_sha256 = asked.picture
            OFFSET 0
        ) AS found
    ORDER BY found.template_id
"""  # noqa: S608
_KEYS = """
    SELECT subjects.key, subject_id FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
    WHERE gallery_id = %(gallery)s AND NOT is_hidden
"""
_SEARCHES = "(%(contract)s = '' OR contract_key = (SELECT key FROM contracts WHERE contract = %(contract)s))"
"""The condition that the contract of the embeddings searches a gallery."""
_DELETE_EXPIRED = f"""
    WITH expired AS (
        {FOR_EACH_SUBJECT.format(query=f"{_KEYS} AND NOT {LIVING_SUBJECT}")}
    ), gone AS (
        DELETE FROM subjects USING expired WHERE subjects.key = expired.key
        RETURNING subjects.key, subjects.gallery_key
    ), changed AS (
        SELECT gallery_key AS key, -COUNT(*) AS subjects,
            -SUM((SELECT COUNT(*) FROM templates WHERE subject_key = gone.key))::BIGINT AS templates
        FROM gone GROUP BY gallery_key
    ), {NOTED}
"""  # noqa: S608
# Only a digest that is new may take a key: a conflict would use one up, and there are not enough for every enrolment.
_ADD_MODELS = """
    INSERT INTO models (sha256) SELECT DISTINCT sha256 FROM unnest(%(models)s::TEXT[]) AS sha256
    WHERE sha256 != '' AND NOT EXISTS (SELECT FROM models WHERE models.sha256 = sha256.sha256)
    ON CONFLICT DO NOTHING
"""
_TYPES = {
    "subject_id": "TEXT",
    "template_id": "TEXT",
    "picture_sha256": "TEXT",
    "x1": "DOUBLE PRECISION",
    "y1": "DOUBLE PRECISION",
    "x2": "DOUBLE PRECISION",
    "y2": "DOUBLE PRECISION",
    "quality": "DOUBLE PRECISION",
    "create_time": "BIGINT",
    "expire_time": "BIGINT",
    "face_model": "TEXT",
    "embedding_model": "TEXT",
    "request": "TEXT",
    "digest": "TEXT",
    "embedding": "BYTEA",
    "other": "BYTEA",
    "crop": "BYTEA",
}
"""The columns of a template that is added."""
_SUBJECT_TYPES = {
    "subject_id": "TEXT",
    "display_name": "TEXT",
    "create_time": "BIGINT",
    "update_time": "BIGINT",
    "etag": "TEXT",
    "consent_basis": "TEXT",
    "consent_reference": "TEXT",
    "consent_time": "BIGINT",
    "expire_time": "BIGINT",
}
"""The columns of a new subject."""


def _rows(types: dict[str, str], prefix: str) -> str:
    """Return a table of arrays with these columns, which are parameters of a query."""
    arrays = ", ".join(f"%({prefix}{name}){'b' if kind == 'BYTEA' else 's'}::{kind}[]" for name, kind in types.items())
    return f"unnest({arrays}) AS given ({', '.join(types)})"


_ADD_TEMPLATES = f"""
    WITH gallery AS (
        SELECT key, contract_key, other_key FROM galleries
        WHERE gallery_id = %(gallery)s AND NOT is_hidden AND {_SEARCHES}
    ), created AS (
        INSERT INTO subjects (gallery_key, {", ".join(_SUBJECT_TYPES)})
        SELECT gallery.key, given.* FROM gallery CROSS JOIN {_rows(_SUBJECT_TYPES, "new_")}
        ON CONFLICT (gallery_key, subject_id) DO NOTHING
        RETURNING key, subject_id
    ), subject AS (
        SELECT key, subject_id FROM created
        UNION ALL {FOR_EACH_SUBJECT.format(query=f"{_KEYS} AND {LIVING_SUBJECT}")}
    ), given AS MATERIALIZED (
        SELECT * FROM {_rows(_TYPES, "")}
    ), added AS (
        INSERT INTO templates (gallery_key, subject_key, template_id, picture_sha256, x1, y1, x2, y2, quality,
            create_time, expire_time, face_model, embedding_model)
        SELECT gallery.key, subject.key, template_id, picture_sha256, x1, y1, x2, y2, quality, create_time, expire_time,
            (SELECT key FROM models WHERE sha256 = face_model), (SELECT key FROM models WHERE sha256 = embedding_model)
        FROM given JOIN subject USING (subject_id) CROSS JOIN gallery
        RETURNING key, gallery_key, template_id
    ), embedded AS (
        INSERT INTO embeddings (template_key, contract_key, embedding)
        SELECT added.key, contract_key, embedding FROM added JOIN given USING (template_id) CROSS JOIN gallery
        UNION ALL SELECT added.key, other_key, other FROM added JOIN given USING (template_id) CROSS JOIN gallery
            WHERE other_key IS NOT NULL AND other IS NOT NULL
    ), cropped AS (
        INSERT INTO crops (template_key, png)
        SELECT key, crop FROM added JOIN given USING (template_id) WHERE crop IS NOT NULL
    ), answered AS (
        INSERT INTO requests (gallery_key, request_id, digest, template_key)
        SELECT gallery_key, request, digest, key FROM added JOIN given USING (template_id) WHERE request IS NOT NULL
        ON CONFLICT (gallery_key, request_id) DO UPDATE
            SET digest = EXCLUDED.digest, template_key = EXCLUDED.template_key
    ), changed AS (
        SELECT gallery_key AS key, (SELECT COUNT(*) FROM created) AS subjects, COUNT(*) AS templates
        FROM added GROUP BY gallery_key
    ), {NOTED}
"""  # noqa: S608
# Without indentation it is short enough for psycopg to remember where its parameters are.
_ADD_TEMPLATES = " ".join(_ADD_TEMPLATES.split())


def enrollment_states(
    connection: Connection, gallery_id: str, asked: Sequence[EnrollmentQuestion], now: int
) -> list[EnrollmentState]:
    """See :meth:`gallery.stores.base.Store.enrollment_states`.

    Raises:
        GalleryNotFound: the gallery does not exist.
    """
    subject_ids, pictures = [each.subject_id for each in asked], [each.picture_sha256 for each in asked]
    wanted = {"gallery": gallery_id, "subjects": subject_ids, "pictures": pictures, "now": now}
    with connection.pipeline():
        gallery = connection.execute(_GALLERY, wanted)
        subjects = connection.execute(_SUBJECTS.encode(), wanted)
        templates = connection.execute(_OF_PICTURES.encode(), wanted)
        answered = ask_for_answers(connection, gallery_id, [each.request_id for each in asked], now)
    if gallery.fetchone() is None:
        raise GalleryNotFound(gallery_id)
    known = {subject.subject_id: subject for subject in map(subject_of, subjects)}
    answers = answers_of(answered)
    of_pictures: dict[tuple[str, str], list[Template]] = {}
    for template in map(template_of, templates):
        of_pictures.setdefault((template.subject_id, template.picture_sha256), []).append(template)
    return [
        EnrollmentState(
            known.get(each.subject_id),
            of_pictures.get((each.subject_id, each.picture_sha256), ()),
            answers.get(each.request_id),
        )
        for each in asked
    ]


def add_templates(
    connection: Connection,
    gallery_id: str,
    added: Sequence[AddedTemplate],
    *,
    contract: str,
    now: int,
    is_locked: bool,
) -> None:
    """Add templates; see :meth:`gallery.stores.base.Store.add_templates`.

    Args:
        connection: in a transaction that writes; it must be rolled back if this raises.
        gallery_id: the gallery.
        added: the templates.
        contract: the contract that searches, as the caller knows it; empty if the caller is sure.
        now: the time, microseconds.
        is_locked: whether the transaction has locked the gallery.

    Raises:
        GalleryNotFound: the gallery does not exist.
        SubjectNotFound: a subject that is not new does not exist.
        ContractMismatch: another contract searches, and a template has no embedding under it.
    """
    if _add(connection, gallery_id, added, contract=contract, now=now, is_locked=is_locked) == len(added):
        return
    gallery = find_gallery(connection, gallery_id, now)
    if contract not in ("", gallery.contract):  # the other model searches since
        others = [(each, each.other) for each in added if each.other is not None]
        if len(others) < len(added) or gallery.migration is None or contract not in gallery.contracts:
            raise ContractMismatch(gallery_id, expected=gallery.contract, found=contract)
        model = gallery.migration.model(gallery.contract).sha256
        swapped = [
            replace(each, template=replace(each.template, embedding_model=model), embedding=other, other=each.embedding)
            for each, other in others
        ]
        if _add(connection, gallery_id, swapped, contract=gallery.contract, now=now, is_locked=True) == len(added):
            return
    for each in added:
        find_subject(connection, gallery_id, each.template.subject_id, now)


def _add(
    connection: Connection,
    gallery_id: str,
    added: Sequence[AddedTemplate],
    *,
    contract: str,
    now: int,
    is_locked: bool,
) -> int:
    """Return how many were added; none if another contract searches."""
    new = [each.new_subject for each in added if each.new_subject is not None]
    subject_ids = [each.template.subject_id for each in added]
    wanted = {"gallery": gallery_id, "contract": contract, "subjects": subject_ids, "now": now}
    models = {model for each in added for model in (each.template.face_model, each.template.embedding_model)}
    with connection.pipeline():
        if not is_locked:
            connection.execute(LOCK, (gallery_id,))
        if new:
            gone = wanted | {"subjects": [subject.subject_id for subject in new]}
            connection.execute(_DELETE_EXPIRED.encode(), gone)
        connection.execute(_ADD_MODELS, {"models": sorted(models)})
        values = _arrays(_TYPES, "", [_template_row(each) for each in added])
        values |= _arrays(_SUBJECT_TYPES, "new_", [subject_values(subject) for subject in new])
        noted = connection.execute(_ADD_TEMPLATES.encode(), wanted | values)
    row = noted.fetchone()
    return 0 if row is None else int(row[-1])


def _template_row(added: AddedTemplate) -> dict[str, Any]:
    template, request = added.template, added.request
    return template_values(template) | {
        "subject_id": template.subject_id,
        "face_model": template.face_model,
        "embedding_model": template.embedding_model,
        "request": request and request.request_id,
        "digest": request and request.digest,
        "embedding": embedding_bytes(added.embedding),
        "other": None if added.other is None else embedding_bytes(added.other),
        "crop": added.crop,
    }


def _arrays(types: dict[str, str], prefix: str, rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {f"{prefix}{name}": [row[name] for row in rows] for name in types}
