"""Which databases a server takes: a schema that its role owns, and the primary among standbys; never a replica."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer, temporary_server
from gallery.errors import StorageUnavailable
from tests.waiting import until

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


@pytest.fixture
def role(postgres_server: PostgresServer, schema: str) -> str:
    """A role that logs in with the password of the server."""
    name = f"role_{schema}"
    with connected(postgres_server) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{postgres_server.password}'".encode())
    return name


def test_what_keeps_a_server_from_connecting_is_said_with_what_helps(
    postgres_server: PostgresServer, schema: str, role: str
) -> None:
    from psycopg.conninfo import make_conninfo

    def why(**parts: str | int) -> str:
        with pytest.raises(StorageUnavailable) as refused:
            opened(make_conninfo(postgres_server.url, **parts), schema)
        said = str(refused.value)
        assert postgres_server.password not in said
        assert "?" not in said.replace("?sslmode", "")
        assert "\n" not in said
        return said

    name = f"PostgreSQL 127.0.0.1:{postgres_server.port}/postgres cannot be used: "
    assert why(password="wrong") == (
        f'{name}password authentication failed for user "facet"; the user or the password is wrong, check both in '
        "gallery.postgres_url"
    )
    assert 'database "none" does not exist; create the database, or name another one' in why(dbname="none")
    assert "; check the name of the host in gallery.postgres_url" in why(host="host.invalid")
    assert ": Connection refused; check that it runs, and the host and port in gallery.postgres_url" in why(port=1)
    assert "; switch TLS on in the database, or remove sslmode from" in why(sslmode="require")
    with connected(postgres_server) as connection:
        connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0".encode())
        assert "; lower gallery.postgres_connections of all servers, or raise its limit" in why(user=role)
        connection.execute(f"ALTER ROLE {role} NOLOGIN".encode())
        assert "; let the role log in: ALTER ROLE ... LOGIN" in why(user=role)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        assert "timeout expired; check that it runs, that a firewall lets this machine in" in why(
            port=silent.getsockname()[1], connect_timeout=2
        )
    assert "; name target_session_attrs=read-write in" in why(target_session_attrs="read-only")


def test_a_database_that_lets_a_server_in_no_more_says_why(
    postgres_server: PostgresServer, schema: str, role: str
) -> None:
    with connected(postgres_server) as connection:
        connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}".encode())
        store = opened(f"{postgres_server.url}?user={role}", schema)
        connection.execute(f"ALTER ROLE {role} PASSWORD 'renewed'".encode())

    def failure() -> str:
        with connected(postgres_server) as connection:  # each time: the store may have been about to connect before
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
        try:
            store.check()
        except StorageUnavailable as refused:
            return str(refused)
        return ""

    until(lambda: f'failed for user "{role}"; the user or the password is wrong' in failure())
    store.close()


def test_a_rule_of_the_database_that_lets_nobody_in_is_named(postgres_server: PostgresServer, schema: str) -> None:
    rules = postgres_server.tables.parent / "pg_hba.conf"
    before = rules.read_text("utf-8")
    try:
        rules.write_text(f"host all {schema} all trust\nhost {schema} all all reject\n{before}")
        with connected(postgres_server) as connection:
            connection.execute("SELECT pg_reload_conf()")
        url = postgres_server.url
        until(lambda: "its pg_hba.conf must let in this user and machine" in refusal(f"{url}?dbname={schema}", schema))
        unknown = refusal(f"{url}?user={schema}", schema)
        assert f'role "{schema}" does not exist; create the role, or name another user' in unknown
    finally:
        rules.write_text(before)
        with connected(postgres_server) as connection:
            connection.execute("SELECT pg_reload_conf()")


def refusal(url: str, schema: str) -> str:
    with pytest.raises(StorageUnavailable) as refused:
        opened(url, schema)
    return str(refused.value)


@pytest.mark.parametrize(
    ("failure", "helps"),
    [
        ("the database system is starting up", "try again once it accepts connections"),
        ("SSL error: certificate verify failed", "check sslrootcert"),
        ("server closed the connection unexpectedly", "check that it runs, and the host and port"),
        ("sorry, too many clients already", "lower gallery.postgres_connections"),
        ("die Passwort-Authentifizierung ist fehlgeschlagen", "check that it runs, and gallery.postgres_url"),
    ],
)
def test_what_cannot_be_brought_about_here_helps_likewise(failure: str, helps: str) -> None:
    from gallery.stores.postgres.connection.refusals import remedy

    assert remedy(failure).startswith(helps)


def connected(server: PostgresServer) -> Connection:
    import psycopg

    return psycopg.connect(server.url, autocommit=True)
