"""What clients said about answers, in the SQLite store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from gallery.errors import SubjectNotFound
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.stores.columns import BadRow
from gallery.stores.outcome_rows import KEY_BYTES, SPARE, key_of_outcome, outcome_of, reporter_digest
from gallery.stores.sqlite.expiry import LIVING_SUBJECT
from gallery.stores.sqlite.rows import find_subject, gallery_key_of, subject_key_of
from gallery.stores.sqlite.sealing.encryption import DatabaseEncryption
from gallery.stores.sqlite.sealing.sealed_values import ANSWER_KEY, OUTCOME_SOURCE, Opener
from gallery.times import to_microseconds

_INSERT = """
    INSERT OR REPLACE INTO outcomes (gallery_key, nonce, answer_time, decision, subject_key, similarity, margin,
        threshold, source, review_share, contract, is_right, truth, truth_key, report_time, is_forgotten, reporter)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DELETE = """
    DELETE FROM outcomes WHERE key IN (
        SELECT key FROM (
            SELECT key, review_share IS NOT NULL AS is_marked, ROW_NUMBER() OVER (
                PARTITION BY reporter ORDER BY review_share IS NULL, key DESC
            ) AS place FROM outcomes WHERE gallery_key = ?
        ) ORDER BY is_marked, place DESC, key LIMIT ?
    )
"""
_COUNT = "SELECT COUNT(*) FROM outcomes WHERE gallery_key = ?"
_OUTCOME = f"""
    SELECT outcomes.key, nonce, answer_time, decision, similarity, margin, outcomes.threshold, source, review_share,
        outcomes.contract, is_right, truth, report_time, is_forgotten,
        subject_key, CASE WHEN {LIVING_SUBJECT} THEN subjects.subject_id END,
        truth_key, CASE WHEN {LIVING_SUBJECT.replace("subjects.", "truths.")} THEN truths.subject_id END
    FROM outcomes JOIN galleries ON galleries.key = outcomes.gallery_key
        LEFT JOIN subjects ON subjects.key = subject_key LEFT JOIN subjects AS truths ON truths.key = truth_key
    WHERE outcomes.gallery_key = ?
"""  # noqa: S608 - only the constant above is inserted
_NONCE, _SOURCE = 1, 7
"""Columns of :data:`_OUTCOME`."""


class OutcomeTable:
    """What clients said about answers; see :class:`gallery.stores.logs.OutcomeLog`.

    A row has the keys of subjects, not their ids. The database itself empties them when a subject is deleted, in
    whichever way, and what else is known of that answer with it; see the trigger in the schema. It has a digest of the
    caller who said it, keyed with the gallery's key, which tells those of one caller without naming it.

    Args:
        reading: begins to read.
        writing: begins a transaction.
        encryption: seals the keys of galleries, and the names of sources.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[sqlite3.Connection]],
        writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
        encryption: DatabaseEncryption,
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._encryption = encryption

    def answer_keys(self, gallery_id: str) -> tuple[bytes, ...]:
        """See :meth:`gallery.stores.logs.OutcomeLog.answer_keys`; there is one."""
        query = "SELECT answer_key FROM galleries WHERE key = ?"
        with self._reading() as connection:
            (stored,) = connection.execute(query, (gallery_key_of(connection, gallery_id),)).fetchone()
        if not stored:
            with self._writing() as connection:
                key = gallery_key_of(connection, gallery_id)
                made = self._encryption.sealer_of(connection, key).text(os.urandom(KEY_BYTES).hex(), ANSWER_KEY)
                connection.execute("UPDATE galleries SET answer_key = ? WHERE key = ? AND answer_key = ''", (made, key))
                (stored,) = connection.execute(query, (key,)).fetchone()
        try:
            return (bytes.fromhex(self._encryption.opener.text(stored, ANSWER_KEY)),)
        except ValueError as error:
            raise BadRow("the key of a gallery's answers is not as it was written") from error

    def report(self, gallery_id: str, outcome: Outcome, *, reporter: str = "", most: int) -> Outcome:
        """See :meth:`gallery.stores.logs.OutcomeLog.report`."""
        (secret,) = self.answer_keys(gallery_id)
        digest = reporter_digest(reporter, secret)
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            truth_key = None
            if outcome.truth is Truth.SUBJECT:
                truth_key = subject_key_of(connection, gallery_id, outcome.truth_subject_id)
            subject_key = self._subject_of_answer(connection, gallery_id, outcome.answer)
            if outcome.answer.subject_id and subject_key is None:
                outcome, truth_key = outcome.forgotten(), None
            answer = outcome.answer
            sealer = self._encryption.sealer_of(connection, gallery_key)
            inserted = connection.execute(
                _INSERT,
                (
                    *(gallery_key, answer.nonce, to_microseconds(answer.time), answer.decision.value),
                    *(subject_key, answer.similarity, answer.margin, answer.threshold),
                    *(
                        sealer.text(answer.source, OUTCOME_SOURCE, answer.nonce.hex()),
                        answer.review_share,
                        answer.contract,
                    ),
                    *(outcome.is_right, outcome.truth.value, truth_key),
                    *(to_microseconds(outcome.report_time), outcome.is_forgotten, digest),
                ),
            )
            row = connection.execute(_OUTCOME + "AND outcomes.key = ?", (gallery_key, inserted.lastrowid)).fetchone()
            (count,) = connection.execute(_COUNT, (gallery_key,)).fetchone()
            if count > most:
                connection.execute(_DELETE, (gallery_key, count - most + most // SPARE))
            return _outcome_of(row, self._encryption.opener)

    def outcomes(self, gallery_id: str, *, after: str, limit: int) -> Sequence[Outcome]:
        """See :meth:`gallery.stores.logs.OutcomeLog.outcomes`."""
        with self._reading() as connection:
            rows = connection.execute(
                _OUTCOME + "AND outcomes.key > ? ORDER BY outcomes.key LIMIT ?",
                (gallery_key_of(connection, gallery_id), key_of_outcome(after), limit),
            )
            return [_outcome_of(row, self._encryption.opener) for row in rows]

    def _subject_of_answer(self, connection: sqlite3.Connection, gallery_id: str, answer: GivenAnswer) -> int | None:
        """Return the key of the best candidate; ``None`` if there is none, or it is not enrolled any more."""
        if not answer.subject_id:
            return None
        try:
            subject = find_subject(connection, gallery_id, answer.subject_id, self._encryption.opener)
        except SubjectNotFound:
            return None
        if subject.create_time > answer.time:
            return None
        return subject_key_of(connection, gallery_id, answer.subject_id)


def _outcome_of(row: tuple[Any, ...], opener: Opener) -> Outcome:
    """Convert a row.

    Raises:
        BadRow: it is not as it was written.
    """
    source = opener.text(row[_SOURCE], OUTCOME_SOURCE, row[_NONCE].hex())
    return outcome_of((*row[:_SOURCE], source, *row[_SOURCE + 1 :]))
