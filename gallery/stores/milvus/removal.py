"""Hidden galleries in Milvus: those that are being imported, and those that are being removed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import contract_of, row_id
from gallery.stores.milvus.schema import Collections, fields_of, with_no_vector
from gallery.times import microseconds_ago, now, to_microseconds

ABANDONED_AFTER = timedelta(hours=1)
"""A hidden gallery is removed if it was not touched for this long. The clocks of replicas must differ by much less."""

_FIELDS = fields_of("unfinished")
_LINE = "\n"
"""Between contracts in a note."""
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
    "migrations",
)
"""The collections, beside that of its templates, with rows of a gallery."""


class Removal:
    """Keeps notes of hidden galleries in Milvus, and removes those that are abandoned.

    A deleted gallery becomes invisible at once. Its rows follow: :meth:`run` removes those of galleries that this
    process scheduled. The note stays, and an hour later any replica removes the rows once more: another replica that
    had not seen the deletion may have added some. The same applies to the templates of a contract that a gallery gave
    up at the end of a migration.

    Args:
        milvus: the connection.
        collections: its collections.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._lock = threading.Lock()
        self._scheduled: dict[int, Sequence[str]] = {}

    def note(self, key: int, contracts: Sequence[str], *, wanted: str = "") -> int:
        """Note that a hidden gallery is in use, and return the time of the note.

        Args:
            key: the key of the hidden gallery.
            contracts: the contracts of its templates.
            wanted: the id that it is about to get.
        """
        moment = to_microseconds(now())
        self._write_note(row_id(key, ""), key, contracts, moment, wanted=wanted)
        return moment

    def note_dropped(self, key: int, contract: str) -> None:
        """Note that a gallery has no templates of a contract any more.

        Another replica that had not seen it may add some. They are removed an hour later, unless the gallery has a
        migration again.
        """
        self._write_note(row_id(key, contract), key, (contract,), to_microseconds(now()))

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

    def schedule(self, key: int, contracts: Sequence[str]) -> None:
        """Schedule a hidden gallery with a note for removal by :meth:`run`."""
        with self._lock:
            self._scheduled[key] = contracts

    def run(self) -> None:
        """Remove the galleries that this process scheduled, and those that others abandoned."""
        with self._lock:
            for key, contracts in tuple(self._scheduled.items()):
                # A row exists if a commit failed without an answer.
                self._milvus.delete(self._collections.galleries, [row["id"] for row in self._galleries(key)])
                self._remove(key, contracts)
                del self._scheduled[key]
            for row in self._abandoned():
                key, contracts = row["gallery"], row["contract"].split(_LINE)
                # From here on no import can commit it.
                self._write_note(row["id"], key, contracts, 0)
                if galleries := self._galleries(key):
                    self._remove_dropped(galleries[0], contracts)
                else:
                    self._remove(key, contracts)
                self._milvus.delete(self._collections.ensure("unfinished"), [row["id"]])

    def _abandoned(self) -> Sequence[Row]:
        notes = self._collections.find("unfinished")
        if notes is None:
            return ()
        before = microseconds_ago(ABANDONED_AFTER)
        return self._milvus.query(notes, f"alive < {before}", ("id", *_FIELDS))

    def _galleries(self, key: int) -> list[Row]:
        fields = ("id", "gallery", "contract")
        return self._milvus.query(self._collections.galleries, f"gallery == {key}", fields, strong=True)

    def _write_note(self, note: str, key: int, contracts: Sequence[str], alive: int, *, wanted: str = "") -> None:
        row = {"id": note, "gallery": key, "contract": _LINE.join(contracts), "wanted": wanted, "alive": alive}
        self._milvus.upsert(self._collections.ensure("unfinished"), [with_no_vector(row)])

    def _remove(self, key: int, contracts: Sequence[str]) -> None:
        kinds = [self._collections.find(kind) for kind in _KINDS]
        self._remove_rows(key, [*map(self._collections.find_templates, contracts), *kinds])

    def _remove_dropped(self, gallery: Row, contracts: Sequence[str]) -> None:
        """Remove the templates of contracts that a gallery has no more; does nothing while it has a migration."""
        contract, migration_row = contract_of(gallery)
        if not migration_row:
            dropped = [self._collections.find_templates(each) for each in contracts if each != contract]
            self._remove_rows(gallery["gallery"], dropped)

    def _remove_rows(self, key: int, collections: Sequence[str | None]) -> None:
        for collection in collections:
            if collection is not None:
                # One strong read sees what is being written at this moment; the pages need not wait again.
                self._milvus.first_page(collection, f"gallery == {key}", (), limit=1, strong=True)
                for rows in self._milvus.pages(collection, f"gallery == {key}", (), at_once=_ROWS_AT_ONCE):
                    self._milvus.delete(collection, [row["id"] for row in rows])


def remove_templates(
    milvus: MilvusConnection, collections: Collections, location: GalleryLocation, ids: Sequence[str]
) -> None:
    """Remove templates by the ids of their rows, after their crops and requests."""
    if not ids:
        return
    remove_belongings(milvus, collections, ids)
    # Another server may be about to copy one to the other contract. It looks once more whether the template is there,
    # and takes the copy back unless it is. So either sees what the other has done.
    for templates in (location.others, location.templates, location.others):
        if templates is not None:
            milvus.delete(templates, ids)


def remove_belongings(milvus: MilvusConnection, collections: Collections, ids: Sequence[str]) -> None:
    """Remove the crops and requests of templates by the ids of their rows."""
    if crops := collections.find("crops"):
        milvus.delete(crops, ids)
    if requests := collections.find("requests"):
        for start in range(0, len(ids), 100):
            answered = f"template in {quoted_all(ids[start : start + 100])}"
            milvus.delete(requests, [row["id"] for row in milvus.query(requests, answered, ("id",), strong=True)])
