"""What expires while the database is away leaves the indexes in time, and searches go on."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import StorageError, SubjectNotFound, TooManyTemplates
from gallery.galleries import Galleries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import SubjectChange
from gallery.stores.feed import Revision
from tests.clocks import SetClock
from tests.integration.gallery.following.conftest import MAX_TEMPLATES, Open
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face
from tests.waiting import until

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EXPIRY = frozenset({"expire_time"})


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def open_server(postgres_server: PostgresServer, clock: SetClock) -> Iterator[Open]:
    """Open the galleries of one more server with the test's clock."""
    from gallery.stores.postgres.postgres_store import PostgresStore

    schema = f"s{uuid.uuid4().hex}"
    with ExitStack() as opened:

        def make() -> Galleries:
            galleries = Galleries(
                PostgresStore(postgres_server.url, schema=schema, timeout=5, clock=clock),
                contract=CONTRACT,
                dimension=DIMENSION,
                max_templates_per_subject=MAX_TEMPLATES,
                clock=clock,
            )
            opened.callback(galleries.close)
            return galleries

        yield make


@pytest.fixture
def away(postgres_server: PostgresServer) -> Iterator[ExitStack]:
    """Closed when the database shall be there again."""
    with ExitStack() as stack:
        yield stack


def expiring(enrollment: Enrollment, days: float) -> Enrollment:
    return replace(enrollment, expire_time=START + days * DAY)


def expiry(days: float) -> SubjectChange:
    return SubjectChange(EXPIRY, expire_time=START + days * DAY)


def found(server: Galleries, gallery_id: str = "g") -> dict[str, int]:
    """Return whom a search finds if it takes everybody, with the number of their templates."""
    (answer,) = server.search(gallery_id, axis(0)[None], top_k=10_000)
    index = server._registry.known(gallery_id).index_for(CONTRACT)  # type: ignore[union-attr]
    return {each.subject_id: len(index.template_similarities(each.subject_id, axis(0))) for each in answer.candidates}


def revisions(server: Galleries) -> dict[str, Revision]:
    return {each.gallery_id: each.stored_revision for each in server._registry.opened()}


def test_who_expires_while_the_database_is_away_is_not_found_and_the_others_are(
    open_server: Open, clock: SetClock, postgres_server: PostgresServer, away: ExitStack
) -> None:
    one, other = open_server(), open_server()
    one.create_gallery("g", display_name="", threshold=0.5)
    one.create_gallery("h", display_name="", threshold=0.5)
    one.change_gallery("h", GalleryChange(policy=GalleryPolicy(subject_retention=2 * DAY)))
    one.enroll("g", "ann", expiring(face(axis(1)), 1))
    one.enroll("g", "bob", face(axis(2)))
    one.enroll("g", "bob", expiring(face(axis(3)), 1))
    one.enroll("g", "later", expiring(face(axis(4)), 1))
    other.update_subject("g", "later", expiry(3))
    one.enroll("g", "sooner", expiring(face(axis(5)), 3))
    other.update_subject("g", "sooner", expiry(1))
    one.enroll("g", "again", expiring(face(axis(6)), 1))
    other.delete_subject("g", "again")
    one.enroll("g", "again", face(axis(7)))
    for number, subject_id in enumerate(("dan", "eve")):
        one.enroll("h", subject_id, face(axis(8 + number)))
        clock.time += DAY / 2
    clock.time = START + 0.9 * DAY
    consent = Consent(ConsentBasis.CONSENT, "form 1", clock.time)
    one.enroll("h", "eve", replace(face(axis(9)), consent=consent))
    until(lambda: revisions(one) == revisions(other), "a server does not follow the other")
    for server in (one, other):
        assert found(server) == {"ann": 1, "bob": 2, "later": 1, "sooner": 1, "again": 1}
        assert found(server, "h") == {"dan": 1, "eve": 1}
    postgres_server.stop()
    away.callback(postgres_server.start)
    for server in (one, other):
        with pytest.raises(StorageError):
            server.get_gallery("g")
        assert set(found(server)) == {"ann", "bob", "later", "sooner", "again"}
    clock.time = START + DAY
    for server in (one, other):
        assert found(server) == {"bob": 1, "later": 1, "again": 1}
    clock.time = START + 2.6 * DAY
    for server in (one, other):
        assert found(server, "h") == {"eve": 1}, "another consent lets her stay for longer"
    clock.time = START + 3 * DAY
    for server in (one, other):
        assert (found(server), found(server, "h")) == ({"bob": 1, "again": 1}, {})
    away.close()
    fresh = open_server()
    for server in (one, other):
        until(lambda server=server: server.follower.failure is None, "it is not followed again")  # type: ignore[misc]
        for gallery_id in ("g", "h"):
            assert found(server, gallery_id) == found(fresh, gallery_id)
    other.enroll("g", "ann", face(axis(1)))
    until(lambda: "ann" in found(one))


def test_a_server_that_knows_no_further_asks_ahead_and_otherwise_finds_nobody(
    open_server: Open,
    clock: SetClock,
    postgres_server: PostgresServer,
    away: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It knows of a few expiries at a time only, so that a policy for a million people costs no memory."""
    monkeypatch.setattr("gallery.opened.registry.AHEAD", 4)
    monkeypatch.setattr("gallery.opened.coming_expiries.AHEAD", 4)
    one = open_server()
    one.create_gallery("g", display_name="", threshold=0.5)
    for number in range(10):
        one.enroll("g", f"s{number}", expiring(face(axis(number)), number + 1))
    server = open_server()
    for days in (1, 2, 3):
        clock.time = START + days * DAY
        assert len(found(server)) == 10 - days
    coming = server._registry.known("g").coming  # type: ignore[union-attr]
    until(lambda: server._registry.known("g").coming is not coming, "it does not look ahead")  # type: ignore[union-attr]
    postgres_server.stop()
    away.callback(postgres_server.start)
    clock.time = START + 6 * DAY
    assert set(found(server)) == {"s6", "s7", "s8", "s9"}
    clock.time = START + 9 * DAY
    with pytest.raises(StorageError):
        found(server)
    away.close()
    until(lambda: is_found(server, {"s9"}), "the database is not asked again")


def is_found(server: Galleries, expected: set[str]) -> bool:
    try:
        return set(found(server)) == expected
    except StorageError:
        return False


@pytest.mark.parametrize("seed", range(3))
def test_any_changes_and_expiries_leave_servers_with_what_a_fresh_one_finds(
    open_server: Open, clock: SetClock, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gallery.opened.registry", "gallery.opened.coming_expiries"):
        monkeypatch.setattr(f"{module}.AHEAD", 8)
    monkeypatch.setattr("gallery.opened.coming_expiries._MOST", 16)
    rng = random.Random(seed)
    servers = open_server(), open_server()
    servers[0].create_gallery("g", display_name="", threshold=0.5)
    for step in range(60):
        change(rng.choice(servers), rng, clock, step)
        if step % 12 == 11:
            expected = found(open_server())
            for server in servers:
                until(lambda server=server, expected=expected: found(server) == expected, f"step {step}")  # type: ignore[misc]


def change(server: Galleries, rng: random.Random, clock: SetClock, step: int) -> None:
    """Make some change, if it is possible now."""
    here, there = rng.sample("abcdefghijkl", 2)
    ahead = rng.choice([None, clock.time + rng.randrange(1, 8) * DAY])
    vector = axis(rng.randrange(DIMENSION))
    picture = replace(face(vector, picture=f"p{step}", accept_lookalike=True), accept_unlike=True, expire_time=ahead)
    retention = rng.choice([None, rng.randrange(2, 9) * DAY])
    kind = rng.randrange(12)
    with suppress(SubjectNotFound, TooManyTemplates):
        if kind < 6:
            server.enroll("g", here, picture)
        elif kind == 6:
            server.update_subject("g", here, SubjectChange(EXPIRY, expire_time=ahead))
        elif kind == 7:
            server.delete_subject("g", here)
        elif kind == 8:
            server.corrections.merge("g", here, there)
        elif kind == 9:
            policy = GalleryPolicy(subject_retention=retention, template_retention=rng.choice([None, 5 * DAY]))
            server.change_gallery("g", GalleryChange(policy=policy))
        elif kind == 10:
            server.retention.erase()
    clock.time += DAY / rng.choice([1, 2, 8])
