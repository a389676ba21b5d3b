"""One server for all tests of this folder, and callers of every kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from facet import Client
from facet.server.access.callers import callers_file, key
from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.identity import SCOPES as ALL_SCOPES
from facet.server.access.identity import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serving, Start

TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz"
OPERATOR, EXPIRED, REVOKED = "operator", "expired", "revoked"
MINE = "mine-*"
"""The galleries of callers with one scope."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that needs a caller.

    Attributes:
        serving: the server.
        callers: its callers file.
        mine: a gallery that the callers with one scope may use.
        theirs: one that they may not use.
        keys: of callers, by their ids.
    """

    serving: Serving
    callers: Path
    mine: str = "mine-one"
    theirs: str = "theirs-one"
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.serving.address

    def right(self, scope: str) -> str:
        """The authorization of a caller with this scope alone, or any scope if it is empty."""
        return f"Bearer {self.keys[scope or 'audit']}"

    def strangers(self) -> dict[str, list[str]]:
        """Values of the header authorization that belong to nobody, by what is wrong with them."""
        secret = self.keys[OPERATOR]
        right = f"Bearer {secret}"
        known, own = key.parts_of(secret)
        return {
            "none": [],
            "empty": [""],
            "no scheme": [secret],
            "another scheme": [f"Basic {secret}"],
            "no secret": ["Bearer "],
            "the prefix": ["Bearer facet_"],
            "no secret of a known id": [f"Bearer facet_{known}_"],
            "the id": [f"Bearer {known}"],
            "the secret": [f"Bearer {own}"],
            "what the server keeps": [f"Bearer {key.key_of(known, key.sha256(own))}"],
            "an unknown id": [f"Bearer {key.key_of('nobody', own)}"],
            "the id of another": [f"Bearer {key.key_of('admin', own)}"],
            "truncated": [right[:-1]],
            "one character more": [right + "a"],
            "wrong last character": [right[:-1] + other(right[-1])],
            "wrong first character": [f"Bearer {key.key_of(known, other(own[0]) + own[1:])}"],
            "upper case": [f"Bearer {secret.swapcase()}"],
            "doubled header": [right, right],
            "two values": [f"{right}, {right}"],
            "doubled with a wrong one": ["Bearer wrong", right],
            "long": ["Bearer " + "a" * 4000],
            "expired": [f"Bearer {self.keys[EXPIRED]}"],
            "revoked": [f"Bearer {self.keys[REVOKED]}"],
            "the token cut off": [f"Bearer {TOKEN[:-1]}"],
        }


def other(digit: str) -> str:
    """Another hexadecimal digit."""
    return "0" if digit != "0" else "1"


def admit(
    callers: Path,
    caller_id: str,
    scopes: Sequence[Scope],
    galleries: str = "*",
    *,
    expires: datetime | None = None,
    revoked: datetime | None = None,
) -> str:
    """Add a caller to a callers file; returns its key."""
    secret, now = key.new_secret(), datetime.now(UTC)
    with callers_file.changing(callers) as entries:
        entries.append(
            CallerEntry(
                id=caller_id,
                kind="key",
                sha256=key.sha256(secret),
                scopes=list(scopes),
                galleries=[galleries],
                created=now,
                expires=expires,
                revoked=revoked,
            )
        )
    return key.key_of(caller_id, secret)


@pytest.fixture(scope="session")
def guarded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    callers = folder / "facet.callers.json"
    keys: dict[str, str] = {scope: admit(callers, scope, [scope], MINE) for scope in ALL_SCOPES}
    keys[OPERATOR] = admit(callers, OPERATOR, ALL_SCOPES)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    keys[EXPIRED] = admit(callers, EXPIRED, ALL_SCOPES, expires=long_ago)
    keys[REVOKED] = admit(callers, REVOKED, ALL_SCOPES, revoked=long_ago)
    flags = ("--models.objects", "none", "--log.level", "debug", "--metrics.port", "0")
    serving = start(folder, *flags, environment={"FACET_SERVER__TOKEN": TOKEN})
    guarded = Guarded(serving, callers, keys=keys)
    with Client(serving.address, token=keys[OPERATOR]) as client:
        client.create_gallery(guarded.mine)
        client.create_gallery(guarded.theirs)
    yield guarded
    serving.stop()
