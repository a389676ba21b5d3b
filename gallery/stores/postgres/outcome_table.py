"""What clients said about answers, in the PostgreSQL store."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gallery.errors import SubjectNotFound
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.stores.outcome_rows import KEY_BYTES, SPARE, key_of_outcome, outcome_of, reporter_digest
from gallery.stores.postgres.connection.database import Connection, PostgresDatabase
from gallery.stores.postgres.expiry import LIVING_SUBJECT
from gallery.stores.postgres.keys import gallery_key_of, locked_gallery_key
from gallery.stores.postgres.rows import find_subject, subject_key_of
from gallery.times import Clock, to_microseconds

_INSERT = """
    INSERT INTO outcomes (gallery_key, nonce, answer_time, decision, subject_key, similarity, margin, threshold, source,
        review_share, contract, is_right, truth, truth_key, report_time, is_forgotten, reporter)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING key
"""
_DELETE = """
    DELETE FROM outcomes WHERE key IN (
        SELECT key FROM (
            SELECT key, review_share IS NOT NULL AS is_marked, ROW_NUMBER() OVER (
                PARTITION BY reporter ORDER BY review_share IS NULL, key DESC
            ) AS place FROM outcomes WHERE gallery_key = %s
        ) AS placed ORDER BY is_marked, place DESC, key LIMIT %s
    )
"""
_COUNT = "SELECT COUNT(*) FROM outcomes WHERE gallery_key = %s"
_OUTCOME = f"""
    SELECT outcomes.key, nonce, answer_time, decision, similarity, margin, outcomes.threshold, source, review_share,
        outcomes.contract, is_right, truth, report_time, is_forgotten,
        subject_key, CASE WHEN {LIVING_SUBJECT} THEN subjects.subject_id END,
        truth_key, CASE WHEN {LIVING_SUBJECT.replace("subjects.", "truths.")} THEN truths.subject_id END
    FROM outcomes JOIN galleries ON galleries.key = outcomes.gallery_key
        LEFT JOIN subjects ON subjects.key = subject_key LEFT JOIN subjects AS truths ON truths.key = truth_key
    WHERE outcomes.gallery_key = %(gallery)s
"""  # noqa: S608 - only the constant above is inserted


class PostgresOutcomes:
    """What clients said about answers; see :class:`gallery.stores.logs.OutcomeLog`.

    A row has the keys of subjects, not their ids. The database itself empties them when a subject is deleted, in
    whichever way, and what else is known of that answer with it; see the trigger in the schema. It has a digest of the
    caller who said it, keyed with the gallery's key, which tells those of one caller without naming it.

    Args:
        database: the open database.
        clock: tells what has expired.
    """

    def __init__(self, database: PostgresDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def answer_keys(self, gallery_id: str) -> tuple[bytes, ...]:
        """See :meth:`gallery.stores.logs.OutcomeLog.answer_keys`; there is one."""
        query = "SELECT answer_key FROM galleries WHERE key = %s"
        with self._database.reading() as connection:
            row = connection.execute(query, (gallery_key_of(connection, gallery_id),)).fetchone()
        if row is None or not row[0]:
            with self._database.writing() as connection:
                key = locked_gallery_key(connection, gallery_id)
                connection.execute(
                    "UPDATE galleries SET answer_key = %s WHERE key = %s AND answer_key = ''",
                    (os.urandom(KEY_BYTES), key),
                )
                row = connection.execute(query, (key,)).fetchone()
        return () if row is None else (bytes(row[0]),)

    def report(self, gallery_id: str, outcome: Outcome, *, reporter: str = "", most: int) -> Outcome:
        """See :meth:`gallery.stores.logs.OutcomeLog.report`."""
        (secret,) = self.answer_keys(gallery_id)
        digest = reporter_digest(reporter, secret)
        with self._database.writing() as connection:
            gallery_key, now = locked_gallery_key(connection, gallery_id), self._now()
            truth_key = None
            if outcome.truth is Truth.SUBJECT:
                truth_key = subject_key_of(connection, gallery_key, gallery_id, outcome.truth_subject_id, now)
            subject_key = _subject_of_answer(connection, gallery_id, gallery_key, outcome.answer, now)
            if outcome.answer.subject_id and subject_key is None:
                outcome, truth_key = outcome.forgotten(), None
            answer = outcome.answer
            connection.execute(
                "DELETE FROM outcomes WHERE gallery_key = %s AND nonce = %s", (gallery_key, answer.nonce)
            )
            inserted = connection.execute(
                _INSERT,
                (
                    *(gallery_key, answer.nonce, to_microseconds(answer.time), answer.decision.value),
                    *(subject_key, answer.similarity, answer.margin, answer.threshold),
                    *(answer.source, answer.review_share, answer.contract),
                    *(outcome.is_right, outcome.truth.value, truth_key),
                    *(to_microseconds(outcome.report_time), outcome.is_forgotten, digest),
                ),
            ).fetchone()
            query = f"{_OUTCOME} AND outcomes.key = %(key)s"
            wanted = {"gallery": gallery_key, "key": inserted and inserted[0], "now": now}
            stored = connection.execute(query.encode(), wanted).fetchone()
            (count,) = connection.execute(_COUNT, (gallery_key,)).fetchone() or (0,)
            if count > most:
                connection.execute(_DELETE, (gallery_key, count - most + most // SPARE))
            return outcome_of(stored or ())

    def outcomes(self, gallery_id: str, *, after: str, limit: int) -> Sequence[Outcome]:
        """See :meth:`gallery.stores.logs.OutcomeLog.outcomes`."""
        query = f"{_OUTCOME} AND outcomes.key > %(after)s ORDER BY outcomes.key LIMIT %(limit)s"
        with self._database.reading() as connection:
            wanted = {"gallery": gallery_key_of(connection, gallery_id), "now": self._now()}
            wanted |= {"after": key_of_outcome(after), "limit": limit}
            return [outcome_of(row) for row in connection.execute(query.encode(), wanted)]

    def _now(self) -> int:
        return to_microseconds(self._clock())


def _subject_of_answer(
    connection: Connection, gallery_id: str, gallery_key: int, answer: GivenAnswer, now: int
) -> int | None:
    """Return the key of the best candidate; ``None`` if there is none, or it is not enrolled any more."""
    if not answer.subject_id:
        return None
    try:
        subject = find_subject(connection, gallery_id, answer.subject_id, now)
    except SubjectNotFound:
        return None
    if subject.create_time > answer.time:
        return None
    return subject_key_of(connection, gallery_key, gallery_id, answer.subject_id, now)
