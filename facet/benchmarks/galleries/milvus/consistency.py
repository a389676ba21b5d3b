"""Milvus's consistency levels: how long a search takes, and when it sees a write."""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.templates import SEED
from facet.benchmarks.timing import milliseconds, percentile, timed

LEVELS = ("Strong", "Session", "Bounded", "Eventually")

_COLLECTION = "bench_seen"
_VECTORS = 1000
_WRITES = 40
_QUIET_SECONDS = 2.0
"""Pause after which earlier writes no longer delay a search."""
_PAUSE_SECONDS = (0.3, 0.5)
"""Pause before each write, uniformly drawn so that writes are not in step with Milvus's clock ticks."""
_GIVE_UP_SECONDS = 30.0
_SEEN_COSINE = 0.999


@dataclass(frozen=True, slots=True)
class Level:
    """Figures of a consistency level.

    Attributes:
        search_p50_ms: a search without recent writes, median.
        search_p99_ms: 99th percentile.
        own_p50_ms: the first search after a write of the same process, median.
        own_seen: share of these searches that saw the write.
        other_p50_ms: from the end of a write until a search of another process sees it, median.
        other_max_ms: the longest.
    """

    search_p50_ms: float
    search_p99_ms: float
    own_p50_ms: float
    own_seen: float
    other_p50_ms: float
    other_max_ms: float


def measure_levels(client: Any, uri: str, token: str, dimension: int, rounds: int) -> dict[str, Level]:
    """Measure every level on a small collection that this process and another one search.

    Args:
        client: a ``pymilvus.MilvusClient`` of the server.
        uri: address of the server, for the other process.
        token: of the server, for the other process.
        dimension: of the vectors.
        rounds: number of searches without recent writes.
    """
    _create_collection(client, dimension)
    try:
        with _watching_process(uri, token) as watcher:
            rng = np.random.default_rng(SEED + 2)
            client.insert(_COLLECTION, [{"embedding": each} for each in _unit_vectors(rng, _VECTORS, dimension)])
            return {level: _measure_level(client, watcher, rng, dimension, level, rounds) for level in LEVELS}
    finally:
        client.drop_collection(_COLLECTION)


def _create_collection(client: Any, dimension: int) -> None:
    pymilvus = importlib.import_module("pymilvus")
    schema = client.create_schema(auto_id=True)
    schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("embedding", pymilvus.DataType.FLOAT_VECTOR, dim=dimension)
    indexes = client.prepare_index_params()
    indexes.add_index("embedding", index_type="FLAT", metric_type="IP")
    client.create_collection(_COLLECTION, schema=schema, index_params=indexes)


def _measure_level(
    client: Any, watcher: Connection, rng: np.random.Generator, dimension: int, level: str, rounds: int
) -> Level:
    time.sleep(_QUIET_SECONDS)
    quiet_ms = [milliseconds(partial(_is_seen, client, each, level)) for each in _unit_vectors(rng, rounds, dimension)]
    other_ms = []
    for vector in _unit_vectors(rng, _WRITES, dimension):
        time.sleep(rng.uniform(*_PAUSE_SECONDS))
        watcher.send((vector, level))
        watcher.recv()
        client.insert(_COLLECTION, [{"embedding": vector}])
        written = time.monotonic()
        other_ms.append(1e3 * (watcher.recv() - written))
    own_ms, own_seen = [], []
    for vector in _unit_vectors(rng, _WRITES, dimension):
        time.sleep(rng.uniform(*_PAUSE_SECONDS))
        client.insert(_COLLECTION, [{"embedding": vector}])
        duration, is_seen = timed(partial(_is_seen, client, vector, level))
        own_ms.append(duration)
        own_seen.append(is_seen)
    return Level(
        search_p50_ms=percentile(quiet_ms, 50),
        search_p99_ms=percentile(quiet_ms, 99),
        own_p50_ms=percentile(own_ms, 50),
        own_seen=round(float(np.mean(own_seen)), 3),
        other_p50_ms=percentile(other_ms, 50),
        other_max_ms=round(max(other_ms), 2),
    )


@contextmanager
def _watching_process(uri: str, token: str) -> Iterator[Connection]:
    """Run :func:`_watch` in another process; gives the connection to it when it is ready."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_watch, args=(theirs, uri, token), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()
        yield ours
    finally:
        ours.close()
        process.join()


def _watch(pipe: Connection, uri: str, token: str) -> None:
    """Search for each vector received until it is found, and send the time, on the clock that all processes share."""
    client = importlib.import_module("pymilvus").MilvusClient(uri, token=token, timeout=60)
    pipe.send("ready")
    while True:
        try:
            vector, level = pipe.recv()
        except EOFError:
            return
        pipe.send("searching")
        until = time.monotonic() + _GIVE_UP_SECONDS
        while not _is_seen(client, vector, level) and time.monotonic() < until:
            pass
        pipe.send(time.monotonic())


def _is_seen(client: Any, vector: NDArray[np.float32], level: str) -> bool:
    (hits,) = client.search(
        _COLLECTION, data=[vector], limit=1, anns_field="embedding", consistency_level=level, timeout=60
    )
    return bool(hits) and hits[0]["distance"] > _SEEN_COSINE


def _unit_vectors(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    drawn = rng.standard_normal((count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit
