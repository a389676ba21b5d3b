"""Somebody gets more or less time at the moment at which it counts: servers find what a fresh one finds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import StorageError
from gallery.galleries import Galleries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.galleries import GalleryChange
from gallery.records.policies import GalleryPolicy
from tests.clocks import SetClock
from tests.integration.gallery.following import test_expiry_while_away
from tests.integration.gallery.following.conftest import Open
from tests.integration.gallery.following.test_expiry_while_away import (
    DAY,
    START,
    expiring,
    expiry,
    found,
    revisions,
)
from tests.unit.gallery.samples import axis, face
from tests.waiting import until

clock, open_server, away = (
    test_expiry_while_away.clock,
    test_expiry_while_away.open_server,
    test_expiry_while_away.away,
)


def keeps(days: float) -> GalleryChange:
    return GalleryChange(policy=GalleryPolicy(subject_retention=days * DAY))


def filled(server: Galleries) -> None:
    """Make a gallery with "ann", who expires by a policy, and "bob" by a time of his own, both after two days."""
    server.create_gallery("g", display_name="", threshold=0.5)
    server.change_gallery("g", keeps(2))
    server.enroll("g", "ann", face(axis(0)))
    server.enroll("g", "bob", expiring(face(axis(1)), 2))


def test_who_expired_by_a_policy_that_another_server_had_made_longer_comes_back(
    open_server: Open, clock: SetClock
) -> None:
    one, other = open_server(), open_server()
    filled(one)
    until(lambda: revisions(one) == revisions(other))
    opened = other._registry.known("g")
    assert opened is not None
    clock.time = START + 1.9 * DAY
    with opened.change_lock:
        one.change_gallery("g", keeps(5))
        clock.time = START + 2.1 * DAY
    until(lambda: revisions(one) == revisions(other))
    assert found(other) == found(one) == found(open_server()) == {"ann": 1}


@pytest.mark.parametrize("who", ["the one that changes it", "the other one"])
def test_a_shorter_policy_counts_also_if_the_database_goes_away_as_it_is_set(
    open_server: Open,
    clock: SetClock,
    postgres_server: PostgresServer,
    away: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    one, other = open_server(), open_server()
    filled(one)
    until(lambda: revisions(one) == revisions(other))
    struck = one if who == "the one that changes it" else other
    ask = struck._store.expiries_ahead
    is_away = threading.Event()

    def asked(gallery_id: str, *, limit: int) -> Any:
        if not is_away.is_set():
            postgres_server.stop()
            away.callback(postgres_server.start)
            is_away.set()
        return ask(gallery_id, limit=limit)

    monkeypatch.setattr(struck._store, "expiries_ahead", asked)
    with suppress(StorageError):
        one.change_gallery("g", keeps(1))
    until(is_away.is_set)
    away.close()
    fresh = open_server()
    for server in (one, other):
        until(lambda server=server: revisions(server) == revisions(fresh))  # type: ignore[misc]
    clock.time = START + 1.5 * DAY
    assert found(one) == found(other) == found(open_server()) == {}


def give_time(server: Galleries) -> None:
    server.update_subject("g", "bob", expiry(5))


def consent(server: Galleries) -> None:
    given = Consent(ConsentBasis.CONSENT, "form 1", START + 1.9 * DAY)
    server.enroll("g", "ann", replace(face(axis(0), picture="another"), consent=given))


def keep_longer(server: Galleries) -> None:
    server.change_gallery("g", keeps(5))


@pytest.mark.parametrize("change", [give_time, consent, keep_longer])
def test_who_gets_more_time_stays_if_a_search_comes_as_soon_as_it_is_stored(
    open_server: Open, clock: SetClock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Galleries], None]
) -> None:
    one = open_server()
    filled(one)
    clock.time = START + 1.9 * DAY

    def search_after(name: str, owner: Any) -> None:
        done = getattr(owner, name)

        def then(*args: Any, **named: Any) -> Any:
            answer = done(*args, **named)
            clock.time = START + 2.1 * DAY
            searching = threading.Thread(target=found, args=(one,))
            searching.start()
            searching.join()
            return answer

        monkeypatch.setattr(owner, name, then)

    search_after("update_subject", one._store)
    search_after("update_gallery", one._store)
    search_after("_store_some", one._enroller)
    change(one)
    assert found(one) == found(open_server())
