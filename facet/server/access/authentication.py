"""Tells who a call comes from, by a bearer token in its metadata (RFC 6750) or by its client's certificate."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NoReturn, TypeAlias

from pydantic import SecretStr

from facet.server.access.callers.key import parts_of
from facet.server.access.callers.watched_callers import WatchedCallers
from facet.server.access.grants import Claim
from facet.server.access.identity import ANONYMOUS, TOKEN, Identity
from facet.server.access.oidc.callers import TokenCallers
from facet.server.access.oidc.tokens import looks_like_token
from facet.server.errors import Unauthenticated

PeerNames: TypeAlias = Callable[[Any], Iterable[str]]
"""The DNS names and URIs of the verified certificate of a call's client; none without a certificate."""

_HEADER, _SCHEME = "authorization", "Bearer "


class Authenticator:
    """Tells who a call comes from. Secrets are compared in constant time.

    If a call has the metadata ``authorization``, that alone decides, else the certificate does.

    Args:
        token: the server's own token; ``None`` if there is none.
        callers: the callers; ``None`` if the server has no file of them.
        peer_names: see :data:`PeerNames`.
        tokens: callers with tokens of an identity provider; ``None`` if there is no provider.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        token: SecretStr | None,
        callers: WatchedCallers | None = None,
        peer_names: PeerNames = lambda _: (),
        tokens: TokenCallers | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._token = None if token is None else _digest(token.get_secret_value())
        self._callers = callers
        self._peer_names = peer_names
        self._tokens = tokens
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether there are no callers: then nobody is asked."""
        has_callers = self._callers is not None and self._callers.current is not None
        return self._token is None and self._tokens is None and not has_callers

    async def prepare(self, context: Any) -> None:
        """Wait for what is needed to know who a call comes from: perhaps for newer keys of the identity provider."""
        if self._tokens is not None and looks_like_token(bearer := _bearer(_given(context))):
            await self._tokens.wait_for_key(bearer)

    def claim(self, context: Any) -> Claim:
        """What a call claims to be."""
        if self.is_open:
            return self._anonymous
        values = _given(context)
        if not values:
            return self._certificate_claim(context)
        bearer = _bearer(values)
        if self._token is not None and hmac.compare_digest(_digest(bearer), self._token):
            return _token
        if self._tokens is not None and looks_like_token(bearer):
            return self._tokens.claim(bearer)
        key_id, secret = parts_of(bearer)
        return partial(self._key, key_id, _digest(secret))

    def _certificate_claim(self, context: Any) -> Claim:
        callers = None if self._callers is None else self._callers.current
        if callers is None or not callers.have_certificates:
            return _nobody
        return partial(self._certificate, tuple(self._peer_names(context)))

    def _anonymous(self) -> Identity:
        if not self.is_open:
            raise Unauthenticated
        return ANONYMOUS

    def _key(self, key_id: str, digest: bytes) -> Identity:
        callers = None if self._callers is None else self._callers.current
        if callers is None:
            raise Unauthenticated
        return callers.of_key(key_id, digest, self._clock())

    def _certificate(self, names: tuple[str, ...]) -> Identity:
        callers = None if self._callers is None else self._callers.current
        if callers is None:
            raise Unauthenticated
        return callers.of_certificate(names, self._clock())


def _given(context: Any) -> list[str | bytes]:
    return [value for key, value in context.invocation_metadata() or () if key == _HEADER]


def _bearer(values: list[str | bytes]) -> str:
    """The token of the metadata ``authorization``; empty if it is malformed."""
    if len(values) != 1:
        return ""
    value = values[0]
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.removeprefix(_SCHEME) if text.startswith(_SCHEME) else ""


def _digest(secret: str) -> bytes:
    """SHA-256 of a secret: all have one length, so that a comparison does not tell how long the right one is."""
    return hashlib.sha256(secret.encode()).digest()


def _token() -> Identity:
    return TOKEN


def _nobody() -> NoReturn:
    raise Unauthenticated
