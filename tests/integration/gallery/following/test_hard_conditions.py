"""A connection that is cut or slow, a clock that jumps and a full disk of the database."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import StorageError, StorageFull
from gallery.galleries import Galleries
from gallery.stores.postgres.postgres_store import PostgresStore
from gallery.times import now
from tests.integration.gallery.following.conftest import MAX_TEMPLATES, Open
from tests.integration.gallery.following.cutting_proxy import CuttingProxy
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, best_match, between, face
from tests.waiting import until

CUTS = 8
"""Messages that pass before a connection is cut, at the most; an enrolment has fewer."""
MOST_ENROLLED = 2000


class JumpingClock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead


@pytest.fixture
def schema() -> str:
    return f"s{uuid.uuid4().hex}"


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[CuttingProxy]:
    with closing(CuttingProxy(postgres_server.port)) as proxy:
        yield proxy


@pytest.fixture
def behind_proxy(postgres_server: PostgresServer, proxy: CuttingProxy, schema: str) -> Iterator[Galleries]:
    url = postgres_server.url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
    with closing(opened(url, schema)) as galleries:
        galleries.create_gallery("g", display_name="", threshold=0.5)
        yield galleries


def test_an_enrolment_whose_connection_is_cut_is_acknowledged_or_fails_and_can_be_repeated(
    behind_proxy: Galleries, proxy: CuttingProxy, postgres_server: PostgresServer, schema: str
) -> None:
    failures = 0
    for messages in range(CUTS):
        vector = between(axis(0), axis(messages + 1), 0.3)
        enrolment = face(vector, request_id=f"r{messages}", digest=f"d{messages}", accept_lookalike=True)
        until(lambda: not is_away(behind_proxy), "it did not connect again")
        proxy.cut_after(messages)
        try:
            acknowledged = behind_proxy.enroll("g", f"s{messages}", enrolment).template.template_id
        except StorageError:
            failures += 1
            acknowledged = None
        until(lambda: repeated(behind_proxy, f"s{messages}", enrolment) is not None, "it cannot be repeated")  # noqa: B023
        again = repeated(behind_proxy, f"s{messages}", enrolment)
        assert acknowledged in (None, again)
    assert failures
    with closing(opened(postgres_server.url, schema)) as fresh:
        counts = {each.subject_id: each.template_count for each in fresh.list_subjects("g", page_size=100).items}
        assert counts == {f"s{messages}": 1 for messages in range(CUTS)}
        assert found(fresh) == found(behind_proxy) == set(counts)


def test_a_database_that_answers_too_slowly_fails_changes_in_time_and_no_search(
    behind_proxy: Galleries, proxy: CuttingProxy
) -> None:
    behind_proxy.enroll("g", "ann", face(axis(1)))
    proxy.flows.clear()
    with pytest.raises(StorageError):
        behind_proxy.enroll("g", "bob", face(axis(2)))
    assert best_match(behind_proxy, axis(1)) == "ann"
    until(lambda: is_away(behind_proxy), "the follower did not notice")
    proxy.flows.set()
    until(lambda: not is_away(behind_proxy), "it did not recover")
    behind_proxy.enroll("g", "bob", face(axis(2)))
    assert found(behind_proxy) == {"ann", "bob"}


@pytest.mark.parametrize("hours", [1, -1])
def test_a_server_whose_clock_is_wrong_for_a_while_follows_and_is_followed(
    open_server: Open, postgres_server: PostgresServer, hours: int
) -> None:
    right = open_server()
    right.create_gallery("g", display_name="", threshold=0.5)
    schema = right._store.database.schema  # type: ignore[attr-defined]
    clock = JumpingClock()
    with closing(opened(postgres_server.url, schema, clock)) as wrong:
        servers = right, wrong
        for number, ahead in enumerate((0, hours, 0)):
            clock.ahead = timedelta(hours=ahead)
            for which, server in enumerate(servers):
                server.enroll("g", f"s{number}-{which}", face(axis(2 * number + which)))
            wrong.follower._feed.prune()  # type: ignore[union-attr]
            everybody = {f"s{each}-{which}" for each in range(number + 1) for which in range(2)}
            for server in servers:
                until(lambda server=server: found(server) == everybody, "not all are found")  # type: ignore[misc]  # noqa: B023
        right.delete_subject("g", "s1-1")
        until(lambda: "s1-1" not in found(wrong), "a person who was deleted is found")


def test_what_expires_does_so_by_the_clock_of_each_server(open_server: Open, postgres_server: PostgresServer) -> None:
    right = open_server()
    right.create_gallery("g", display_name="", threshold=0.5)
    schema = right._store.database.schema  # type: ignore[attr-defined]
    clock = JumpingClock()
    with closing(opened(postgres_server.url, schema, clock)) as wrong:
        right.enroll("g", "ann", replace(face(axis(1)), expire_time=now() + timedelta(minutes=30)))
        right.enroll("g", "bob", face(axis(2)))
        until(lambda: found(wrong) == {"ann", "bob"})
        clock.ahead = timedelta(hours=1)
        assert found(wrong) == {"bob"}
        assert found(right) == {"ann", "bob"}
        clock.ahead = timedelta()
        wrong.enroll("g", "cid", face(axis(3)))
        until(lambda: found(right) == {"ann", "bob", "cid"}, "who had expired elsewhere only is gone")


def test_a_full_disk_of_the_database_refuses_enrolments_and_loses_none(schema: str) -> None:
    with small_disk() as (server, disk):
        url = f"{server.url}?options=-cdefault_tablespace%3Dsmall"
        with closing(opened(url, schema)) as one, closing(opened(url, schema)) as other:
            one.create_gallery("g", display_name="", threshold=0.5)
            filler = disk / "filler"
            with pytest.raises(OSError, match="No space left"):
                fill(filler)
            acknowledged: set[str] = set()
            with pytest.raises(StorageFull, match="a disk of the database is full"):
                enroll_many(one, acknowledged)
            for galleries in (one, other):
                until(lambda galleries=galleries: found(galleries) == acknowledged, "others are found")  # type: ignore[misc]
            filler.unlink()
            one.enroll("g", "last", face(axis(2)))
            until(lambda: found(other) == {*acknowledged, "last"}, "it is not followed again")
            with closing(opened(url, schema)) as fresh:
                assert found(fresh) == {*acknowledged, "last"}


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def enroll_many(server: Galleries, acknowledged: set[str]) -> None:
    """Enrol people until one is refused; tell who was not."""
    for number in range(MOST_ENROLLED):
        subject_id = f"s{number}"
        server.enroll("g", subject_id, face(axis(1), picture=subject_id, accept_lookalike=True))
        acknowledged.add(subject_id)


@contextmanager
def small_disk() -> Iterator[tuple[PostgresServer, Path]]:
    """A server with the tablespace "small" on a disk of its own of 8 MiB."""
    with tempfile.TemporaryDirectory(prefix="facet-postgres-") as folder:
        disk = Path(folder) / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(disk)]
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
        if mounted.returncode != 0:
            pytest.skip(f"needs the right to mount a small disk: {mounted.stderr.strip()}")
        server = PostgresServer(Path(folder) / "server")
        try:
            place = disk / "tablespace"
            place.mkdir()
            shutil.chown(place, "postgres", "postgres")
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
            yield server, disk
        finally:
            server.stop()
            subprocess.run(["umount", disk], check=True)


def opened(url: str, schema: str, clock: JumpingClock | None = None) -> Galleries:
    time = clock or now
    return Galleries(
        PostgresStore(url, schema=schema, timeout=1, clock=time),
        contract=CONTRACT,
        dimension=DIMENSION,
        max_templates_per_subject=MAX_TEMPLATES,
        clock=time,
    )


def is_away(server: Galleries) -> bool:
    return server.follower is not None and server.follower.failure is not None


def found(server: Galleries) -> set[str]:
    """Return whom a search finds, if it takes everybody."""
    (result,) = server.search("g", axis(0)[None], top_k=10_000)
    return {each.subject_id for each in result.candidates}


def repeated(server: Galleries, subject_id: str, enrolment: object) -> str | None:
    """Send an enrolment again; return its template, or ``None`` if it failed."""
    try:
        return server.enroll("g", subject_id, enrolment).template.template_id  # type: ignore[arg-type]
    except StorageError:
        return None
