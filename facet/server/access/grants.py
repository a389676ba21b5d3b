"""The rights of one call: checked when it begins, for each of its requests, and again while it is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from facet.server.access.identity import ANONYMOUS, Identity, enter
from facet.server.access.rules import Rule
from facet.server.errors import GalleryNotPermitted, ScopeMissing

Claim: TypeAlias = Callable[[], Identity]
"""Tells the identity of a call as it is now, from the credentials that the call began with.

Raises:
    Unauthenticated: they are not valid, or not any more.
"""

_MAX_REMEMBERED = 64
"""Galleries of a call that are checked again. A stream works on fewer items at a time."""


class Grant:
    """The rights of one call. Its identity becomes that of the current task.

    Args:
        rule: that of its method.
        claim: who calls.

    Attributes:
        identity: who calls, with the rights as they were last checked.

    Raises:
        Unauthenticated: the credentials are not valid.
        ScopeMissing: the caller lacks the method's scope.
    """

    def __init__(self, rule: Rule, claim: Claim) -> None:
        self._rule = rule
        self._claim = claim
        self._galleries: dict[str, None] = {}
        self.identity = claim()
        enter(self.identity)  # also for a call that is refused: the audit log says whose it was
        self._check_scope()

    def check(self, request: Any) -> None:
        """Check a request of the call, before any work on it.

        Raises:
            GalleryNotPermitted: it names a gallery that the caller may not use, or leaves the choice to the server.
        """
        for gallery_id in self._rule.gallery_ids(request):
            self._check_gallery(gallery_id)
            self._galleries.pop(gallery_id, None)
            self._galleries[gallery_id] = None
            if len(self._galleries) > _MAX_REMEMBERED:
                del self._galleries[next(iter(self._galleries))]

    def renew(self) -> None:
        """Check again what the call was permitted, now that the caller's rights may have changed.

        Raises:
            Unauthenticated: the credentials are not valid any more.
            ScopeMissing: the caller has lost the method's scope.
            GalleryNotPermitted: the caller has lost a gallery that the call uses.
        """
        self.identity = self._claim()
        self._check_scope()
        for gallery_id in self._galleries:
            self._check_gallery(gallery_id)

    def _check_scope(self) -> None:
        if self._rule.scope is not None and not self.identity.has(self._rule.scope):
            raise ScopeMissing(self._rule.scope)

    def _check_gallery(self, gallery_id: str) -> None:
        if not self.identity.galleries.allows(gallery_id):
            raise GalleryNotPermitted


def public(rule: Rule) -> Grant:
    """The rights of a call that needs no caller."""
    return Grant(rule, lambda: ANONYMOUS)
