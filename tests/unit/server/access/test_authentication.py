"""The bearer token of a call."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from facet.server.access.authentication import Authenticator
from facet.server.access.identity import ANONYMOUS, TOKEN
from facet.server.errors import Unauthenticated


def test_without_a_token_every_call_is_accepted() -> None:
    assert Authenticator(None).claim(None)() is ANONYMOUS
    assert Authenticator(None).claim([("authorization", "Bearer anything")])() is ANONYMOUS


@pytest.mark.parametrize("value", ["Bearer secret", b"Bearer secret"])
def test_the_right_token_is_accepted(value: str | bytes) -> None:
    claim = Authenticator(SecretStr("secret")).claim([("user-agent", "x"), ("authorization", value)])
    assert claim() is TOKEN


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        [("authorization", "")],
        [("authorization", "secret")],
        [("authorization", "Bearer Secret")],
        [("authorization", "Bearer sécret")],
        [("authorization", b"\xff\xfe")],
        [("authorization", "Bearer secret"), ("authorization", "Bearer secret")],
        [("x-authorization", "Bearer secret")],
    ],
)
def test_any_other_metadata_is_refused(metadata: list[tuple[str, str | bytes]] | None) -> None:
    claim = Authenticator(SecretStr("secret")).claim(metadata)
    with pytest.raises(Unauthenticated):
        claim()
