"""Tables of pgvector: filled, searched and added to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.synthetic_gallery import name_of
from facet.terminal import console

if TYPE_CHECKING:
    from psycopg import Connection

CANDIDATES = 400
"""The larger value of ef_search, and the number of templates that a search by codes rescores."""
TOP_K = 5

_DEFAULT_EF_SEARCH = 40
_COPY_BATCH = 65_536
_COPY_BEGIN, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with templates.

    Attributes:
        name: of the table.
        kind: type of the embeddings.
        index: what CREATE INDEX says after USING; empty for no index.
    """

    name: str
    kind: str
    index: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """How HNSW graphs are built.

    Attributes:
        m: connections of a node.
        ef_construction: candidates for them.
    """

    m: int
    ef_construction: int


@dataclass(frozen=True, slots=True)
class Method:
    """A way to search a table.

    Attributes:
        title: for people.
        table: the table.
        ef_search: candidates of a search in a graph.
        by_codes: search by codes of one bit per value, and rescore.
    """

    title: str
    table: Table
    ef_search: int = _DEFAULT_EF_SEARCH
    by_codes: bool = False


_VECTORS = Table("vectors", "vector")
_HALVES = Table("halves", "halfvec")
_GRAPHS = Table("graphs", "halfvec", "hnsw (embedding halfvec_ip_ops)")
_CODES = Table("codes", "halfvec", "hnsw ((binary_quantize(embedding)::bit({dimension})) bit_hamming_ops)")

METHODS = {
    "vector": Method("float32, exact", _VECTORS),
    "halfvec": Method("float16, exact", _HALVES),
    "hnsw": Method(f"float16, HNSW {_DEFAULT_EF_SEARCH}", _GRAPHS),
    "hnsw_wide": Method(f"float16, HNSW {CANDIDATES}", _GRAPHS, CANDIDATES),
    "bits": Method(f"bits, HNSW {CANDIDATES}", _CODES, CANDIDATES, by_codes=True),
}
"""The ways to search, by their keys in JSON."""


def fill_tables(connection: Connection[Any], vectors: NDArray[np.float32], graph: Graph) -> dict[str, float]:
    """Make all tables with the same templates, and their indexes.

    Args:
        connection: of a user who may create extensions; every statement is a transaction.
        vectors: shape ``(n, dimension)``, unit length.
        graph: how the graphs are built.

    Returns:
        How long each index took to build, seconds, by the name of its table.
    """
    dimension = vectors.shape[1]
    build_s = {}
    _run(connection, "CREATE EXTENSION vector")
    for table in (_VECTORS, _HALVES, _GRAPHS, _CODES):
        _run(connection, f"CREATE TABLE {table.name} (id integer PRIMARY KEY, embedding {table.kind}({dimension}))")
        # PostgreSQL puts long values into another table otherwise, and a scan has to fetch each from there.
        _run(connection, f"ALTER TABLE {table.name} ALTER embedding SET STORAGE PLAIN")
        if table is _VECTORS:
            _copy(connection, table, vectors)
        else:
            _run(connection, f"INSERT INTO {table.name} SELECT id, embedding::{table.kind} FROM {_VECTORS.name}")  # noqa: S608
        begun = time.perf_counter()
        if table.index:
            index = table.index.format(dimension=dimension)
            parameters = f"m = {graph.m}, ef_construction = {graph.ef_construction}"
            _run(connection, f"CREATE INDEX ON {table.name} USING {index} WITH ({parameters})")
        build_s[table.name] = time.perf_counter() - begun if table.index else 0.0
        _run(connection, f"VACUUM ANALYZE {table.name}")
    return build_s


class MethodConnection:
    """A connection that searches a table in one way, and adds templates to it.

    Args:
        connection: every statement is a transaction.
        method: the way.
        dimension: of embeddings.
    """

    def __init__(self, connection: Connection[Any], method: Method, dimension: int) -> None:
        self._connection = connection
        self._table = method.table
        self._query = (_rescored if method.by_codes else _nearest)(method.table, dimension).encode()
        _run(connection, f"SET hnsw.ef_search = {method.ef_search}")

    def searching(self, probe: NDArray[np.float32]) -> Callable[[], str]:
        """Return what searches for a probe, shape ``(dimension,)``, and answers with the id of the first subject."""
        return partial(self._first, {"probe": _text(probe)})

    def inserting(self, row: int, face: NDArray[np.float32]) -> Callable[[], object]:
        """Return what adds a template, shape ``(dimension,)``, in a row that is free."""
        statement = f"INSERT INTO {self._table.name} VALUES (%s, %s::{self._table.kind})"  # noqa: S608 - our own names
        return partial(self._connection.execute, statement.encode(), (row, _text(face)))

    def disk_bytes(self) -> int:
        """Bytes of the table and its indexes on disk."""
        return relation_bytes(self._connection, [self._table.name])

    def _first(self, parameters: dict[str, Any]) -> str:
        rows = self._connection.execute(self._query, parameters).fetchall()
        return name_of(rows[0][0])


def relation_bytes(connection: Connection[Any], tables: Sequence[str]) -> int:
    """Bytes of tables and their indexes on disk."""
    query = b"SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name"
    ((size,),) = connection.execute(query, (list(tables),))
    return int(size)


def _nearest(table: Table, _: int) -> str:
    return f"SELECT id FROM {table.name} ORDER BY embedding <#> %(probe)s::{table.kind} LIMIT {TOP_K}"  # noqa: S608


def _rescored(table: Table, dimension: int) -> str:
    code, probe = f"bit({dimension})", f"%(probe)s::{table.kind}"
    return f"""
        WITH candidates AS MATERIALIZED (
            SELECT id, embedding FROM {table.name}
            ORDER BY binary_quantize(embedding)::{code} <~> binary_quantize({probe})::{code} LIMIT {CANDIDATES}
        )
        SELECT id FROM candidates ORDER BY embedding <#> {probe} LIMIT {TOP_K}"""  # noqa: S608


def _copy(connection: Connection[Any], table: Table, vectors: NDArray[np.float32]) -> None:
    """Copy templates into a table in PostgreSQL's binary format."""
    dimension = vectors.shape[1]
    embedding = [("bytes", ">i4"), ("dimension", ">i2"), ("unused", ">i2"), ("values", ">f4", (dimension,))]
    layout = np.dtype([("columns", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), *embedding])
    statement = f"COPY {table.name} FROM STDIN (FORMAT BINARY)"
    with connection.cursor().copy(statement.encode()) as copy, console.progress("Copying", len(vectors)) as bar:
        copy.write(_COPY_BEGIN)
        for first in range(0, len(vectors), _COPY_BATCH):
            batch = vectors[first : first + _COPY_BATCH]
            rows = np.zeros(len(batch), layout)
            rows["columns"], rows["id_bytes"], rows["id"] = 2, 4, np.arange(first, first + len(batch))
            rows["bytes"], rows["dimension"], rows["values"] = 4 + 4 * dimension, dimension, batch
            copy.write(rows.tobytes())
            bar.advance(bar.task_ids[0], len(batch))
        copy.write(_COPY_END)


def _text(embedding: NDArray[np.float32]) -> str:
    """An embedding as pgvector reads it."""
    return f"[{','.join(map(str, embedding.tolist()))}]"


def _run(connection: Connection[Any], statement: str) -> None:
    connection.execute(statement.encode())
