"""The embeddings that templates have under the other contract of a migration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.stores.postgres.connection.database import PostgresDatabase
from gallery.stores.postgres.expiry import LIVING_SUBJECT, LIVING_TEMPLATE
from gallery.stores.postgres.inserts import embedding_bytes
from gallery.stores.postgres.keys import contract_key_of, gallery_key_of, locked_gallery_key, model_key_of
from gallery.stores.postgres.notes import note_change
from gallery.stores.postgres.rows import FACE, FACE_WITHOUT_CROP, faces_of
from gallery.times import Clock, to_microseconds

_AT_ONCE = 16
"""Embeddings in one transaction: some milliseconds in which enrolments wait."""

_HAS_NONE = """NOT EXISTS (
    SELECT FROM embeddings AS found WHERE found.template_key = templates.key AND found.contract_key = %(contract)s)"""
_MISSING = f"""
    AND subjects.gallery_key = %(gallery)s AND subject_id >= %(subject)s
    AND (subject_id, template_id) > (%(subject)s, %(template)s) AND template_id IS NOT NULL AND {_HAS_NONE}
    AND (%(picture)s = '' OR picture_sha256 = %(picture)s) AND (%(only)s = '' OR subject_id = %(only)s)
    ORDER BY subject_id, template_id LIMIT %(limit)s
"""
_LIVING = f"""
    FROM templates JOIN subjects ON subjects.key = subject_key JOIN galleries ON galleries.key = templates.gallery_key
    {{more}} WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE} AND templates.gallery_key = %(gallery)s AND {_HAS_NONE}
"""
_COUNT = "SELECT COUNT(crops.template_key), COUNT(*)" + _LIVING.format(
    more="LEFT JOIN crops ON crops.template_key = templates.key"
)
_ADD = """
    WITH given AS (
        -- A template that is named twice gets one embedding.
        SELECT DISTINCT ON (id) *
        FROM unnest(%(templates)s::TEXT[], %(embeddings)b::BYTEA[]) WITH ORDINALITY AS given (id, value, place)
        ORDER BY id, place
    ), found AS (
        SELECT templates.key, subject_id, subjects.display_name AS name, given.* {living}
    ), added AS (
        INSERT INTO embeddings (template_key, contract_key, embedding) SELECT key, %(contract)s, value FROM found
    )
    SELECT subject_id, name, id, place - 1 FROM found ORDER BY place
""".format(living=_LIVING.format(more="JOIN given ON template_id = given.id"))  # noqa: S608
_DROP = """
    WITH chosen AS (
        SELECT templates.key FROM templates
        WHERE gallery_key = %(gallery)s AND key > %(after)s
            AND EXISTS (SELECT FROM embeddings WHERE template_key = templates.key AND contract_key = %(contract)s)
            AND EXISTS (SELECT FROM embeddings WHERE template_key = templates.key AND contract_key != %(contract)s)
        ORDER BY templates.key LIMIT %(limit)s
    ), dropped AS (
        DELETE FROM embeddings USING chosen WHERE template_key = chosen.key AND contract_key = %(contract)s
    ), named AS (
        UPDATE templates SET embedding_model = COALESCE(%(model)s::INTEGER, embedding_model)
        FROM chosen WHERE templates.key = chosen.key
    )
    SELECT COUNT(*), COALESCE(MAX(key), 0) FROM chosen
"""
_DELETE_CROPS = """
    DELETE FROM crops WHERE template_key IN (
        SELECT template_key FROM templates JOIN crops ON template_key = templates.key WHERE gallery_key = %s LIMIT %s)
"""


class PostgresSecondEmbeddings:
    """See :class:`gallery.stores.base.SecondEmbeddings`.

    Args:
        database: the open database.
        clock: tells what has expired.
    """

    def __init__(self, database: PostgresDatabase, clock: Clock) -> None:
        self.at_once = _AT_ONCE
        self._database = database
        self._clock = clock
        self._dropped: dict[tuple[int, int], int] = {}
        """The last template that lost an embedding, by gallery and contract: those before it need not be looked at."""

    def missing(
        self,
        gallery_id: str,
        contract: str,
        *,
        after: tuple[str, str],
        limit: int,
        picture_sha256: str = "",
        subject_id: str = "",
    ) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.SecondEmbeddings.missing`."""
        subject, template = max(after, (subject_id, ""))
        query = (FACE_WITHOUT_CROP if picture_sha256 else FACE) + _MISSING
        with self._database.reading() as connection:
            wanted = {
                "gallery": gallery_key_of(connection, gallery_id),
                "contract": contract_key_of(connection, contract),
                "subject": subject,
                "template": template,
                "picture": picture_sha256,
                "only": subject_id,
                "limit": limit,
                "now": self._now(),
            }
            faces = faces_of(connection.execute(query.encode(), wanted, binary=True).fetchall())
        return [replace(face, embedding=None, other_embedding=None) for face in faces]

    def count_missing(self, gallery_id: str, contract: str) -> tuple[int, int]:
        """See :meth:`gallery.stores.base.SecondEmbeddings.count_missing`."""
        with self._database.reading() as connection:
            wanted = {"gallery": gallery_key_of(connection, gallery_id), "now": self._now()}
            wanted |= {"contract": contract_key_of(connection, contract)}
            with_crop, missing = connection.execute(_COUNT.encode(), wanted).fetchone() or (0, 0)
        return with_crop, missing - with_crop

    def add(
        self, gallery_id: str, contract: str, template_ids: Sequence[str], embeddings: NDArray[np.float32]
    ) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.SecondEmbeddings.add`."""
        with self._database.writing() as connection:
            gallery_key = locked_gallery_key(connection, gallery_id)
            wanted = {
                "gallery": gallery_key,
                "contract": contract_key_of(connection, contract, create=True),
                "templates": list(template_ids),
                "embeddings": [embedding_bytes(each) for each in embeddings],
                "now": self._now(),
            }
            rows = connection.execute(_ADD.encode(), wanted).fetchall()
            subject_ids, names, ids, places = zip(*rows, strict=True) if rows else ((), (), (), ())
            note_change(connection, gallery_key, self._now(), subject_ids)
        return EmbeddedTemplates(subject_ids, names, ids, embeddings[list(places)])

    def drop(self, gallery_id: str, contract: str, *, model: str, limit: int) -> int:
        """See :meth:`gallery.stores.base.SecondEmbeddings.drop`."""
        with self._database.writing() as connection:
            gallery = locked_gallery_key(connection, gallery_id)
            key = contract_key_of(connection, contract)
            wanted = {
                "gallery": gallery,
                "contract": key,
                "model": model_key_of(connection, model, create=True),
                "after": self._dropped.get((gallery, key), 0),
                "limit": limit,
            }
            count, last = connection.execute(_DROP, wanted).fetchone() or (0, 0)
            if count < limit and wanted["after"]:
                more, _ = connection.execute(_DROP, wanted | {"after": 0, "limit": limit - count}).fetchone() or (0, 0)
                count += more
            self._dropped[gallery, key] = last if count == limit else 0
        return int(count)

    def delete_crops(self, gallery_id: str, *, limit: int) -> int:
        """See :meth:`gallery.stores.base.SecondEmbeddings.delete_crops`."""
        with self._database.writing() as connection:
            return connection.execute(_DELETE_CROPS, (locked_gallery_key(connection, gallery_id), limit)).rowcount

    def check_room(self, added: int) -> None:
        """See :meth:`gallery.stores.base.SecondEmbeddings.check_room`; the room of a database is not known here."""

    def _now(self) -> int:
        return to_microseconds(self._clock())
