"""The callers that the server knows, looked up by what they prove."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.identity import Identity, PermittedGalleries
from facet.server.errors import Unauthenticated

_NO_DIGEST = secrets.token_bytes(32)
"""Stands for the secret of a caller that has none, so that it takes the same work to compare."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """An entry of the file, ready to be compared: times in seconds since 1970."""

    identity: Identity
    is_revoked: bool
    digest: bytes = _NO_DIGEST
    previous_digest: bytes = _NO_DIGEST
    previous_until: float = 0.0

    def identity_at(self, now: float) -> Identity:
        if self.is_revoked or (self.identity.expires is not None and now >= self.identity.expires):
            raise Unauthenticated
        return self.identity


_NOBODY = _Caller(Identity("nobody"), is_revoked=True)


class Callers:
    """The callers of one version of the file.

    Every method raises :exc:`Unauthenticated` alike for callers that are unknown, expired or revoked.

    Args:
        entries: those of the file.
        is_lost: whether the file is gone or useless: then nobody is let in whom it might have revoked.

    Attributes:
        ids: the ids of their identities.
        entries: the entries, by the ids of their identities.
    """

    def __init__(self, entries: Sequence[CallerEntry], *, is_lost: bool = False) -> None:
        self._is_lost = is_lost
        self._keys: dict[str, _Caller] = {}
        self._certificates: dict[str, _Caller] = {}
        self._subjects: dict[tuple[str, str], _Caller] = {}
        # Those that were revoked come first, so that others with the same credentials replace them.
        for entry in sorted(entries, key=lambda each: each.revoked is None):
            caller = _caller(entry)
            if entry.certificate is not None:
                self._certificates[_comparable(entry.certificate)] = caller
            elif entry.issuer is not None and entry.subject is not None:
                self._subjects[entry.issuer, entry.subject] = caller
            else:
                self._keys[entry.id] = caller

        self.entries = {each.identity_id: each for each in entries}
        self.ids = frozenset(self.entries)

    @property
    def have_certificates(self) -> bool:
        """Whether any caller is known by a client certificate."""
        return bool(self._certificates)

    def of_key(self, key_id: str, digest: bytes, now: float) -> Identity:
        """The caller with a key.

        An unknown id, and a wrong secret, take the same work as the right ones: two comparisons in constant time.

        Args:
            key_id: the id in the key.
            digest: SHA-256 of the secret in the key.
            now: seconds since 1970.
        """
        caller = self._keys.get(key_id, _NOBODY)
        is_secret = hmac.compare_digest(digest, caller.digest)
        is_previous = hmac.compare_digest(digest, caller.previous_digest)
        if not is_secret and not (is_previous and now < caller.previous_until):
            raise Unauthenticated
        return caller.identity_at(now)

    def of_certificate(self, names: Iterable[str], now: float) -> Identity:
        """The caller with a client certificate.

        Args:
            names: the DNS names and URIs of its subjectAltName. They must not name several callers.
            now: seconds since 1970.
        """
        found = {
            id(caller): caller for name in names if (caller := self._certificates.get(_comparable(name))) is not None
        }
        if len(found) != 1:
            raise Unauthenticated
        (caller,) = found.values()
        return caller.identity_at(now)

    def of_subject(self, issuer: str, subject: str, now: float) -> Identity | None:
        """The caller with a token of an identity provider; ``None`` if the file does not mention it."""
        if self._is_lost:
            raise Unauthenticated
        caller = self._subjects.get((issuer, subject))
        return None if caller is None else caller.identity_at(now)


def _comparable(name: str) -> str:
    """A name in a certificate: DNS names have no case (RFC 4343), URIs have."""
    return name if ":" in name else name.lower()


def _caller(entry: CallerEntry) -> _Caller:
    identity = Identity(
        id=entry.identity_id,
        label=entry.label,
        scopes=frozenset(entry.scopes),
        galleries=PermittedGalleries.of(entry.galleries),
        expires=None if entry.expires is None else entry.expires.timestamp(),
        calls_per_second=entry.calls_per_second,
        concurrent_calls=entry.concurrent_calls,
    )
    previous = entry.previous
    return _Caller(
        identity,
        is_revoked=entry.revoked is not None,
        digest=bytes.fromhex(entry.sha256) if entry.sha256 is not None else _NO_DIGEST,
        previous_digest=bytes.fromhex(previous.sha256) if previous is not None else _NO_DIGEST,
        previous_until=previous.expires.timestamp() if previous is not None else 0.0,
    )
