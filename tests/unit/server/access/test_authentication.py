"""Who a call comes from, by its metadata and its certificate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from facet.server.access.authentication import Authenticator
from facet.server.access.callers.callers_file import CallerEntry, changing
from facet.server.access.callers.key import key_of, new_secret, parts_of
from facet.server.access.callers.watched_callers import WatchedCallers
from facet.server.access.identity import ANONYMOUS, TOKEN
from facet.server.errors import Unauthenticated
from tests.unit.server.access.entries import CREATED, entry

SECRET = new_secret()
KEY = key_of("cam", SECRET)
NOW = CREATED.timestamp()


class Call:
    """What the authenticator sees of a call: its metadata, and the names in its client's certificate."""

    def __init__(self, *values: str | bytes, names: tuple[str, ...] = ()) -> None:
        self._metadata = [("user-agent", "x"), *(("authorization", value) for value in values)]
        self.names = names

    def invocation_metadata(self) -> Any:
        """Pairs of key and value."""
        return self._metadata


def watched(path: Path, *entries: CallerEntry) -> WatchedCallers:
    with changing(path) as callers:
        callers[:] = entries
    return WatchedCallers(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facet.callers.json"


def authenticator(callers: WatchedCallers | None = None, token: str | None = None) -> Authenticator:
    secret = None if token is None else SecretStr(token)
    return Authenticator(secret, callers, lambda call: call.names, clock=lambda: NOW)


WRONG: list[tuple[str | bytes, ...]] = [
    (),
    ("",),
    ("secret",),
    ("Bearer ",),
    ("Bearer Secret",),
    ("Bearer sécret",),
    (b"\xff\xfe",),
    ("bearer secret",),
    ("Bearer  secret",),
    ("Basic secret",),
    ("Bearer secret", "Bearer secret"),
]


def test_without_callers_every_call_is_accepted() -> None:
    assert authenticator().claim(Call())() is ANONYMOUS
    assert authenticator().claim(Call("Bearer anything"))() is ANONYMOUS


@pytest.mark.parametrize("value", ["Bearer secret", b"Bearer secret"])
def test_the_servers_token_is_accepted(value: str | bytes) -> None:
    assert authenticator(token="secret").claim(Call(value))() is TOKEN


@pytest.mark.parametrize("values", WRONG)
def test_any_other_metadata_is_refused(values: tuple[str | bytes, ...]) -> None:
    with pytest.raises(Unauthenticated):
        authenticator(token="secret").claim(Call(*values))()


def test_a_key_is_accepted_beside_the_token_and_stays_what_the_file_says(path: Path) -> None:
    callers = watched(path, entry(secret=SECRET))
    claim = authenticator(callers, token="secret").claim(Call(f"Bearer {KEY}"))
    assert claim().id == "key:cam"
    assert authenticator(callers, token="secret").claim(Call("Bearer secret"))() is TOKEN
    with changing(path) as entries:
        entries[0] = entry(secret=SECRET, revoked=CREATED)
    assert callers.refresh()
    with pytest.raises(Unauthenticated):
        claim()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(KEY, id="without-bearer"),
        pytest.param(f"bearer {KEY}", id="bearer-in-lower-case"),
        pytest.param(f"Bearer {KEY[:-1]}", id="cut"),
        pytest.param(f"Bearer {KEY}0", id="longer"),
        pytest.param(f"Bearer {KEY} ", id="space-behind"),
        pytest.param(f"Bearer {KEY},{KEY}", id="twice"),
        pytest.param(f"Bearer {KEY.upper()}", id="upper-case"),
        pytest.param(f"Bearer {SECRET}", id="secret-alone"),
        pytest.param(f"Bearer facet_{SECRET}", id="without-an-id"),
        pytest.param("Bearer facet_cam_", id="empty-secret"),
        pytest.param("Bearer facet_cam", id="without-a-secret"),
        pytest.param("Bearer facet__", id="empty"),
        pytest.param("Bearer facet_other_" + SECRET, id="of-another-id"),
        pytest.param(f"Bearer x{KEY}", id="something-before"),
    ],
)
def test_a_key_that_is_not_quite_right_is_refused(path: Path, value: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticator(watched(path, entry(secret=SECRET))).claim(Call(value))()


def test_the_bearer_decides_if_there_is_a_certificate_as_well(path: Path) -> None:
    camera = entry("door", kind="certificate", certificate="door.example")
    callers = watched(path, entry(secret=SECRET), camera)
    names = ("door.example",)
    assert authenticator(callers).claim(Call(names=names))().id == "certificate:door"
    assert authenticator(callers).claim(Call(f"Bearer {KEY}", names=names))().id == "key:cam"
    for value in ("", "Bearer wrong", "Basic x"):
        with pytest.raises(Unauthenticated):
            authenticator(callers).claim(Call(value, names=names))()
    with pytest.raises(Unauthenticated):
        authenticator(callers).claim(Call(names=("other.example",)))()


def test_a_key_expires_while_its_call_is_open(path: Path) -> None:
    now = [NOW]
    callers = watched(path, entry(secret=SECRET, expires=CREATED + timedelta(seconds=1)))
    claim = Authenticator(None, callers, clock=lambda: now[0]).claim(Call(f"Bearer {KEY}"))
    assert claim().id == "key:cam"
    now[0] += 1
    with pytest.raises(Unauthenticated):
        claim()


def test_callers_that_appear_end_the_time_without_callers(path: Path) -> None:
    callers = WatchedCallers(path)
    claim = authenticator(callers).claim(Call())
    assert claim() is ANONYMOUS
    with changing(path) as entries:
        entries.append(entry(secret=SECRET))
    callers.refresh()
    with pytest.raises(Unauthenticated):
        claim()


def test_a_key_falls_into_its_parts_and_nothing_else_does() -> None:
    assert parts_of(KEY) == ("cam", SECRET)
    assert parts_of("facet_a_b_c") == ("a", "b_c")
    for text in ("", "facet", "facet_", "facet_a", "facet_a_", "Facet_a_b", "x"):
        assert parts_of(text) == ("", text)
