"""Access to the server: admits calls by their credentials and the rule of their method."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from facet.server.access import caller
from facet.server.access.authentication import Authenticator
from facet.server.access.grants import Grant, public
from facet.server.access.rules import rule_of
from facet.server.errors import UnknownMethod


class Access:
    """Who may call the server, and what each caller may do. Use it from one event loop.

    Args:
        token: the server's own token; ``None`` if there is none.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self._authenticator = Authenticator(token)

    def admit(self, path: str, context: Any) -> Grant:
        """Admit a call, before any of its requests is read, and make its identity that of the current task.

        Args:
            path: the method.
            context: the call.

        Raises:
            Unauthenticated: it has no valid credentials.
            ScopeMissing: its caller may not call the method.
            UnknownMethod: the method has no rule.
        """
        rule = rule_of(path)
        if rule is not None and rule.is_public:
            return public(rule)
        claim = self._authenticator.claim(context.invocation_metadata())
        if rule is None:
            claim()
            raise UnknownMethod
        grant = Grant(rule, claim)
        if not grant.identity.is_shared:
            caller.enter_as(grant.identity.id)
        return grant
