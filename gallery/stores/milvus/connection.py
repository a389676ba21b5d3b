"""The way to a Milvus: every call has a deadline and a consistency, every failure becomes one of ours."""

from __future__ import annotations

import importlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.errors import StorageUnavailable

Row = dict[str, Any]

MOST_ROWS = 16_384
"""The most rows that Milvus answers at once."""

_AT_ONCE = 1000
"""Ids named in one expression, and rows written by one call."""
_OWN_WRITES_SECONDS = 60.0
"""For so long after a write reads of this process are told apart from those of others. Later a bounded read sees it as
well, which also is at most ``common.gracefulTime`` behind what others wrote: 5 s, unless somebody changed it."""
_PREPARING_SECONDS = 120.0


class Milvus:
    """A connection to a Milvus, for any number of threads. It heals by itself when Milvus was away.

    There are two ways to read. A *strong* read waits until everything that any process wrote before is seen, which
    takes up to two of Milvus's time ticks (``proxy.timeTickInterval``, 200 ms). Any other sees what this process wrote
    to the collection, for which it waits as long, but only after a write; what others wrote it sees a little later.

    Args:
        uri: such as ``http://localhost:19530``; a file that ends in ``.db`` is opened by Milvus Lite.
        token: ``user:password``, or an API key; empty for none.
        timeout: how long a call may take, seconds.

    Raises:
        StorageUnavailable: pymilvus is missing, or Milvus does not answer.
    """

    def __init__(self, uri: str, *, token: str = "", timeout: float = 10.0) -> None:
        self._secrets = tuple(filter(None, (token, token.partition(":")[2])))
        self._uri = uri
        self._timeout = timeout
        self._is_closed = False
        self._changed = threading.Lock()
        self._written: dict[str, float] = {}
        self._deleted: dict[str, object] = {}
        self._pymilvus = _pymilvus()
        with self._failing():
            self._client = self._pymilvus.MilvusClient(uri, token=token, timeout=timeout, dedicated=True)
            version = self._client.get_server_version(timeout=timeout)
            self.is_lite = "lite" in version and uri.endswith(".db")
            # From 2.4 on rows come in the order of their ids only with this option; 2.3 has that order anyway, and with
            # the option forgets rows where there are several segments.
            self._in_order: Row = {} if version.removeprefix("v").startswith("2.3.") else {"reduce_stop_for_best": True}

    def types(self) -> Any:
        """The types of fields, of pymilvus."""
        return self._pymilvus.DataType

    def describe(self, collection: str) -> Row | None:
        """What a collection is like; ``None`` where there is none."""
        with self._failing():
            if not self._client.has_collection(collection, timeout=self._timeout):
                return None
            described: Row = self._client.describe_collection(collection, timeout=self._timeout)
            return described

    def schema(self, *, partition_key: str | None) -> Any:
        """A schema without fields."""
        options = {"partition_key_field": partition_key} if partition_key else {}
        return self._client.create_schema(auto_id=False, enable_dynamic_field=False, **options)

    def create(self, collection: str, schema: Any, *, vector: str, index: str, parameters: Mapping[str, int]) -> None:
        """Make a collection that can be searched at once; nothing happens where another process just made it."""
        with self._failing():
            indexes = self._client.prepare_index_params()
            indexes.add_index(vector, index_type=index, metric_type="IP", params=dict(parameters))
            self._client.create_collection(collection, schema=schema, index_params=indexes, timeout=_PREPARING_SECONDS)

    def load(self, collection: str) -> None:
        """Make sure that a collection can be searched."""
        with self._failing():
            self._client.load_collection(collection, timeout=_PREPARING_SECONDS)

    def index_of(self, collection: str, vector: str) -> str:
        """The type of a collection's index."""
        with self._failing():
            return str(self._client.describe_index(collection, vector, timeout=self._timeout)["index_type"])

    def read(self, collection: str, where: str, fields: Sequence[str], *, strong: bool = False) -> list[Row]:
        """All rows of which an expression holds, in any order."""
        return self._query(collection, where, fields, strong=strong, limit=None)

    def first(
        self, collection: str, where: str, fields: Sequence[str], *, limit: int, strong: bool = False
    ) -> list[Row]:
        """The first rows, in code point order of their ids."""
        # Milvus Lite answers in the order of insertion, so that all have to be looked at.
        rows = self._query(collection, where, ("id", *fields), strong=strong, limit=None if self.is_lite else limit)
        return sorted(rows, key=lambda row: str(row["id"]))[:limit]

    def all(
        self, collection: str, where: str, fields: Sequence[str], *, strong: bool = False, at_once: int = MOST_ROWS
    ) -> Iterator[list[Row]]:
        """All rows in code point order of their ids, some at once."""
        after = ""
        while True:
            beyond = f"({where}) and id > {quoted(after)}"
            rows = self.first(collection, beyond, fields, limit=at_once, strong=strong)
            if rows:
                yield rows
            if len(rows) < at_once:
                return
            after = rows[-1]["id"]

    def by_id(
        self, collection: str, ids: Sequence[str], fields: Sequence[str], *, strong: bool = False
    ) -> dict[str, Row]:
        """Those rows that there are, by their ids."""
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = f"id in {quoted_all(ids[start : start + _AT_ONCE])}"
            found |= {row["id"]: row for row in self.read(collection, some, ("id", *fields), strong=strong)}
        return found

    def count(self, collection: str, where: str, *, strong: bool = False) -> int:
        """How many rows there are of which an expression holds."""
        (row,) = self._query(collection, where, ("count(*)",), strong=strong, limit=None)
        return int(row["count(*)"])

    def search(
        self,
        collection: str,
        probes: NDArray[np.float32],
        where: str,
        fields: Sequence[str],
        *,
        vector: str,
        limit: int,
        parameters: Mapping[str, int],
        strong: bool,
    ) -> list[list[Row]]:
        """For every probe, the rows of highest inner product, at most :data:`MOST_ROWS`.

        Each has its fields, and ``similarity``.
        """
        with self._reading(collection, strong=strong) as level:
            found = self._client.search(
                collection,
                data=list(probes),
                filter=where,
                limit=limit,
                output_fields=list(fields),
                anns_field=vector,
                search_params={"metric_type": "IP", "params": dict(parameters)},
                consistency_level=level,
                timeout=self._timeout,
            )
            return [[{**hit["entity"], "similarity": hit["distance"]} for hit in hits] for hits in found]

    def insert(self, collection: str, rows: Sequence[Row], *, at_once: int = _AT_ONCE) -> None:
        """Add rows whose ids are new: of others there would be two."""
        for start in range(0, len(rows), at_once):
            with self._writing(collection):
                self._client.insert(collection, list(rows[start : start + at_once]), timeout=self._timeout)

    def put(self, collection: str, rows: Sequence[Row]) -> None:
        """Add rows, or replace those that have their ids.

        Not in a collection with a partition key: Milvus 2.3 puts such rows where searches do not look for them.
        """
        for start in range(0, len(rows), _AT_ONCE):
            with self._writing(collection):
                self._client.upsert(collection, list(rows[start : start + _AT_ONCE]), timeout=self._timeout)

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Delete those rows that there are."""
        for start in range(0, len(ids), _AT_ONCE):
            with self._writing(collection, deletes=True):
                self._client.delete(collection, ids=list(ids[start : start + _AT_ONCE]), timeout=self._timeout)

    def close(self) -> None:
        """Let go of the connection; Milvus Lite closes its file."""
        if not self._is_closed:
            self._is_closed = True
            self._client.close()
            if self.is_lite:
                importlib.import_module("milvus_lite.server_manager").server_manager_instance.release_server(self._uri)

    def _query(
        self, collection: str, where: str, fields: Sequence[str], *, strong: bool, limit: int | None
    ) -> list[Row]:
        options: Row = {} if limit is None else {"limit": limit, **self._in_order}
        with self._reading(collection, strong=strong) as level:
            rows = self._client.query(
                collection,
                filter=where,
                output_fields=list(fields),
                consistency_level=level,
                timeout=self._timeout,
                **options,
            )
            return [dict(row) for row in rows]

    @contextmanager
    def _reading(self, collection: str, *, strong: bool) -> Iterator[str]:
        """The consistency level of a read."""
        deletion = self._deleted.get(collection)
        written = self._written.get(collection, -math.inf)
        with self._failing():
            if strong or deletion is not None:
                yield "Strong"
            elif time.monotonic() - written < _OWN_WRITES_SECONDS:
                yield "Session"
            else:
                yield "Bounded"
        with self._changed:
            if deletion is not None and self._deleted.get(collection) is deletion:
                del self._deleted[collection]

    @contextmanager
    def _writing(self, collection: str, *, deletes: bool = False) -> Iterator[None]:
        try:
            with self._failing():
                yield
        finally:
            with self._changed:
                self._written[collection] = time.monotonic()
                if deletes:
                    # Milvus 2.3 does not say when it deleted, so that a session would not wait for it; a strong read
                    # does, once, for all that come after.
                    self._deleted[collection] = object()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        if self._is_closed:
            raise StorageUnavailable("the connection to Milvus is closed")
        try:
            yield
        except Exception as error:
            # Also what gRPC raises by itself: which that is changes from version to version.
            message = str(getattr(error, "message", "") or error)
            for secret in self._secrets:
                message = message.replace(secret, "***")
            raise StorageUnavailable(f"Milvus: {message}") from error


def quoted(value: str) -> str:
    """A text as it stands in an expression."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted_all(values: Sequence[str]) -> str:
    """Several texts as they stand in an expression."""
    return f"[{', '.join(map(quoted, values))}]"


def _pymilvus() -> Any:
    try:
        module = importlib.import_module("pymilvus")
    except ModuleNotFoundError as error:
        raise StorageUnavailable("galleries in Milvus need the package pymilvus") from error
    # Its import sets up its log, which would show a stack trace for every error that it also raises.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return module
