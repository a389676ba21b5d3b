"""A primary that is killed while two servers enrol, and a synchronous standby that takes over."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from gallery.errors import StorageError
from gallery.galleries import Galleries
from tests.integration.gallery.following.conftest import MAX_TEMPLATES
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face
from tests.waiting import until

CLIENTS = 4
ENROLLED = 15
"""Enrolments that are acknowledged before the primary dies, and again afterwards."""


@pytest.mark.usefixtures("postgres_server")  # skips the test where no PostgreSQL is installed
def test_a_failover_to_a_synchronous_standby_loses_no_acknowledged_enrolment_and_makes_no_other_one() -> None:
    from facet.benchmarks.galleries.postgres.replicated_server import temporary_replicated_server

    with temporary_replicated_server() as database:
        schema = f"s{uuid.uuid4().hex}"
        with closing(opened(database.url, schema)) as one, closing(opened(database.url, schema)) as other:
            one.create_gallery("g", display_name="", threshold=0.5)
            servers = one, other
            clients = Clients(servers)
            with ThreadPoolExecutor(CLIENTS) as pool:
                running = [pool.submit(clients.enroll, which) for which in range(CLIENTS)]
                try:
                    clients.wait_for_more()
                    database.primary.kill_9()
                    until(lambda: all(is_away(server) for server in servers), "a server did not notice")
                    known = set(clients.acknowledged)
                    for server in servers:
                        assert found(server) & known
                    database.promote()
                    until(lambda: not any(is_away(server) for server in servers), "a server did not recover")
                    clients.wait_for_more()
                finally:
                    clients.is_over.set()
                for each in running:
                    each.result()
            with closing(opened(database.url, schema)) as fresh:
                stored = found(fresh)
            assert clients.acknowledged <= stored <= clients.tried
            for server in servers:
                until(lambda server=server: found(server) == stored, "others are found than are stored")  # type: ignore[misc]


class Clients:
    """They enrol people at servers in turns until it is over, and come again when a server refuses."""

    def __init__(self, servers: tuple[Galleries, ...]) -> None:
        self._servers = servers
        self.acknowledged: set[str] = set()
        self.tried: set[str] = set()
        self.is_over = threading.Event()

    def enroll(self, which: int) -> None:
        rng = np.random.default_rng(which)
        server = self._servers[which % len(self._servers)]
        number = 0
        while not self.is_over.is_set():
            subject_id = f"s{which}-{number}"
            number += 1
            self.tried.add(subject_id)
            try:
                embedding = rng.normal(size=DIMENSION).astype(np.float32)
                server.enroll("g", subject_id, face(embedding, accept_lookalike=True))
            except StorageError:
                self.is_over.wait(0.05)  # as a client that tries again later
            else:
                self.acknowledged.add(subject_id)

    def wait_for_more(self) -> None:
        wanted = len(self.acknowledged) + ENROLLED
        until(lambda: len(self.acknowledged) >= wanted, "nothing is enrolled")


def opened(url: str, schema: str) -> Galleries:
    from gallery.stores.postgres.postgres_store import PostgresStore

    store = PostgresStore(url, schema=schema, timeout=5)
    return Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=MAX_TEMPLATES)


def is_away(server: Galleries) -> bool:
    return server.follower is not None and server.follower.failure is not None


def found(server: Galleries) -> set[str]:
    """Return whom a search finds, if it takes everybody."""
    (result,) = server.search("g", axis(0)[None], top_k=10_000)
    return {each.subject_id for each in result.candidates}
