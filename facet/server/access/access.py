"""Access to the server: admits calls, and ends those whose callers lose the right to them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import SecretStr

from facet.server.access import share
from facet.server.access.authentication import Authenticator, PeerNames
from facet.server.access.callers.changes import NoteChanges
from facet.server.access.callers.last_used import LastUsed
from facet.server.access.callers.watched_callers import WatchedCallers
from facet.server.access.grants import Grant, public
from facet.server.access.identity import Identity
from facet.server.access.notes import Notes
from facet.server.access.oidc.callers import TokenCallers
from facet.server.access.oidc.provider import Provider
from facet.server.access.rules import rule_of
from facet.server.errors import UnknownMethod
from facet.server.open_calls import OpenCalls

_LOOK_SECONDS = 0.4
"""A change of the callers is in effect within a second, also for open calls."""
_CLOSE_SECONDS = 5.0
"""A disk that hangs keeps the server from stopping for no longer than this."""

_log = structlog.get_logger("facet.access")


class Access(Collector):
    """Who may call the server, and what each caller may do. Use it from one event loop.

    Args:
        token: the server's own token; ``None`` if there is none.
        callers: the callers file; ``None`` for none.
        peer_names: the names in the verified certificate of a call's client.
        provider: the identity provider whose tokens are accepted; ``None`` for none.
        clock: seconds since 1970.
        needs_file: whether the callers file must exist. Else there are no callers as long as it does not.

    Raises:
        CallersFileError: the callers file cannot be used, or must exist and does not.
        KeysUnavailable: the file with the provider's keys cannot be used.
    """

    def __init__(
        self,
        token: SecretStr | None,
        callers: Path | None = None,
        peer_names: PeerNames = lambda _: (),
        provider: Provider | None = None,
        clock: Callable[[], float] = time.time,
        *,
        needs_file: bool = False,
    ) -> None:
        self._callers = None if callers is None else WatchedCallers(callers, is_required=needs_file)
        self._last_used = None if callers is None else LastUsed(callers)
        self._tokens = None if provider is None else TokenCallers(provider, self._entry_of, clock)
        self._authenticator = Authenticator(token, self._callers, peer_names, self._tokens, clock)
        self._open = OpenCalls()
        self._clock = clock
        self._stopping = threading.Event()
        self._watch: threading.Thread | None = None
        self._notes: Notes | None = None

    @property
    def asks_nobody(self) -> bool:
        """Whether the server has no callers: everybody may do everything."""
        return self._authenticator.is_open

    def start(self, note_changes: NoteChanges = lambda _: None) -> None:
        """Watch the callers file, and the provider's keys, for the running event loop.

        Args:
            note_changes: told of each change of the callers, on another thread.
        """
        if self._tokens is not None:
            self._tokens.keys.start()
        if self._callers is not None and self._last_used is not None:
            self._callers.refresh()  # loading the models may have taken a while
            self._notes = Notes(self._callers, self._last_used, note_changes, _LOOK_SECONDS)
            self._notes.start()
            arguments = (asyncio.get_running_loop(), self._callers)
            self._watch = threading.Thread(target=self._keep_watching, args=arguments, name="callers", daemon=True)
            self._watch.start()

    async def stop(self) -> None:
        """Stop watching the provider's keys, from the event loop."""
        if self._tokens is not None:
            await self._tokens.keys.stop()

    def close(self) -> None:
        """Stop watching the callers file, and write when callers were last used."""
        self._stopping.set()
        if self._watch is not None:
            self._watch.join(_CLOSE_SECONDS)
        if self._notes is not None:
            self._notes.close(_CLOSE_SECONDS)

    async def admit(self, path: str, context: Any) -> Grant:
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
        await self._authenticator.prepare(context)
        claim = self._authenticator.claim(context)
        if rule is None:
            claim()
            raise UnknownMethod
        grant = Grant(rule, claim)
        if not grant.identity.is_shared:
            share.enter_as(grant.identity.id)
            self._note_use(grant.identity.id)
        return grant

    def open(self, grant: Grant) -> AbstractContextManager[None]:
        """Run the body, a call of the current task, as long as its caller may make it; see :class:`OpenCalls`."""
        return self._open.entered(grant.renew)

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics of the callers file and of the provider's keys."""
        if self._callers is not None:
            yield from self._callers.collect()
        keys = GaugeMetricFamily("facet_oidc_keys", "Keys that verify tokens of the identity provider.")
        age = GaugeMetricFamily("facet_oidc_keys_age_seconds", "Time since these keys were last read.")
        if self._tokens is not None:
            keys.add_metric((), len(self._tokens.keys.current.keys))
            if (seconds := self._tokens.keys.age) is not None:
                age.add_metric((), seconds)
        yield from (keys, age)

    def _entry_of(self, issuer: str, subject: str) -> Identity | None:
        callers = None if self._callers is None else self._callers.current
        return None if callers is None else callers.of_subject(issuer, subject, self._clock())

    def _note_use(self, identity_id: str) -> None:
        callers = None if self._callers is None else self._callers.current
        if self._last_used is not None and callers is not None and identity_id in callers.ids:
            self._last_used.note(identity_id, self._clock())

    def _keep_watching(self, loop: asyncio.AbstractEventLoop, callers: WatchedCallers) -> None:
        """Look at the file again and again, on a thread: a disk that hangs does not stop calls."""
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                callers.refresh()
                if callers.current is not None or self._tokens is not None:
                    with suppress(RuntimeError):  # the loop has ended meanwhile
                        # Also without a change: credentials expire.
                        loop.call_soon_threadsafe(self._open.review)
            except Exception:  # whatever it is, revoked callers must not stay because of it
                _log.exception("looking at the callers failed")
