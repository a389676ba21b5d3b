"""Callers that are looked up by what they prove."""

from __future__ import annotations

import hashlib

import pytest

from facet.server.access.callers.callers import Callers
from facet.server.access.callers.callers_file import PreviousSecret
from facet.server.access.callers.key import sha256
from facet.server.errors import Unauthenticated
from tests.unit.server.access.entries import CREATED, LATER, entry

NOW = CREATED.timestamp()


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def test_a_key_stands_for_its_caller_until_it_expires() -> None:
    callers = Callers([entry(label="Lobby", galleries=["lobby"], expires=LATER, calls_per_second=2.0)])
    identity = callers.of_key("cam", digest("right"), NOW)
    assert (identity.id, identity.label, set(identity.scopes)) == ("key:cam", "Lobby", {"recognize"})
    assert (identity.galleries.patterns, identity.expires) == (["lobby"], LATER.timestamp())
    assert (identity.calls_per_second, identity.concurrent_calls) == (2.0, None)
    for key_id, secret, now in (
        ("cam", "right", LATER.timestamp()),
        ("cam", "wrong", NOW),
        ("cam", "", NOW),
        ("", "right", NOW),
        ("other", "right", NOW),
    ):
        with pytest.raises(Unauthenticated):
            callers.of_key(key_id, digest(secret), now)


def test_a_rotated_key_works_beside_the_new_one_as_long_as_it_was_given() -> None:
    previous = PreviousSecret(sha256=sha256("old"), expires=LATER)
    callers = Callers([entry(secret="new", previous=previous)])
    assert callers.of_key("cam", digest("new"), NOW) == callers.of_key("cam", digest("old"), NOW)
    with pytest.raises(Unauthenticated):
        callers.of_key("cam", digest("old"), LATER.timestamp())
    assert callers.of_key("cam", digest("new"), LATER.timestamp()).id == "key:cam"


def test_a_revoked_key_stands_for_nobody() -> None:
    with pytest.raises(Unauthenticated):
        Callers([entry(revoked=CREATED)]).of_key("cam", digest("right"), NOW)


def test_a_certificate_stands_for_the_one_caller_that_it_names() -> None:
    first = entry("one", kind="certificate", certificate="camera-1.example")
    second = entry("two", kind="certificate", certificate="spiffe://example/camera")
    old = entry("old", kind="certificate", certificate="camera-1.example", revoked=CREATED)
    callers = Callers([old, first, second])
    assert callers.have_certificates
    assert callers.of_certificate(["Camera-1.EXAMPLE"], NOW).id == "certificate:one"
    assert callers.of_certificate(["other.example", "camera-1.example"], NOW).id == "certificate:one"
    for names in (
        [],
        ["camera-2.example"],
        ["camera-1.example", "spiffe://example/camera"],
        ["spiffe://example/Camera"],
    ):
        with pytest.raises(Unauthenticated):
            callers.of_certificate(names, NOW)
    with pytest.raises(Unauthenticated):
        Callers([old]).of_certificate(["camera-1.example"], NOW)


def test_a_subject_that_the_file_does_not_mention_is_left_to_the_provider_and_a_revoked_one_is_not() -> None:
    callers = Callers([entry("ann", kind="oidc", issuer="https://id.example", subject="ann")])
    ann = callers.of_subject("https://id.example", "ann", NOW)
    assert ann is not None
    assert ann.id == "oidc:ann"
    assert callers.of_subject("https://other.example", "ann", NOW) is None
    revoked = entry("ann", kind="oidc", issuer="https://id.example", subject="ann", revoked=CREATED)
    with pytest.raises(Unauthenticated):
        Callers([revoked]).of_subject("https://id.example", "ann", NOW)
