"""A database that dies while two servers enrol: what was acknowledged stays, and what is found is what is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import ContractMismatch, StorageError
from gallery.galleries import Galleries
from gallery.stores.postgres.postgres_store import PostgresStore
from tests.integration.gallery.following.conftest import Open
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face
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
