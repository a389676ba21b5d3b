"""Galleries in a Milvus that nobody sees: those that are being filled, and those that are being removed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gallery.stores.milvus.connection import Milvus, Row, quoted, quoted_all
from gallery.stores.milvus.rows import microseconds, row_id
from gallery.stores.milvus.schema import Collections, fields_of, with_no_vector

ABANDONED = timedelta(hours=1)
"""A hidden gallery for which nobody did anything for so long is nobody's any more. Replicas' clocks must agree much
better than this."""

_FIELDS = fields_of("unfinished")
_REMOVED_AT_ONCE = 5000


class Removal:
    """Remembers hidden galleries in Milvus, and removes those that are not wanted.

    A gallery that is deleted leaves the list of galleries at once, and is out of everybody's sight. Its rows follow:
    :meth:`run` removes those that this process put down. It leaves the note, so that an hour later whoever comes by
    removes once more: what another replica, which had not seen the deletion, may have added in its last moment.
    """

    def __init__(self, milvus: Milvus, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._lock = threading.Lock()
        self._unwanted: dict[int, str] = {}

    def note(self, key: int, contract: str, *, wanted: str = "") -> int:
        """Write down, or again, that a gallery is hidden and somebody is at it; when that was.

        Args:
            key: of the hidden gallery.
            contract: of its templates.
            wanted: the id that it is about to get.
        """
        now = microseconds(datetime.now(UTC))
        self._put(key, contract, now, wanted=wanted)
        return now

    def others_want(self, gallery_id: str, key: int, *, within: timedelta) -> bool:
        """Whether another hidden gallery was noted to be about to get an id, so long ago at the most."""
        since = microseconds(datetime.now(UTC) - within)
        others = f"wanted == {quoted(gallery_id)} and gallery != {key} and alive > {since}"
        return bool(self._milvus.read(self._collections.made("unfinished"), others, ("id",), strong=True))

    def is_noted(self, key: int, at: int) -> bool:
        """Whether nobody took a hidden gallery for abandoned since it was noted."""
        note = row_id(key, "")
        found = self._milvus.by_id(self._collections.made("unfinished"), [note], _FIELDS, strong=True)
        return note in found and found[note]["alive"] == at

    def forget(self, key: int) -> None:
        """Strike out the note: the gallery is no longer hidden."""
        self._milvus.delete(self._collections.made("unfinished"), [row_id(key, "")])

    def discard(self, key: int, contract: str) -> None:
        """Let :meth:`run` remove a hidden gallery, which has been noted."""
        with self._lock:
            self._unwanted[key] = contract

    def run(self) -> None:
        """Remove what is not wanted, of this process at once, of others when it is abandoned."""
        with self._lock:
            for key, contract in tuple(self._unwanted.items()):
                # There is one after a commit of which nobody knows how it ended.
                self._milvus.delete(self._collections.galleries, self._galleries(key))
                self._remove(key, contract)
                del self._unwanted[key]
            for row in self._abandoned():
                # From here on nobody can make it a gallery.
                self._put(row["gallery"], row["contract"], 0)
                if not self._galleries(row["gallery"]):
                    self._remove(row["gallery"], row["contract"])
                self.forget(row["gallery"])

    def _abandoned(self) -> Sequence[Row]:
        notes = self._collections.found("unfinished")
        if notes is None:
            return ()
        before = microseconds(datetime.now(UTC) - ABANDONED)
        return self._milvus.read(notes, f"alive < {before}", ("id", *_FIELDS))

    def _galleries(self, key: int) -> list[str]:
        rows = self._milvus.read(self._collections.galleries, f"gallery == {key}", ("id",), strong=True)
        return [row["id"] for row in rows]

    def _put(self, key: int, contract: str, alive: int, *, wanted: str = "") -> None:
        row = {"id": row_id(key, ""), "gallery": key, "contract": contract, "wanted": wanted, "alive": alive}
        self._milvus.put(self._collections.made("unfinished"), [with_no_vector(row)])

    def _remove(self, key: int, contract: str) -> None:
        kinds = [self._collections.found(kind) for kind in ("crops", "requests", "subjects")]
        for collection in (self._collections.templates_found(contract), *kinds):
            if collection is not None:
                # As of now, for whoever writes at this moment; then in pages that need not wait.
                self._milvus.first(collection, f"gallery == {key}", (), limit=1, strong=True)
                for rows in self._milvus.all(collection, f"gallery == {key}", (), at_once=_REMOVED_AT_ONCE):
                    self._milvus.delete(collection, [row["id"] for row in rows])


def remove_templates(milvus: Milvus, collections: Collections, templates: str, ids: Sequence[str]) -> None:
    """Remove templates by the ids of their rows, each after its crop and its requests."""
    if not ids:
        return
    if crops := collections.found("crops"):
        milvus.delete(crops, ids)
    if requests := collections.found("requests"):
        for start in range(0, len(ids), 100):
            answered = f"template in {quoted_all(ids[start : start + 100])}"
            milvus.delete(requests, [row["id"] for row in milvus.read(requests, answered, ("id",), strong=True)])
    milvus.delete(templates, ids)
