"""Claims of servers to a correction: one of them makes it, or does the rest of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from gallery.errors import ChangeUnderWay, StorageError
from gallery.stores.milvus.connection import MilvusConnection, quoted
from gallery.stores.milvus.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections, with_no_vector
from gallery.times import microseconds_ago, now, to_microseconds

INTERRUPTED_AFTER = timedelta(minutes=1)
"""A correction that began longer ago than this is no longer being made. The clocks of servers must differ by much
less."""

_KIND = "changes"


class Claims:
    """Lets one server at a time work on a change.

    A server writes a claim first, and then reads those of others. Of several servers that do so at the same moment, all
    but at most one see another's claim and give up. The claim of a server that died counts for
    :data:`INTERRUPTED_AFTER`. Claims are rows beside those of the changes, without subjects and texts, so no list of
    changes has them.

    Args:
        milvus: the connection.
        collections: its collections.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._server = secrets.token_hex(8)

    @contextmanager
    def held(self, location: GalleryLocation, change_id: str) -> Iterator[None]:
        """Hold the claim to a change.

        Raises:
            ChangeUnderWay: another server has it, or had it a moment ago.
        """
        collection, claimed = self._collections.ensure(_KIND), f"claim {change_id}"
        mine = row_id(location.key, f"{change_id} {self._server}")
        row = {"id": mine, "gallery": location.key, "request": claimed, "one": "", "other": "", "text": ""}
        self._milvus.upsert(collection, [with_no_vector(row | {"until": to_microseconds(now())})])
        finished = [mine]
        try:
            of_change = f"{location.filter} and request == {quoted(claimed)}"
            others = [
                each
                for each in self._milvus.query(collection, of_change, ("id", "until"), strong=True)
                if each["id"] != mine
            ]
            if any(each["until"] > microseconds_ago(INTERRUPTED_AFTER) for each in others):
                raise ChangeUnderWay
            yield
            finished += [each["id"] for each in others]
        finally:
            with suppress(StorageError):
                self._milvus.delete(collection, finished)
