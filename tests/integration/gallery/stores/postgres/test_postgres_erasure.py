"""What was deleted is gone from the files of the database's tables, not only from its answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.galleries import Galleries
from gallery.stores.postgres.postgres_store import PostgresStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, Vector, face

PEOPLE = 30


@pytest.fixture
def store(postgres_server: PostgresServer) -> PostgresStore:
    return PostgresStore(postgres_server.url, schema=f"e{uuid.uuid4().hex}")


@pytest.fixture
def galleries(store: PostgresStore) -> Iterator[Galleries]:
    made = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5)
    made.create_gallery("g", display_name="Guests", threshold=0.5)
    yield made
    made.close()


@pytest.fixture
def people(galleries: Galleries) -> Vector:
    """Enrol people, and return their embeddings."""
    embeddings = np.random.default_rng(7).normal(size=(PEOPLE, DIMENSION)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    for number, embedding in enumerate(embeddings):
        galleries.enroll("g", f"s{number}", face(embedding, name=name_of(number), accept_lookalike=True))
    return embeddings


def name_of(number: int) -> str:
    return f"the name of person {number}."


def in_files(server: PostgresServer, what: bytes) -> bool:
    """Tell whether some bytes are in a file of the tables, after all is written to them."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return any(what in file.read_bytes() for file in server.tables.rglob("*") if file.is_file())


def vacuum(server: PostgresServer, schema: str) -> None:
    """Do at once what the autovacuum daemon does when it next looks: it does so after the first deleted row."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        tables = connection.execute(
            """SELECT relname, reloptions @> '{autovacuum_vacuum_threshold=0,autovacuum_vacuum_scale_factor=0}'
            FROM pg_class WHERE relnamespace = %s::REGNAMESPACE AND relkind = 'r'""",
            (schema,),
        ).fetchall()
        for table in (name for name, is_vacuumed_soon in tables if is_vacuumed_soon):
            connection.execute(f"VACUUM {schema}.{table}".encode())


def test_the_embedding_and_the_name_of_a_deleted_person_are_in_no_table_after_the_next_vacuum(
    postgres_server: PostgresServer, store: PostgresStore, galleries: Galleries, people: Vector
) -> None:
    secrets = people[7].tobytes(), name_of(7).encode()
    assert all(in_files(postgres_server, each) for each in secrets)
    galleries.delete_subject("g", "s7")
    vacuum(postgres_server, store.database.schema)
    assert not any(in_files(postgres_server, each) for each in secrets)
    assert in_files(postgres_server, people[8].tobytes()), "the others are there"


def test_what_a_server_left_of_a_deleted_gallery_another_one_removes(
    postgres_server: PostgresServer, store: PostgresStore, galleries: Galleries, people: Vector
) -> None:
    store.delete_gallery("g", force=True, etag="")  # and dies before it removes the rows
    other = PostgresStore(postgres_server.url, schema=store.database.schema)
    other.scrub()
    with other.database.reading() as connection:
        for table in ("galleries", "subjects", "templates", "embeddings", "revisions"):
            assert connection.execute(f"SELECT COUNT(*) FROM {table}".encode()).fetchone() == (0,), table
    other.close()
    vacuum(postgres_server, store.database.schema)
    assert not in_files(postgres_server, people[3].tobytes())
