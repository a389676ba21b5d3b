"""Several processes on one Milvus: some die, and Milvus dies."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.benchmarks.galleries.milvus.milvus_server import MilvusServer
from gallery.errors import GalleryExists, StorageUnavailable
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.stores.milvus.milvus_store import MilvusStore
from tests.faults.promises import Seen, promises

ROOT = Path(__file__).resolve().parents[5]
DIMENSION = 32
PREFIX = "replicas"
PATIENCE = 60

REPLICA = """
import sys
from tests.integration.gallery.stores.milvus.test_milvus_replicas import embedding, enrol, opened

uri, token, gallery_id, prefix = sys.argv[1:]
galleries = opened(uri, token)
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    enrol(galleries, gallery_id, f"{prefix}-{number}", embedding(prefix, number))
    print(number, flush=True)
"""


def opened(uri: str, token: str, *, timeout: float = 10.0) -> Galleries:
    store = MilvusStore(uri, token=token, prefix=PREFIX, timeout=timeout)
    return Galleries(store, contract="contract", dimension=DIMENSION, max_templates_per_subject=5)


def embedding(prefix: str, number: int) -> NDArray[np.float32]:
    values = np.random.default_rng([number, *prefix.encode()]).normal(size=DIMENSION)
    return np.asarray(values / np.linalg.norm(values), np.float32)


def enrol(galleries: Galleries, gallery_id: str, subject_id: str, of_face: NDArray[np.float32]) -> None:
    galleries.enroll(
        gallery_id, subject_id, Enrollment(of_face, "contract", subject_id, (0, 0, 9, 9), 1.0, accept_lookalike=True)
    )


def finds(galleries: Galleries, gallery_id: str, subject_id: str, of_face: NDArray[np.float32]) -> bool:
    (found,) = galleries.search(gallery_id, of_face[None], top_k=1)
    return found.decision is Decision.MATCH and found.candidates[0].subject_id == subject_id


def eventually_finds(galleries: Galleries, gallery_id: str, subject_id: str, of_face: NDArray[np.float32]) -> bool:
    until = time.monotonic() + PATIENCE
    while not finds(galleries, gallery_id, subject_id, of_face):
        if time.monotonic() > until:
            return False
    return True


class Replica:
    """A process that enrols the faces it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def request(self, number: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def replica(server: MilvusServer, gallery_id: str, prefix: str) -> Iterator[Replica]:
    command = [sys.executable, "-c", REPLICA, server.uri, server.token, gallery_id, prefix]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            made = Replica(process)
            assert made.answer() == "ready"
            yield made
        finally:
            process.kill()


@pytest.fixture
def galleries(milvus_server: MilvusServer) -> Iterator[Galleries]:
    made = opened(milvus_server.uri, milvus_server.token)
    yield made
    made.close()


@pytest.fixture
def gallery_id(galleries: Galleries) -> str:
    return galleries.create_gallery(f"g{uuid.uuid4().hex}", display_name="", threshold=0.9).gallery_id


def test_two_replicas_see_each_others_enrolments(
    milvus_server: MilvusServer, galleries: Galleries, gallery_id: str
) -> None:
    with replica(milvus_server, gallery_id, "other") as other:
        for number in range(5):
            other.request(number)
            assert other.answer() == str(number)
            assert eventually_finds(galleries, gallery_id, f"other-{number}", embedding("other", number))
            enrol(galleries, gallery_id, f"own-{number}", embedding("own", number))
        # A replica does not enrol again what the other enrolled: its check waits for earlier writes.
        for number in range(5):
            other.request(number)
            assert other.answer() == str(number)
    assert galleries.get_gallery(gallery_id).template_count == 10


def test_acknowledged_enrolments_of_a_killed_replica_survive_and_others_are_complete_or_missing(
    milvus_server: MilvusServer, galleries: Galleries, gallery_id: str
) -> None:
    chance = random.Random(3)
    acknowledged: list[tuple[str, int]] = []
    requested: set[str] = set()
    for life in range(4):
        prefix = f"life{life}"
        with replica(milvus_server, gallery_id, prefix) as other:
            for number in range(6):
                other.request(number)
                requested.add(f"{prefix}-{number}")
                if number == 5:
                    # During the last enrolment, which waits some 50 ms before it writes.
                    killing = threading.Timer(chance.uniform(0, 0.12), other.process.kill)
                    killing.start()
                    killing.join()
                if answer := other.answer():
                    acknowledged.append((prefix, int(answer)))
    assert len(acknowledged) >= 20
    for prefix, number in acknowledged:
        assert eventually_finds(galleries, gallery_id, f"{prefix}-{number}", embedding(prefix, number))
    subjects = galleries.list_subjects(gallery_id, page_size=100).items
    assert (
        {f"{prefix}-{number}" for prefix, number in acknowledged} <= {each.subject_id for each in subjects} <= requested
    )
    assert {each.template_count for each in subjects} == {1}
    for each in subjects:
        prefix, _, number_text = each.subject_id.partition("-")
        assert finds(galleries, gallery_id, each.subject_id, embedding(prefix, int(number_text)))


def test_replicas_can_start_on_an_empty_milvus_at_the_same_time(milvus_server: MilvusServer) -> None:
    def start(number: int) -> str:
        store = MilvusStore(milvus_server.uri, token=milvus_server.token, prefix=prefix)
        try:
            galleries = Galleries(store, contract="contract", dimension=DIMENSION, max_templates_per_subject=5)
            gallery_id = galleries.create_gallery(f"g{number}", display_name="", threshold=0.9).gallery_id
            enrol(galleries, gallery_id, "ann", embedding("ann", number))
            assert finds(galleries, gallery_id, "ann", embedding("ann", number))
            return gallery_id
        finally:
            store.close()

    prefix = f"p{uuid.uuid4().hex}"
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(start, range(3))) == ["g0", "g1", "g2"]


def test_at_most_one_of_several_replicas_creates_a_gallery(
    milvus_server: MilvusServer,
) -> None:
    several = [opened(milvus_server.uri, milvus_server.token) for _ in range(3)]
    try:
        with ThreadPoolExecutor(3) as threads:
            for _ in range(5):
                wanted = f"g{uuid.uuid4().hex}"
                start = threading.Barrier(3)

                def create(galleries: Galleries, wanted: str = wanted, start: threading.Barrier = start) -> bool:
                    start.wait()
                    try:
                        galleries.create_gallery(wanted, display_name="", threshold=0.5)
                    except GalleryExists:
                        return False
                    return True

                assert sum(threads.map(create, several)) == 1
    finally:
        for each in several:
            each.close()


@promises(
    "network",
    "Milvus is killed and started again",
    "searches and enrolments are refused with STORAGE_UNAVAILABLE within their time limit; once Milvus is back, so is "
    "everything acknowledged, without a restart of Facet",
)
def test_a_replica_recovers_when_milvus_dies_and_restarts(
    milvus_server: MilvusServer, gallery_id: str, seen: Seen
) -> None:
    galleries = opened(milvus_server.uri, milvus_server.token, timeout=3.0)
    try:
        for number in range(5):
            enrol(galleries, gallery_id, f"s-{number}", embedding("s", number))
        milvus_server.kill()
        # Milvus starts again only after both calls, so each ends by its own time limit.
        with pytest.raises(StorageUnavailable):
            galleries.search(gallery_id, embedding("s", 0)[None], top_k=1)
        with pytest.raises(StorageUnavailable):
            enrol(galleries, gallery_id, "unheard", embedding("unheard", 0))
        milvus_server.start_again()
        until = time.monotonic() + PATIENCE
        while True:
            try:
                assert all(finds(galleries, gallery_id, f"s-{number}", embedding("s", number)) for number in range(5))
                break
            except StorageUnavailable:
                assert time.monotonic() < until
        enrol(galleries, gallery_id, "afterwards", embedding("afterwards", 0))
        assert finds(galleries, gallery_id, "afterwards", embedding("afterwards", 0))
        assert galleries.get_gallery(gallery_id).subject_count == 6
        seen("both refused while it was down; then all 5 people found, and a sixth enrolled")
    finally:
        galleries.close()
