"""Servers with their galleries in one PostgreSQL: what one enrols the other finds, and what keeps one from starting."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import CENTRAL, Client, InvalidArgument, Unavailable
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from facet.cli.status.server_status import ask
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.waiting import until

if TYPE_CHECKING:
    from psycopg import Connection

    from tests.conftest import Pictures, Refused, Serve

URL = "FACET_GALLERY__POSTGRES_URL"
TABLES_LOCK = 0x46414345
"""The lock under which a server makes or changes its tables."""
FAILED, USAGE = 1, 2
FLAGS = ("--server.port", "0", "--models.objects", "none")

Attempt = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def schema() -> str:
    return f"s{uuid.uuid4().hex}"


def found(client: Client, picture: bytes, min_revision: str = "") -> list[str]:
    """The names that a server gives the faces in a picture."""
    answer = client.identify("team", picture, min_revision=min_revision)
    matches = (face.identification for face in answer.faces)
    return [match.candidates[0].display_name for match in matches if match.decision == pb.DECISION_MATCH]


def test_what_one_server_enrols_another_finds_also_while_the_database_is_away(
    serve: Serve, postgres_server: PostgresServer, schema: str, pictures: Pictures, tmp_path: Path
) -> None:
    flags = ("--models.objects", "none", "--gallery.postgres-schema", schema, "--gallery.postgres-timeout-seconds", "3")
    without_password = {URL: postgres_server.url.replace(f":{postgres_server.password}@", "@")}
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text(f"127.0.0.1:{postgres_server.port}:*:facet:{postgres_server.password}\n")
    first = serve(*flags, environment=without_password | {"PGPASSFILE": str(passwords)})
    secret = without_password | {"PGPASSWORD": postgres_server.password}
    second = serve(*flags, "--metrics.port", "0", environment=secret)
    readiness, metrics = (f"http://{second.said['metrics_address']}/{path}" for path in ("readyz", "metrics"))
    with Client(first.address) as one, Client(second.address) as other:
        one.create_gallery("team")
        enrolled = one.enroll("team", "yao", pictures.yaoming, face=CENTRAL, display_name="Yao Ming")
        assert found(other, pictures.yaoming, enrolled.revision) == ["Yao Ming"], "found by the first search"
        assert [each.subject_id for each in other.subjects("team")] == ["yao"]
        with pytest.raises(InvalidArgument, match="min_revision is not a revision"):
            found(other, pictures.yaoming, "yesterday")
        with stopped(postgres_server):
            until(lambda: read(readiness).startswith("DEGRADED"))
            assert "\nfacet_store_available 0.0\n" in read(metrics)
            assert "\nfacet_store_lag_seconds " in read(metrics)
            assert found(other, pictures.yaoming) == ["Yao Ming"]
            assert ask(other, second.address).problem == "STORAGE_UNAVAILABLE: the database cannot be used now"
            with pytest.raises(Unavailable) as refusal:
                other.enroll("team", "gdp", pictures.gdp, face=CENTRAL)
            assert refusal.value.reason == "STORAGE_UNAVAILABLE"
            assert refusal.value.retry_after is not None
            assert refusal.value.retry_after > 0
        until(lambda: read(readiness) == "ok\n")
        other.enroll("team", "gdp", pictures.gdp, face=CENTRAL)
        until(lambda: len(found(one, pictures.gdp)) == 1)
        info = str(other.server.GetServerInfo(GetServerInfoRequest()))
    for server in (first, second):
        assert server.stop() == 0
        assert f'{postgres_server.port}/postgres", "schema": "{schema}"' in server.log.read_text("utf-8")
        assert postgres_server.password not in f"{info}{server.said}{server.log.read_text('utf-8')}"


def test_a_server_that_cannot_use_its_database_says_so_in_one_line(
    refused: Refused, postgres_server: PostgresServer, schema: str
) -> None:
    url, place = postgres_server.url, f"127.0.0.1:{postgres_server.port}"
    password = postgres_server.password

    def why(url: str, *flags: str) -> str:
        result = refused(*FLAGS, "--gallery.postgres-schema", schema, *flags, environment={URL: url})
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("serve.py: ")]
        assert result.returncode == FAILED
        assert "Traceback" not in result.stderr
        assert password not in result.stderr
        assert not result.stdout
        return line

    wrong = why(url.replace(password, "hunter2"))
    assert f"PostgreSQL {place}/postgres cannot be used" in wrong
    assert "password authentication failed" in wrong
    assert "the user or the password is wrong, check both in gallery.postgres_url" in wrong
    assert "hunter2" not in wrong
    assert "Connection refused" in why(url.replace(place, "127.0.0.1:1"))
    with tempfile.TemporaryDirectory(prefix="facet-postgres-", ignore_cleanup_errors=True) as folder:
        replica = PostgresServer(Path(folder), primary=postgres_server)
        try:
            refusal = why(replica.url)
        finally:
            replica.stop()
    assert "is a read-only replica; name the primary, or add target_session_attrs=read-write" in refusal

    role = f"guest_{schema}"
    guest = url.replace(f"facet:{password}", f"{role}:guest")
    with connected(postgres_server) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'guest'".encode())
        assert "its user lacks a right; docs/scale.md lists those" in why(guest)
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        connection.execute(f"CREATE TABLE {schema}.invoices (amount INTEGER)".encode())
        assert "has tables of something else; name another one in gallery.postgres_schema" in why(url)
        connection.execute(f"CREATE TABLE {schema}.facet (version INTEGER)".encode())
        connection.execute(f"INSERT INTO {schema}.facet VALUES (999)".encode())
        assert "has schema version 999; this version knows up to" in why(url)
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
        connection.execute(f"GRANT SELECT ON {schema}.facet TO {role}".encode())
        assert "its user lacks a right; docs/scale.md lists those" in why(guest)


def close_standard_input(process: subprocess.Popen[str]) -> None:
    """As the end of the program that started it does."""
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None


@pytest.mark.parametrize("tell", [subprocess.Popen.terminate, close_standard_input])
def test_a_server_that_is_told_to_stop_while_it_loads_stops_at_once(
    tell: Callable[[subprocess.Popen[str]], None], postgres_server: PostgresServer, schema: str, tmp_path: Path
) -> None:
    """It waits for the tables, which another server seems to be changing."""
    flags = (*FLAGS, "--gallery.postgres-schema", schema, "--gallery.database", str(tmp_path / "facet.sqlite3"))
    command = [sys.executable, "-m", "facet.cli", "serve", "--json", "--until-eof", *flags]
    with connected(postgres_server) as connection:
        connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (TABLES_LOCK, schema))
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, URL: postgres_server.url},
        ) as process:
            until(lambda: connection.execute(waiting).fetchone() is not None, "it does not wait")
            tell(process)
            said, told = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert "serving" not in told
    assert "Traceback" not in told


def test_a_server_has_one_store(refused: Refused) -> None:
    url = "postgresql://facet:hidden@127.0.0.1:1/facet"
    result = refused(*FLAGS, "--gallery.milvus-uri", "http://127.0.0.1:1", environment={URL: url})
    assert result.returncode == USAGE
    (line,) = result.stderr.splitlines()
    assert "gallery.milvus_uri and gallery.postgres_url exclude each other" in line
    assert "hidden" not in line


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as response:
        text: str = response.read().decode()
    return text


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def connected(server: PostgresServer) -> Iterator[Connection]:
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        yield connection
