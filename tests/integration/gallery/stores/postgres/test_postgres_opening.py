"""Which databases a server takes: a schema that its role owns, and the primary among standbys; never a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer, temporary_server
from gallery.errors import StorageUnavailable

if TYPE_CHECKING:
    from psycopg import Connection

    from gallery.stores.postgres.postgres_store import PostgresStore


def opened(url: str, schema: str) -> PostgresStore:
    from gallery.stores.postgres.postgres_store import PostgresStore

    return PostgresStore(url, schema=schema)


def test_a_role_needs_no_more_than_a_schema_of_its_own(postgres_server: PostgresServer, schema: str) -> None:
    with connected(postgres_server) as connection:
        connection.execute(f"CREATE ROLE role_{schema} LOGIN PASSWORD 'own'".encode())
        connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION role_{schema}".encode())
    url = postgres_server.url.replace(f"facet:{postgres_server.password}", f"role_{schema}:own")
    for _ in range(2):
        store = opened(url, schema)
        store.check()
        store.close()


def test_a_replica_is_refused_and_the_primary_is_found_beside_it(postgres_server: PostgresServer, schema: str) -> None:
    with temporary_server() as standby:
        with connected(standby) as connection:
            # The password of the primary, as a replica has it.
            connection.execute(f"ALTER ROLE facet PASSWORD '{postgres_server.password}'".encode())
        standby.password = postgres_server.password
        standby.stop()
        (standby.tables.parent / "standby.signal").touch()
        standby.start()
        with pytest.raises(StorageUnavailable, match="is a read-only replica; name the primary, or add"):
            opened(standby.url, schema)
        primary, replica = (f"127.0.0.1:{server.port}" for server in (postgres_server, standby))
        both = postgres_server.url.replace(primary, f"{replica},{primary}")
        store = opened(f"{both}?target_session_attrs=read-write", schema)
        store.check()
        store.close()


def connected(server: PostgresServer) -> Connection:
    import psycopg

    return psycopg.connect(server.url, autocommit=True)
