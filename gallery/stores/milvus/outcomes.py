"""What clients said about answers, in Milvus, which many servers share."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

from gallery.errors import StorageUnavailable, SubjectNotFound
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.rows import id_of, row_id
from gallery.stores.milvus.schema import Collections, fields_of, with_no_vector
from gallery.times import from_microseconds, to_microseconds

_KEYS, _KIND = "answer_keys", "outcomes"
_FIELDS = fields_of(_KIND)
_KEY_BYTES = 32
_SPARE = 0.1
"""Share of the outcomes that is deleted beyond what is too much, so that not every report deletes some."""


class MilvusOutcomes:
    """See :class:`gallery.stores.logs.OutcomeLog`; outcomes are listed in the order of the nonces of their answers.

    Servers that need the key of a gallery at the same moment may each make one. All of them are kept, and every server
    opens ids with each of them. What another server reports while a subject is deleted may be stored with its id; it is
    listed without it, because the subject does not exist.

    Args:
        milvus: the connection.
        collections: its collections; these are created when they are needed.
        locator: finds galleries.
        faces: tells which subjects exist and have not expired.
    """

    def __init__(
        self, milvus: MilvusConnection, collections: Collections, locator: GalleryLocator, faces: FaceReader
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._faces = faces

    def answer_keys(self, gallery_id: str) -> tuple[bytes, ...]:
        """See :meth:`gallery.stores.logs.OutcomeLog.answer_keys`."""
        location = self._locator.find(gallery_id)
        collection = self._collections.ensure(_KEYS)
        fields = ("id", "secret")
        rows = self._milvus.query(collection, location.filter, fields, strong=True)
        if not rows:
            made = {
                "id": row_id(location.key, secrets.token_hex(8)),
                "gallery": location.key,
                "secret": secrets.token_hex(_KEY_BYTES),
            }
            self._milvus.insert(collection, [with_no_vector(made)])
            rows = self._milvus.query(collection, location.filter, fields, strong=True)
        return tuple(bytes.fromhex(row["secret"]) for row in sorted(rows, key=lambda row: str(row["id"])))

    def report(self, gallery_id: str, outcome: Outcome, *, reporter: str = "", most: int) -> Outcome:
        """See :meth:`gallery.stores.logs.OutcomeLog.report`."""
        location = self._locator.find(gallery_id, strong=True)
        true_id = outcome.truth_subject_id
        if true_id and true_id not in self._faces.names(location, {true_id}, strong=True):
            raise SubjectNotFound(gallery_id, true_id)
        if outcome.answer.subject_id and not self._is_same_subject(location, outcome.answer):
            outcome = outcome.forgotten()
        collection = self._collections.ensure(_KIND)
        row = _row(location, outcome, reporter)
        self._milvus.upsert(collection, [row])
        self._delete_some(collection, location, most)
        return _outcome(row)

    def outcomes(self, gallery_id: str, *, after: str, limit: int) -> Sequence[Outcome]:
        """See :meth:`gallery.stores.logs.OutcomeLog.outcomes`."""
        location = self._locator.find(gallery_id)
        collection = self._collections.find(_KIND)
        if collection is None:
            return []
        beyond = f"{location.filter} and id > {quoted(row_id(location.key, after))}"
        rows = self._milvus.first_page(collection, beyond, _FIELDS, limit=limit)
        found = [_outcome(row) for row in rows]
        living = self._faces.names(location, {subject for each in found for subject in each.subjects})
        return [each if living.keys() >= each.subjects else each.forgotten() for each in found]

    def forget_subject(self, location: GalleryLocation, subject_id: str) -> None:
        """Let the outcomes that name a subject name nobody."""
        if collection := self._collections.find(_KIND):
            named = f"{location.filter} and (subject == {quoted(subject_id)} or true_subject == {quoted(subject_id)})"
            rows = self._milvus.query(collection, named, ("id", *_FIELDS), strong=True)
            self._milvus.upsert(collection, [_row(location, _outcome(row).forgotten(), _reporter(row)) for row in rows])

    def _is_same_subject(self, location: GalleryLocation, answer: GivenAnswer) -> bool:
        """Whether the best candidate is still enrolled, and was so when the answer was given."""
        if not self._faces.names(location, {answer.subject_id}, strong=True):
            return False
        key = row_id(location.key, answer.subject_id)
        row = self._milvus.get(self._collections.subjects, [key], ("created",), strong=True).get(key)
        return row is not None and int(row["created"]) <= to_microseconds(answer.time)

    def _delete_some(self, collection: str, location: GalleryLocation, most: int) -> None:
        if self._milvus.count(collection, location.filter, strong=True) <= most:
            return
        of_reporters: dict[str, list[tuple[bool, int, str]]] = {}
        for page in self._milvus.pages(collection, location.filter, ("reported", "text"), strong=True):
            for row in page:
                is_marked = json.loads(row["text"])["review_share"] is not None
                mine = of_reporters.setdefault(_reporter(row), [])
                mine.append((is_marked, int(row["reported"]), str(row["id"])))
        ranked = [
            (is_marked, -place, reported, key)
            for mine in of_reporters.values()
            for place, (is_marked, reported, key) in enumerate(sorted(mine, reverse=True))
        ]
        kept = max(1, int(most * (1 - _SPARE)))
        self._milvus.delete(collection, [key for *_, key in sorted(ranked)[:-kept]])


def _reporter(row: Row) -> str:
    return str(json.loads(row["text"]).get("reporter", ""))


def _row(location: GalleryLocation, outcome: Outcome, reporter: str) -> Row:
    answer = outcome.answer
    text = {
        "answered": to_microseconds(answer.time),
        "decision": answer.decision.value,
        "similarity": answer.similarity,
        "margin": answer.margin,
        "threshold": answer.threshold,
        "source": answer.source,
        "review_share": answer.review_share,
        "contract": answer.contract,
        "is_right": outcome.is_right,
        "truth": outcome.truth.value,
        "is_forgotten": outcome.is_forgotten,
        "reporter": reporter,
    }
    return with_no_vector(
        {
            "id": row_id(location.key, answer.nonce.hex()),
            "gallery": location.key,
            "subject": answer.subject_id,
            "true_subject": outcome.truth_subject_id,
            "reported": to_microseconds(outcome.report_time),
            "text": json.dumps(text, separators=(",", ":")),
        }
    )


def _outcome(row: Row) -> Outcome:
    try:
        text: dict[str, Any] = json.loads(row["text"])
        nonce = id_of(row)
        answer = GivenAnswer(
            bytes.fromhex(nonce),
            from_microseconds(text["answered"]),
            Decision(text["decision"]),
            row["subject"],
            text["similarity"],
            text["margin"],
            text["threshold"],
            text["source"],
            text["review_share"],
            text.get("contract", ""),
        )
        said = from_microseconds(row["reported"])
        truth = Truth(text["truth"])
        return Outcome(nonce, answer, text["is_right"], truth, row["true_subject"], said, text["is_forgotten"])
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise StorageUnavailable("Milvus: an outcome is not as it was written") from error
