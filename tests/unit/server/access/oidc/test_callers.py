"""Who a verified token stands for: by the callers file, else by its claims."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facet.server.access.identity import Identity, PermittedGalleries
from facet.server.access.oidc import signing_keys
from facet.server.access.oidc.callers import TokenCallers
from facet.server.access.oidc.key_set import KeySet
from facet.server.access.oidc.provider import Provider
from facet.server.errors import Unauthenticated
from tests.identity_provider import AUDIENCE, ISSUER, claims, jwk, serving, token
from tests.waiting import PATIENCE, until


class File:
    """What the callers file says of one subject, as the test says."""

    def __init__(self) -> None:
        self.entry: Identity | None = None
        self.is_revoked = False

    def entry_of(self, issuer: str, subject: str) -> Identity | None:
        if (issuer, subject) != (ISSUER, "camera-7"):
            return None
        if self.is_revoked:
            raise Unauthenticated
        return self.entry


class Clock:
    """Seconds since 1970, ahead of the real ones as the test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def file() -> File:
    return File()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def callers(tmp_path: Path, file: File, clock: Clock) -> TokenCallers:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk("ES256", "k1")]}), "utf-8")
    path.chmod(0o600)
    provider = Provider(ISSUER, AUDIENCE, str(path), galleries_claim="facet_galleries")
    return TokenCallers(provider, file.entry_of, clock)


def identity(callers: TokenCallers, **changed: Any) -> Identity:
    return callers.claim(token(claims(**changed)))()


@pytest.mark.parametrize(
    ("changed", "scopes"),
    [
        ({"scope": "facet:recognize"}, {"recognize"}),
        ({"scope": "openid facet:enroll profile facet:audit"}, {"enroll", "audit"}),
        ({"scope": None, "scp": ["facet:admin", "email"]}, {"admin"}),
        ({"scope": None, "scp": "facet:admin"}, {"admin"}),
        ({"scope": "facet:recognize facet:ADMIN facet:admin:x xfacet:admin facet: facet:* admin"}, {"recognize"}),
        ({"scope": ["facet:recognize", ["facet:admin"], {"facet:admin": 1}, 7]}, {"recognize"}),
    ],
)
def test_scopes_come_from_the_claims(callers: TokenCallers, changed: dict[str, Any], scopes: set[str]) -> None:
    assert identity(callers, **changed).scopes == scopes


def test_a_token_of_nobody_is_refused(callers: TokenCallers) -> None:
    with pytest.raises(Unauthenticated):
        identity(callers, sub="")


@pytest.mark.parametrize("scope", [None, "", "openid", "facet", 7, {"facet:admin": True}, "facet:owner"])
def test_a_token_without_a_scope_of_facet_is_no_caller(callers: TokenCallers, scope: object) -> None:
    with pytest.raises(Unauthenticated):
        identity(callers, scope=scope)


@pytest.mark.parametrize(
    ("claim", "allowed", "refused"),
    [
        (["lobby", "site-a-*"], ["lobby", "site-a-door"], ["site-b", "lobby2"]),
        ("lobby site-a-*", ["lobby", "site-a-door"], ["site-b", "lobby2"]),
        (["*"], ["anything"], []),
        (["lobby", "\ud800", "a\nb", "x" * 999, "lo*y", "**"], ["lobby"], ["\ud800", "a\nb", "loy", "*a"]),
        (None, [], ["lobby", "", "*"]),
        ([""], [], ["lobby", ""]),
        ([7, None, ["*"]], [], ["lobby", "7", ""]),
        ({"*": 1}, [], ["lobby"]),
        (True, [], ["lobby"]),
    ],
)
def test_galleries_come_from_a_claim_and_without_it_there_are_none(
    callers: TokenCallers, claim: object, allowed: list[str], refused: list[str]
) -> None:
    galleries = identity(callers, facet_galleries=claim).galleries
    assert all(map(galleries.allows, allowed))
    assert not any(map(galleries.allows, refused))


def test_the_id_of_a_caller_does_not_show_who_it_is(callers: TokenCallers) -> None:
    one, other = identity(callers, sub="ann@example.org"), identity(callers, sub="bob@example.org")
    assert one.id.startswith("oidc:")
    assert "ann" not in one.id + one.label
    assert one.id != other.id
    assert one.id == identity(callers, sub="ann@example.org").id
    assert identity(callers, sub="\ud800").id.startswith("oidc:"), "half of a character is a subject like any other"


def test_the_callers_file_decides_before_the_claims(callers: TokenCallers, file: File) -> None:
    file.entry = Identity("oidc:7", scopes=frozenset({"audit"}), galleries=PermittedGalleries(), calls_per_second=3)
    found = identity(callers, scope="facet:admin")
    assert (found.id, found.calls_per_second) == ("oidc:7", 3)
    assert found.scopes == {"audit"}
    assert identity(callers, sub="camera-8", scope="facet:admin").scopes == {"admin"}
    claim = callers.claim(token(claims(scope="facet:admin")))
    file.is_revoked = True
    with pytest.raises(Unauthenticated):
        claim()


def test_rights_end_with_the_token_or_with_the_entry(callers: TokenCallers, file: File, clock: Clock) -> None:
    expires = time.time() + 600
    claim = callers.claim(token(claims(exp=expires)))
    assert claim().expires == pytest.approx(expires + 30, abs=1)
    file.entry = Identity("oidc:7", expires=expires - 500)
    assert claim().expires == expires - 500
    file.entry = replace(file.entry, expires=expires + 10_000)
    assert claim().expires == pytest.approx(expires + 30, abs=1)
    clock.ahead = 700
    with pytest.raises(Unauthenticated):
        claim()


def test_rights_end_when_the_provider_withdraws_the_key(callers: TokenCallers) -> None:
    claim = callers.claim(token())
    assert claim() == claim()
    callers.keys.current = KeySet()
    with pytest.raises(Unauthenticated):
        claim()


def test_a_token_that_was_verified_vouches_for_no_other(callers: TokenCallers) -> None:
    good = token()
    assert callers.claim(good)()
    for other in (good[:-1], good + "A", token(number=1)):
        with pytest.raises(Unauthenticated):
            callers.claim(other)()


def test_tokens_of_more_callers_than_are_remembered_are_accepted(callers: TokenCallers) -> None:
    one = token()
    for number in range(600):
        assert callers.claim(token(claims(sub=str(number))))()
    assert callers.claim(one)()


async def test_while_the_provider_is_away_known_keys_work_and_only_the_bearer_of_a_new_one_waits(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_TIMEOUT_SECONDS", "_TOTAL_SECONDS"):  # it is away for as long as the test says
        monkeypatch.setattr(signing_keys, limit, PATIENCE)
    with serving(jwk("ES256", "k1")) as provider:
        callers = TokenCallers(Provider(ISSUER, AUDIENCE, provider.url, "facet_galleries"), file.entry_of)
        callers.keys.start()
        try:
            await asyncio.to_thread(until, lambda: callers.keys.current.keys)
            provider.may_answer.clear()
            provider.keys = [jwk("ES256", "k1"), jwk("ES256", "k2", 1)]
            new, known = token(kid="k2", number=1), token()
            waiting = asyncio.ensure_future(callers.wait_for_key(new))
            await asyncio.to_thread(until, lambda: provider.asked == 2)
            await callers.wait_for_key(known)
            assert callers.claim(known)().scopes == {"recognize"}
            assert not waiting.done()
            provider.may_answer.set()
            await waiting
            assert callers.claim(new)().scopes == {"recognize"}
        finally:
            await callers.keys.stop()
