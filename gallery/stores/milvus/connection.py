"""A connection to Milvus: every call has a deadline and a consistency level, and failures become storage errors."""

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

MAX_ROWS = 16_384
"""The most rows that Milvus returns at once."""

_ROWS_AT_ONCE = 1000
"""Ids in one expression, and rows written by one call."""
_SESSION_SECONDS = 60.0
"""How long after a write this process reads with session consistency. After that a bounded read includes the write: it
lags by at most ``common.gracefulTime``, 5 s by default."""
_SETUP_SECONDS = 120.0
_CREATION_SECONDS, _CREATION_INTERVAL = 10.0, 0.05
"""How long to wait for the index of a collection, which its creator makes after it, and how often to look."""


class MilvusConnection:
    """A connection to Milvus, for any number of threads. It recovers by itself after Milvus was unavailable.

    A *strong* read sees everything that any process wrote before, and waits for it up to two of Milvus's time ticks
    (``proxy.timeTickInterval``, 200 ms). Any other read sees what this process wrote to the collection, and waits only
    after a write; it sees other processes' writes a little later.

    Args:
        uri: for example ``http://localhost:19530``; Milvus Lite opens a file that ends in ``.db``.
        token: ``user:password``, or an API key; empty for none.
        timeout: of a call, seconds.

    Attributes:
        client: the client of pymilvus.
        is_lite: whether it is Milvus Lite.

    Raises:
        StorageUnavailable: pymilvus is not installed, or Milvus does not answer.
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
            self.client = self._pymilvus.MilvusClient(uri, token=token, timeout=timeout, dedicated=True)
            version = self.client.get_server_version(timeout=timeout)
            self.is_lite = "lite" in version and uri.endswith(".db")
            # Since 2.4, rows are sorted by id only with this option. 2.3 always sorts them, and with the option it
            # loses rows if there are several segments.
            self._in_order: Row = {} if version.removeprefix("v").startswith("2.3.") else {"reduce_stop_for_best": True}

    def types(self) -> Any:
        """Return the field types of pymilvus."""
        return self._pymilvus.DataType

    def describe(self, collection: str) -> Row | None:
        """Describe a collection; ``None`` if it does not exist."""
        with self._failing():
            if not self.client.has_collection(collection, timeout=self._timeout):
                return None
            described: Row = self.client.describe_collection(collection, timeout=self._timeout)
            return described

    def schema(self, *, partition_key: str | None) -> Any:
        """Make a schema without fields."""
        options = {"partition_key_field": partition_key} if partition_key else {}
        return self.client.create_schema(auto_id=False, enable_dynamic_field=False, **options)

    def create(self, collection: str, schema: Any, *, vector: str, index: str, parameters: Mapping[str, int]) -> None:
        """Create and load a collection; does nothing if another process has just created it."""
        with self._failing():
            indexes = self.client.prepare_index_params()
            indexes.add_index(vector, index_type=index, metric_type="IP", params=dict(parameters))
            self.client.create_collection(collection, schema=schema, index_params=indexes, timeout=_SETUP_SECONDS)

    def load(self, collection: str) -> None:
        """Load a collection, so that it can be searched; waits for its index if another process just creates it."""
        give_up = time.monotonic() + _CREATION_SECONDS
        with self._failing():
            while not self.client.list_indexes(collection, timeout=self._timeout) and time.monotonic() < give_up:
                time.sleep(_CREATION_INTERVAL)
            self.client.load_collection(collection, timeout=_SETUP_SECONDS)

    def index_of(self, collection: str, vector: str) -> str:
        """Return the type of a collection's index."""
        with self._failing():
            return str(self.client.describe_index(collection, vector, timeout=self._timeout)["index_type"])

    def query(self, collection: str, where: str, fields: Sequence[str], *, strong: bool = False) -> list[Row]:
        """Return all rows that match an expression, in any order."""
        return self._query(collection, where, fields, strong=strong, limit=None)

    def first_page(
        self, collection: str, where: str, fields: Sequence[str], *, limit: int, strong: bool = False
    ) -> list[Row]:
        """Return the first rows in code point order of their ids."""
        # Milvus Lite returns rows in the order of insertion, so all of them are needed.
        rows = self._query(collection, where, ("id", *fields), strong=strong, limit=None if self.is_lite else limit)
        return sorted(rows, key=lambda row: str(row["id"]))[:limit]

    def pages(
        self, collection: str, where: str, fields: Sequence[str], *, strong: bool = False, at_once: int = MAX_ROWS
    ) -> Iterator[list[Row]]:
        """Return all rows in code point order of their ids, page by page."""
        after = ""
        while True:
            beyond = f"({where}) and id > {quoted(after)}"
            rows = self.first_page(collection, beyond, fields, limit=at_once, strong=strong)
            if rows:
                yield rows
            if len(rows) < at_once:
                return
            after = rows[-1]["id"]

    def get(
        self, collection: str, ids: Sequence[str], fields: Sequence[str], *, strong: bool = False
    ) -> dict[str, Row]:
        """Return the rows that exist, by id."""
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            some = f"id in {quoted_all(ids[start : start + _ROWS_AT_ONCE])}"
            found |= {row["id"]: row for row in self.query(collection, some, ("id", *fields), strong=strong)}
        return found

    def count(self, collection: str, where: str, *, strong: bool = False) -> int:
        """Count the rows that match an expression."""
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
        """Return the rows with the highest inner product for every probe, at most :data:`MAX_ROWS`.

        Each has its fields and ``similarity``.
        """
        with self._reading(collection, strong=strong) as level:
            found = self.client.search(
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

    def insert(self, collection: str, rows: Sequence[Row], *, at_once: int = _ROWS_AT_ONCE) -> None:
        """Insert rows with new ids: an existing id would become a duplicate."""
        for start in range(0, len(rows), at_once):
            with self._writing(collection):
                self.client.insert(collection, list(rows[start : start + at_once]), timeout=self._timeout)

    def upsert(self, collection: str, rows: Sequence[Row]) -> None:
        """Insert rows, or replace those with the same ids.

        Not for a collection with a partition key: Milvus 2.3 puts such rows where searches do not find them.
        """
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            with self._writing(collection):
                self.client.upsert(collection, list(rows[start : start + _ROWS_AT_ONCE]), timeout=self._timeout)

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Delete the rows that exist."""
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            with self._writing(collection, deletes=True):
                self.client.delete(collection, ids=list(ids[start : start + _ROWS_AT_ONCE]), timeout=self._timeout)

    def close(self) -> None:
        """Close the connection; Milvus Lite closes its file."""
        if not self._is_closed:
            self._is_closed = True
            self.client.close()
            if self.is_lite:
                importlib.import_module("milvus_lite.server_manager").server_manager_instance.release_server(self._uri)

    def _query(
        self, collection: str, where: str, fields: Sequence[str], *, strong: bool, limit: int | None
    ) -> list[Row]:
        options: Row = {} if limit is None else {"limit": limit, **self._in_order}
        with self._reading(collection, strong=strong) as level:
            rows = self.client.query(
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
        """Yield the consistency level of a read."""
        deletion = self._deleted.get(collection)
        written = self._written.get(collection, -math.inf)
        with self._failing():
            if strong or deletion is not None:
                yield "Strong"
            elif time.monotonic() - written < _SESSION_SECONDS:
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
                    # Milvus 2.3 does not report the time of a deletion, so session consistency does not wait for it.
                    # One strong read does, for all later ones.
                    self._deleted[collection] = object()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        if self._is_closed:
            raise StorageUnavailable("the connection to Milvus is closed")
        try:
            yield
        except Exception as error:
            # Includes gRPC's own exceptions, whose types change between versions.
            message = str(getattr(error, "message", "") or error)
            for secret in self._secrets:
                message = message.replace(secret, "***")
            raise StorageUnavailable(f"Milvus: {message}") from error


def quoted(value: str) -> str:
    """Quote a text for an expression."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted_all(values: Sequence[str]) -> str:
    """Quote a list of texts for an expression."""
    return f"[{', '.join(map(quoted, values))}]"


def _pymilvus() -> Any:
    try:
        module = importlib.import_module("pymilvus")
    except ModuleNotFoundError as error:
        raise StorageUnavailable("galleries in Milvus need the package pymilvus") from error
    # Its import sets up a logger that shows a traceback for every error that it also raises.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return module
