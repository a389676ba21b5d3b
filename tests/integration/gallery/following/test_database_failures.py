"""A database that dies while two servers enrol: what was acknowledged stays, and what is found is what is stored."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import psycopg
import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import ContractMismatch, StorageAway, StorageBusy, StorageError
from gallery.galleries import Galleries
from gallery.opened.open_gallery import OpenGallery
from gallery.stores.postgres.postgres_store import PostgresStore
from tests.integration.gallery.following.conftest import MAX_TEMPLATES, Open
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, best_match, face
from tests.waiting import until

CLIENTS = 4
KILLS = 3
BETWEEN_KILLS = 15
"""Enrolments that are acknowledged between two kills."""


def test_no_acknowledged_enrolment_is_lost_and_no_other_is_found_when_the_database_is_killed(
    servers: tuple[Galleries, Galleries], open_server: Open, postgres_server: PostgresServer
) -> None:
    acknowledged: set[str] = set()
    tried: set[str] = set()
    is_over = threading.Event()

    def enroll(which: int) -> None:
        rng = np.random.default_rng(which)
        number = 0
        while not is_over.is_set():
            vector = rng.normal(size=DIMENSION).astype(np.float32)
            subject_id = f"s{which}-{number}"
            number += 1
            tried.add(subject_id)
            try:
                servers[which % 2].enroll("g", subject_id, face(vector, accept_lookalike=True))
            except StorageError:
                is_over.wait(0.05)  # as a client that tries again later
            else:
                acknowledged.add(subject_id)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(enroll, which) for which in range(CLIENTS)]
        try:
            for _ in range(KILLS):
                wanted = len(acknowledged) + BETWEEN_KILLS
                until(lambda wanted=wanted: len(acknowledged) >= wanted, "nothing is enrolled")  # type: ignore[misc]
                postgres_server.kill()
                postgres_server.start()
            wanted = len(acknowledged) + BETWEEN_KILLS
            until(lambda: len(acknowledged) >= wanted, "the database is not used again")
        finally:
            is_over.set()
        for client in clients:
            client.result()
    stored = subjects(open_server())
    assert acknowledged <= stored <= tried
    for server in servers:
        until(matches(server, stored), "a server finds other people than are stored")


def matches(server: Galleries, stored: set[str]) -> Callable[[], bool]:
    return lambda: subjects(server) == stored


def subjects(server: Galleries) -> set[str]:
    """Return whom a search finds, if it takes everybody."""
    (found,) = server.search("g", axis(0)[None], top_k=10_000)
    return {each.subject_id for each in found.candidates}


def execute(galleries: Galleries, *statements: str) -> None:
    """Change the database behind the back of the servers."""
    store: PostgresStore = galleries._store  # type: ignore[assignment]
    with store.database.writing() as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_gallery_that_cannot_be_read_keeps_no_other_from_being_followed_or_changed(
    servers: tuple[Galleries, Galleries],
) -> None:
    one, other = servers
    one.create_gallery("h", display_name="", threshold=0.5)
    one.enroll("g", "ann", face(axis(1)))
    until(lambda: subjects(other) == {"ann"})
    execute(
        one,
        "UPDATE embeddings SET embedding = '\\x00'",
        """INSERT INTO revisions (gallery_key, revision, time, subject_count, template_count, subject_ids)
        SELECT gallery_key, max(revision) + 1, max(time), 1, 1, '{ann}' FROM revisions
        WHERE gallery_key = (SELECT key FROM galleries WHERE gallery_id = 'g') GROUP BY gallery_key""",
    )
    until(lambda: other.follower is not None and other.follower.failure is not None, "nobody noticed")
    one.enroll("h", "bob", face(axis(2)))
    until(lambda: best_match(other, axis(2), "h") == "bob", "the other gallery is not followed")
    other.enroll("h", "cid", face(axis(3)))
    with pytest.raises(StorageError):
        other.enroll("g", "dan", face(axis(4)))


@pytest.mark.parametrize("changes_since", [0, 1, 3])
def test_a_database_that_has_lost_its_last_transactions_is_loaded_anew(
    servers: tuple[Galleries, Galleries], changes_since: int
) -> None:
    """As when a standby is promoted that lacked them, also if as many changes were made since."""
    one, other = servers
    one.enroll("g", "ann", face(axis(1)))
    one.enroll("g", "bob", face(axis(2)))
    until(lambda: subjects(other) == {"ann", "bob"})
    execute(
        one,
        "DELETE FROM subjects WHERE subject_id = 'bob'",
        "DELETE FROM revisions WHERE subject_ids = '{bob}'",
        *(
            f"""INSERT INTO revisions (gallery_key, revision, time, subject_count, template_count, subject_ids)
            SELECT gallery_key, max(revision) + 1, {time.time_ns() // 1000}, 1, 1, '{{}}' FROM revisions
            GROUP BY gallery_key"""
            for _ in range(changes_since)
        ),
    )
    for server in servers:
        until(lambda server=server: subjects(server) == {"ann"}, "a person who is not stored is found")  # type: ignore[misc]


def test_a_database_that_is_frozen_is_not_waited_for_without_end_and_searches_go_on(
    postgres_server: PostgresServer,
) -> None:
    """Its processes are stopped: the connections stay open, and the kernel acknowledges what is sent."""
    store = PostgresStore(postgres_server.url, schema=f"s{uuid.uuid4().hex}", timeout=1)
    server = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=MAX_TEMPLATES)
    server.create_gallery("g", display_name="", threshold=0.5)
    server.enroll("g", "ann", face(axis(1)))
    frozen = postgres_server.processes
    for process_id in frozen:
        os.kill(process_id, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            tries = [pool.submit(server.enroll, "g", f"s{each}", face(axis(each + 2))) for each in range(CLIENTS)]
            until(lambda: subjects(server) == {"ann"}, "a search waits for the database")
            for each in tries:
                with pytest.raises(StorageError):
                    each.result()
    finally:
        for process_id in frozen:
            os.kill(process_id, signal.SIGCONT)
    until(lambda: server.follower is not None and server.follower.failure is None, "it is not followed again")
    server.enroll("g", "bob", face(axis(10)))
    server.close()


def test_nobody_waits_for_an_unknown_or_a_new_gallery_while_the_database_is_away(
    servers: tuple[Galleries, Galleries], postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = servers
    postgres_server.stop()
    try:
        until(lambda: isinstance(one.follower and one.follower.failure, StorageAway), "nobody noticed")
        with one._registry.create_lock:
            with pytest.raises(StorageAway):
                one.threshold("h")
            with pytest.raises(StorageAway):
                one.create_gallery("h", display_name="", threshold=0.5)
    finally:
        postgres_server.start()
    until(lambda: is_created(other, "h"), "the database is not used again")
    until(lambda: knows(one, "h"), "a gallery that was created since is not followed")
    monkeypatch.setattr("gallery.opened.registry.OPEN_SECONDS", 0.01)
    with one._registry.create_lock, pytest.raises(StorageBusy, match="being opened"):
        one.threshold("i")


def test_a_gallery_is_changed_elsewhere_while_a_server_that_changes_it_must_load_it_first(
    servers: tuple[Galleries, Galleries], open_server: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was away for so long that what has changed is not known any more, and its own change is the first it hears."""
    one, behind = servers[0], open_server()
    assert behind.follower is not None
    behind.follower._is_closed.set()
    behind.follower._thread.join()
    one.enroll("g", "ann", face(axis(1)))
    execute(one, "UPDATE revisions SET subject_ids = NULL")
    loads, reload = [], behind._registry.reload

    def enroll_and_load(opened: OpenGallery) -> None:
        loads.append(one.enroll("g", "bob", face(axis(2))))
        reload(opened)

    monkeypatch.setattr(behind._registry, "reload", enroll_and_load)
    behind.enroll("g", "cid", face(axis(3)))
    assert len(loads) == 1
    behind.corrections.merge("g", "ann", "cid")
    assert subjects(behind) == {"bob", "cid"} == subjects(open_server())


class Errors:
    """A log of the errors that a server tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def error(self, event: str, **_: object) -> None:
        self.told.append(event)

    def info(self, event: str, **_: object) -> None:
        """Not kept."""


def test_a_connection_that_breaks_by_itself_is_no_failure_of_the_database(postgres_server: PostgresServer) -> None:
    errors, schema = Errors(), f"s{uuid.uuid4().hex}"
    server, other = (
        Galleries(
            PostgresStore(postgres_server.url, schema=schema, timeout=5),
            contract=CONTRACT,
            dimension=DIMENSION,
            max_templates_per_subject=MAX_TEMPLATES,
            log=log,
        )
        for log in (errors, Errors())
    )
    with psycopg.connect(postgres_server.url, autocommit=True) as administrator:
        breaking = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'facet' AND query NOT LIKE 'LISTEN%'"
        )
        for number in range(3):
            administrator.execute(breaking)
            gallery_id = f"g{number}"
            until(lambda gallery_id=gallery_id: is_created(other, gallery_id), "no connection works")  # type: ignore[misc]
            until(lambda gallery_id=gallery_id: knows(server, gallery_id), "it does not follow any more")  # type: ignore[misc]
    assert errors.told == []
    for each in (server, other):
        each.close()


def is_created(server: Galleries, gallery_id: str) -> bool:
    try:
        server.create_gallery(gallery_id, display_name="", threshold=0.5)
    except StorageError:
        return False
    return True


def knows(server: Galleries, gallery_id: str) -> bool:
    """Tell whether a server has followed the creation of a gallery by itself."""
    return any(each.gallery_id == gallery_id for each in server._registry.opened())


def test_an_import_does_not_keep_a_server_with_few_connections_from_searching(
    postgres_server: PostgresServer,
) -> None:
    store = PostgresStore(postgres_server.url, schema=f"s{uuid.uuid4().hex}", timeout=1, connections=2)
    server = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=MAX_TEMPLATES)
    server.create_gallery("g", display_name="", threshold=0.5)
    server.enroll("g", "ann", face(axis(1)))
    gallery = server.get_gallery("g")
    with ExitStack() as imports:
        for gallery_id in ("h", "i"):
            imports.callback(store.begin_import(replace(gallery, gallery_id=gallery_id)).abort)
        with pytest.raises(StorageBusy):
            server.enroll("g", "bob", face(axis(2)))
        assert subjects(server) == {"ann"}
    server.enroll("g", "bob", face(axis(2)))
    server.close()


def test_a_gallery_that_another_server_holds_for_too_long_is_busy(
    servers: tuple[Galleries, Galleries], postgres_server: PostgresServer
) -> None:
    one, _ = servers
    store: PostgresStore = one._store  # type: ignore[assignment]
    impatient = PostgresStore(postgres_server.url, schema=store.database.schema, timeout=1)
    with store.feed.exclusive("g"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: impatient.feed.exclusive("g").__enter__())
        with pytest.raises(StorageBusy):
            waiting.result()
    impatient.close()


def test_a_server_with_another_model_refuses_the_galleries_and_says_why(
    servers: tuple[Galleries, Galleries], postgres_server: PostgresServer
) -> None:
    one, _ = servers
    one.enroll("g", "ann", face(axis(1)))
    store: PostgresStore = one._store  # type: ignore[assignment]
    other = Galleries(
        PostgresStore(postgres_server.url, schema=store.database.schema),
        contract="of-another-model",
        dimension=DIMENSION,
        max_templates_per_subject=5,
    )
    assert other.get_gallery("g").contract == CONTRACT
    with pytest.raises(ContractMismatch):
        other.search("g", axis(1)[None], top_k=1)
    other.close()
