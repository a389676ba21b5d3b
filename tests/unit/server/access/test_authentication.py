"""The bearer token of a call."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from facet.server.access.authentication import Authenticator
from facet.server.errors import Unauthenticated


def test_without_a_token_every_call_is_accepted() -> None:
    Authenticator(None).authenticate(None)
    Authenticator(None).authenticate([("authorization", "Bearer anything")])


@pytest.mark.parametrize("value", ["Bearer secret", b"Bearer secret"])
def test_the_right_token_is_accepted(value: str | bytes) -> None:
    Authenticator(SecretStr("secret")).authenticate([("user-agent", "x"), ("authorization", value)])


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
    with pytest.raises(Unauthenticated):
        Authenticator(SecretStr("secret")).authenticate(metadata)
