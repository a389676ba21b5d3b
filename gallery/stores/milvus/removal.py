"""Hidden galleries in Milvus: those that are being imported, and those that are being removed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections, fields_of, with_no_vector
from gallery.times import microseconds_ago, now, to_microseconds

ABANDONED_AFTER = timedelta(hours=1)
"""A hidden gallery is removed if it was not touched for this long. The clocks of replicas must differ by much less."""

_FIELDS = fields_of("unfinished")
_ROWS_AT_ONCE = 5000
_KINDS = (
    "crops",
    "requests",
    "distinct_pairs",
    "changes",
    "subjects",
    "observations",
    "reference_starts",
    "outcomes",
    "answer_keys",
)
"""The collections, beside that of its templates, with rows of a gallery."""


class Removal:
    """Keeps notes of hidden galleries in Milvus, and removes those that are abandoned.

    A deleted gallery becomes invisible at once. Its rows follow: :meth:`run` removes those of galleries that this
    process scheduled. The note stays, and an hour later any replica removes the rows once more: another replica that
    had not seen the deletion may have added some.

    Args:
        milvus: the connection.
        collections: its collections.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._lock = threading.Lock()
        self._scheduled: dict[int, str] = {}

    def note(self, key: int, contract: str, *, wanted: str = "") -> int:
        """Note that a hidden gallery is in use, and return the time of the note.

        Args:
            key: the key of the hidden gallery.
            contract: the contract of its templates.
            wanted: the id that it is about to get.
        """
        moment = to_microseconds(now())
        self._write_note(key, contract, moment, wanted=wanted)
        return moment

    def others_want(self, gallery_id: str, key: int, *, within: timedelta) -> bool:
        """Tell whether another hidden gallery is about to get an id, according to a note that is recent enough."""
        since = microseconds_ago(within)
        others = f"wanted == {quoted(gallery_id)} and gallery != {key} and alive > {since}"
        return bool(self._milvus.query(self._collections.ensure("unfinished"), others, ("id",), strong=True))

    def is_noted(self, key: int, time: int) -> bool:
        """Tell whether a note is still there: no process has taken the gallery for abandoned."""
        note = row_id(key, "")
        found = self._milvus.get(self._collections.ensure("unfinished"), [note], _FIELDS, strong=True)
        return note in found and found[note]["alive"] == time

    def forget(self, key: int) -> None:
        """Delete the note of a gallery that is no longer hidden."""
        self._milvus.delete(self._collections.ensure("unfinished"), [row_id(key, "")])

    def schedule(self, key: int, contract: str) -> None:
        """Schedule a hidden gallery with a note for removal by :meth:`run`."""
        with self._lock:
            self._scheduled[key] = contract

    def run(self) -> None:
        """Remove the galleries that this process scheduled, and those that others abandoned."""
        with self._lock:
            for key, contract in tuple(self._scheduled.items()):
                # A row exists if a commit failed without an answer.
                self._milvus.delete(self._collections.galleries, self._galleries(key))
                self._remove(key, contract)
                del self._scheduled[key]
            for row in self._abandoned():
                # From here on no import can commit it.
                self._write_note(row["gallery"], row["contract"], 0)
                if not self._galleries(row["gallery"]):
                    self._remove(row["gallery"], row["contract"])
                self.forget(row["gallery"])

    def _abandoned(self) -> Sequence[Row]:
        notes = self._collections.find("unfinished")
        if notes is None:
            return ()
        before = microseconds_ago(ABANDONED_AFTER)
        return self._milvus.query(notes, f"alive < {before}", ("id", *_FIELDS))

    def _galleries(self, key: int) -> list[str]:
        rows = self._milvus.query(self._collections.galleries, f"gallery == {key}", ("id",), strong=True)
        return [row["id"] for row in rows]

    def _write_note(self, key: int, contract: str, alive: int, *, wanted: str = "") -> None:
        row = {"id": row_id(key, ""), "gallery": key, "contract": contract, "wanted": wanted, "alive": alive}
        self._milvus.upsert(self._collections.ensure("unfinished"), [with_no_vector(row)])

    def _remove(self, key: int, contract: str) -> None:
        kinds = [self._collections.find(kind) for kind in _KINDS]
        for collection in (self._collections.find_templates(contract), *kinds):
            if collection is not None:
                # One strong read sees what is being written at this moment; the pages need not wait again.
                self._milvus.first_page(collection, f"gallery == {key}", (), limit=1, strong=True)
                for rows in self._milvus.pages(collection, f"gallery == {key}", (), at_once=_ROWS_AT_ONCE):
                    self._milvus.delete(collection, [row["id"] for row in rows])


def remove_templates(milvus: MilvusConnection, collections: Collections, templates: str, ids: Sequence[str]) -> None:
    """Remove templates by the ids of their rows, after their crops and requests."""
    if not ids:
        return
    if crops := collections.find("crops"):
        milvus.delete(crops, ids)
    if requests := collections.find("requests"):
        for start in range(0, len(ids), 100):
            answered = f"template in {quoted_all(ids[start : start + 100])}"
            milvus.delete(requests, [row["id"] for row in milvus.query(requests, answered, ("id",), strong=True)])
    milvus.delete(templates, ids)
