"""The table of the embeddings that templates have under a second contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.encryption.values import SEALED_TEXT
from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.stores.sqlite.contract_keys import contract_key
from gallery.stores.sqlite.expiry import LIVING_SUBJECT, LIVING_TEMPLATE
from gallery.stores.sqlite.rows import FACE, FACE_WITHOUT_CROP, faces_of, gallery_key_of
from gallery.stores.sqlite.sealing.encryption import DatabaseEncryption
from gallery.stores.sqlite.sealing.sealed_values import SUBJECT_NAME, Opener, Sealer

_HAS_NONE = """templates.contract_key IS NOT :contract AND NOT EXISTS (
    SELECT 1 FROM second_embeddings AS another
    WHERE another.template_key = templates.key AND another.contract_key IS :contract)"""
_COUNT = f"""
    SELECT COUNT(crops.template_key), COUNT(*)
    FROM templates JOIN subjects ON subjects.key = subject_key JOIN galleries ON galleries.key = templates.gallery_key
        LEFT JOIN crops ON crops.template_key = templates.key
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE} AND templates.gallery_key = :gallery AND {_HAS_NONE}
"""  # noqa: S608 - only the constants above are inserted
_TO_ADD = f"""
    SELECT templates.key, subject_id, subjects.display_name, picture_sha256
    FROM templates JOIN subjects ON subjects.key = subject_key JOIN galleries ON galleries.key = templates.gallery_key
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE} AND templates.gallery_key = :gallery AND template_id = :template
        AND {_HAS_NONE}
"""  # noqa: S608
_INSERT = "INSERT INTO second_embeddings (template_key, gallery_key, contract_key, embedding) VALUES (?, ?, ?, ?)"
_TO_DROP = """
    SELECT templates.key, subject_id, template_id, picture_sha256, templates.contract_key, templates.embedding,
        second.contract_key, second.embedding
    FROM second_embeddings AS second JOIN templates ON templates.key = second.template_key
        JOIN subjects ON subjects.key = subject_key
    WHERE second.gallery_key = ? LIMIT ?
"""

_AFTER_ALL = chr(0x10FFFF)
_PAGE = 256
"""Templates that are read at once to find those of a picture."""
_DELETE_CROPS = """
    DELETE FROM crops WHERE template_key IN (
        SELECT template_key FROM templates JOIN crops ON template_key = templates.key WHERE gallery_key = ? LIMIT ?)
"""
_AT_ONCE = 16
"""Embeddings in one transaction: some milliseconds in which enrolments wait."""
_Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


class SqliteSecondEmbeddings:
    """See :class:`gallery.stores.base.SecondEmbeddings`.

    Args:
        reading: begins to read.
        writing: begins a transaction.
        erasing: begins a transaction that erases something.
        encryption: seals and opens values.
        check_room: see :meth:`gallery.stores.sqlite.file.database.SqliteDatabase.check_room`.
    """

    def __init__(
        self,
        reading: _Transaction,
        writing: _Transaction,
        erasing: _Transaction,
        encryption: DatabaseEncryption,
        check_room: Callable[[int], None],
    ) -> None:
        self.at_once = _AT_ONCE
        self._check_room = check_room
        self._reading = reading
        self._writing = writing
        self._erasing = erasing
        self._encryption = encryption

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
        found: list[StoredFace] = []
        after = max(after, (subject_id, ""))
        # The picture of a sealed template is known when it is opened, so others are read, too.
        at_once = _PAGE if picture_sha256 else limit
        while len(found) < limit:
            page = self._missing(gallery_id, contract, after, at_once, picture_sha256, subject_id)
            found += [face for face in page if _is_of(face, picture_sha256)]
            if len(page) < at_once:
                break
            after = page[-1].key
        return found[:limit]

    def _missing(
        self,
        gallery_id: str,
        contract: str,
        after: tuple[str, str],
        limit: int,
        picture_sha256: str,
        subject_id: str,
    ) -> list[StoredFace]:
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            rows = connection.execute(
                (FACE_WITHOUT_CROP if picture_sha256 else FACE)
                + f"""AND subjects.gallery_key = :gallery AND subject_id >= :subject
                    AND (subject_id, template_id) > (:subject, :template) AND template_id IS NOT NULL AND {_HAS_NONE}
                    AND (:picture = '' OR picture_sha256 IN (:picture, :sealed))
                    AND subject_id <= :last
                ORDER BY subject_id, template_id LIMIT :limit""",
                {
                    "gallery": gallery_key,
                    "contract": contract_key(connection, gallery_key, contract),
                    "subject": after[0],
                    "template": after[1],
                    "picture": picture_sha256,
                    "sealed": SEALED_TEXT,
                    "last": subject_id or _AFTER_ALL,
                    "limit": limit,
                },
            ).fetchall()
            faces = faces_of(rows, self._encryption.opener)
        return [replace(face, embedding=None, other_embedding=None) for face in faces]

    def count_missing(self, gallery_id: str, contract: str) -> tuple[int, int]:
        """See :meth:`gallery.stores.base.SecondEmbeddings.count_missing`."""
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            wanted = {"gallery": gallery_key, "contract": contract_key(connection, gallery_key, contract)}
            with_crop, missing = connection.execute(_COUNT, wanted).fetchone()
        return with_crop, missing - with_crop

    def add(
        self, gallery_id: str, contract: str, template_ids: Sequence[str], embeddings: NDArray[np.float32]
    ) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.SecondEmbeddings.add`."""
        added: list[tuple[str, str, str, int]] = []
        opener = self._encryption.opener
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            key = contract_key(connection, gallery_key, contract, create=True)
            sealer = self._encryption.sealer_of(connection, gallery_key)
            for place, (template_id, embedding) in enumerate(zip(template_ids, embeddings, strict=True)):
                wanted = {"gallery": gallery_key, "contract": key, "template": template_id}
                row = connection.execute(_TO_ADD, wanted).fetchone()
                if row is None:
                    continue
                template_key, subject_id, name, picture = row
                value = embedding.astype("<f4").tobytes()
                if picture == SEALED_TEXT:
                    value = sealer.second_embedding(value, subject_id, template_id)
                connection.execute(_INSERT, (template_key, gallery_key, key, value))
                added.append((subject_id, opener.text(name, SUBJECT_NAME, subject_id), template_id, place))
        subject_ids, names, ids, places = zip(*added, strict=True) if added else ((), (), (), ())
        return EmbeddedTemplates(subject_ids, names, ids, embeddings[list(places)])

    def drop(self, gallery_id: str, contract: str, *, model: str, limit: int) -> int:
        """See :meth:`gallery.stores.base.SecondEmbeddings.drop`."""
        with self._erasing() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            dropped = contract_key(connection, gallery_key, contract)
            sealer = self._encryption.sealer_of(connection, gallery_key)
            if model:
                connection.execute("INSERT INTO models (sha256) VALUES (?) ON CONFLICT DO NOTHING", (model,))
            rows = connection.execute(_TO_DROP, (gallery_key, limit)).fetchall()
            for key, *_, own_contract, _, second_contract, _ in rows:
                if own_contract == dropped and second_contract != dropped:
                    continue
                connection.execute("DELETE FROM second_embeddings WHERE template_key = ?", (key,))
            for row in rows:
                if row[4] == dropped and row[6] != dropped:
                    _promote(connection, row, model, self._encryption.opener, sealer)
            return len(rows)

    def delete_crops(self, gallery_id: str, *, limit: int) -> int:
        """See :meth:`gallery.stores.base.SecondEmbeddings.delete_crops`."""
        with self._erasing() as connection:
            wanted = gallery_key_of(connection, gallery_id), limit
            return connection.execute(_DELETE_CROPS, wanted).rowcount

    def check_room(self, added: int) -> None:
        """See :meth:`gallery.stores.base.SecondEmbeddings.check_room`."""
        self._check_room(added)


def _promote(connection: sqlite3.Connection, row: Sequence[Any], model: str, opener: Opener, sealer: Sealer) -> None:
    """Put a template's second embedding in the place of the first one, which is dropped."""
    key, subject_id, template_id, picture, _, own, contract, second = row
    if picture == SEALED_TEXT:
        ids = subject_id, template_id
        plain = opener.template(own, picture, *ids)[1]
        second, picture = sealer.template(opener.second_embedding(second, *ids), plain, *ids)
    connection.execute(
        """UPDATE templates SET embedding = ?, picture_sha256 = ?, contract_key = ?,
            embedding_model = COALESCE((SELECT key FROM models WHERE sha256 = ?), embedding_model) WHERE key = ?""",
        (second, picture, contract, model, key),
    )
    connection.execute("DELETE FROM second_embeddings WHERE template_key = ?", (key,))


def _is_of(face: StoredFace, picture_sha256: str) -> bool:
    return not picture_sha256 or (face.template is not None and face.template.picture_sha256 == picture_sha256)
