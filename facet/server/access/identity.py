"""Who a call comes from, and what that caller may do."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Self, get_args

Scope = Literal["recognize", "enroll", "admin", "audit"]
"""What a caller may do. ``admin`` includes ``recognize`` and ``enroll``; ``audit`` stands alone."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
_OF_ADMIN = frozenset[Scope]({"recognize", "enroll"})

WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class PermittedGalleries:
    """The galleries that a caller may use, whether they exist or not.

    Attributes:
        names: ids of galleries.
        prefixes: what the ids of further galleries begin with; an empty one permits all.
    """

    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Those of patterns: an id, such as ``lobby``; a prefix, such as ``site-a-*``; or ``*``, which permits all."""
        given = set(patterns)
        prefixes = {each for each in given if each.endswith(WILDCARD)}
        return cls(frozenset(given - prefixes), tuple(sorted(each.removesuffix(WILDCARD) for each in prefixes)))

    @property
    def patterns(self) -> list[str]:
        """The patterns, in order: what :meth:`of` takes."""
        return sorted([*self.names, *(prefix + WILDCARD for prefix in self.prefixes)])

    @property
    def are_all(self) -> bool:
        """Whether all galleries are permitted."""
        return "" in self.prefixes

    def allows(self, gallery_id: str) -> bool:
        """Whether the caller may use a gallery."""
        return gallery_id in self.names or gallery_id.startswith(self.prefixes)


ALL_GALLERIES = PermittedGalleries(prefixes=("",))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a call comes from, and what it may do.

    Attributes:
        id: stable and safe to log: ``anonymous`` on a server without callers, ``token`` for ``server.token``, else
            ``key:ID``, ``certificate:ID`` or ``oidc:ID`` with the id of the caller's entry.
        label: the operator's name for the caller; empty if there is none.
        scopes: what the caller was given; :meth:`has` also knows what they include.
        galleries: those that the caller may use.
        expires: when the caller's rights end, seconds since 1970; ``None`` for never.
        calls_per_second: how many calls the caller may make; ``None`` for as many as the server has places.
        concurrent_calls: how many calls of the caller may be open; ``None`` as above.
    """

    id: str
    label: str = ""
    scopes: frozenset[Scope] = frozenset()
    galleries: PermittedGalleries = PermittedGalleries()
    expires: float | None = None
    calls_per_second: float | None = None
    concurrent_calls: int | None = None

    @property
    def is_shared(self) -> bool:
        """Whether many clients have it, who are then told apart by their addresses."""
        return self.id in ("anonymous", "token")

    def has(self, scope: Scope) -> bool:
        """Whether the caller may do what needs a scope."""
        return scope in self.scopes or (scope in _OF_ADMIN and "admin" in self.scopes)


ANONYMOUS = Identity("anonymous", scopes=frozenset(SCOPES), galleries=ALL_GALLERIES)
"""Every caller of a server without callers: it may do everything."""
TOKEN = Identity("token", scopes=frozenset(SCOPES), galleries=ALL_GALLERIES)
"""Every caller with ``server.token``: it may do everything."""

_current: ContextVar[Identity] = ContextVar("identity", default=ANONYMOUS)


def current() -> Identity:
    """The identity of the current call, of this asyncio task or a parent of it, as it was when the call began.

    Outside calls, the server itself acts: it may do everything.
    """
    return _current.get()


def enter(identity: Identity) -> None:
    """Make an identity that of the current asyncio task and its children."""
    _current.set(identity)
