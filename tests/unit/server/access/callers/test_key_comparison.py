"""Secrets are compared as digests of one length, in constant time, and equally often however wrong a key is."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from facet.server.access.authentication import Authenticator
from facet.server.access.callers import callers_file, key
from facet.server.access.callers.watched_callers import WatchedCallers
from facet.server.errors import Unauthenticated
from tests.unit.server.access.entries import entry

SECRET = key.new_secret()
TOKEN = "the server's own token"


@dataclass(frozen=True, slots=True)
class Call:
    authorization: str

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return (("authorization", self.authorization),)


@pytest.fixture
def authenticator(tmp_path: Path) -> Authenticator:
    callers = tmp_path / "callers.json"
    with callers_file.changing(callers) as entries:
        entries.append(entry("known", SECRET))
    return Authenticator(SecretStr(TOKEN), WatchedCallers(callers))


def other(digit: str) -> str:
    return "0" if digit != "0" else "1"


def test_every_wrong_key_takes_the_same_comparisons(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def recorded(one: bytes, another: bytes) -> bool:
        lengths.append((len(one), len(another)))
        return compare(one, another)

    monkeypatch.setattr(hmac, "compare_digest", recorded)
    wrong = {
        "unknown id": key.key_of("nobody", SECRET),
        "wrong first digit": key.key_of("known", other(SECRET[0]) + SECRET[1:]),
        "wrong last digit": key.key_of("known", SECRET[:-1] + other(SECRET[-1])),
        "too short": key.key_of("known", SECRET[:-1]),
        "no key at all": "x",
        "nearly the token": TOKEN[:-1],
    }
    compared = {}
    for kind, secret in wrong.items():
        with pytest.raises(Unauthenticated):
            authenticator.claim(Call(f"Bearer {secret}"))()
        compared[kind] = tuple(lengths)
        lengths.clear()
    assert compared == dict.fromkeys(wrong, ((32, 32),) * 3)
