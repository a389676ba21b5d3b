"""Serves the metrics to Prometheus, and probes to an orchestrator, over HTTP."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, Counter, make_wsgi_app
from pydantic import SecretStr

from facet.server.observability.http_port import HttpPort
from facet.server.observability.readiness import Readiness

_PLAIN = "text/plain; charset=utf-8"


class MetricsPort(HttpPort):
    """Serves ``/metrics``, ``/livez`` and ``/readyz`` until it is closed, whatever the load of the server.

    A probe answers 200 and ``ok``, or what the server cannot do now, or 503 and the reason. If there is a token, only a
    client that sends it reads the metrics, and the reasons: strangers learn neither the names of galleries nor that the
    disk is full.

    Args:
        registry: the metrics.
        readiness: the state of the server.
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        token: the bearer token; ``None`` lets everybody read everything.

    Attributes:
        address: ``host:port``.

    Raises:
        OSError: the address is in use, or does not belong to this machine.
    """

    def __init__(
        self, registry: CollectorRegistry, readiness: Readiness, host: str, port: int, token: SecretStr | None = None
    ) -> None:
        may_read = Guard(token)
        refused = Counter("facet_scrapes_refused", "Requests for metrics without the token.", registry=registry)
        metrics = guarded(in_known_versions(make_wsgi_app(registry)), may_read, refused)
        probes = {
            "/livez": probe(lambda: State(readiness.why_not_alive()), may_read),
            "/readyz": probe(lambda: State(readiness.why_not_ready(), readiness.why_degraded()), may_read),
        }
        super().__init__(host, port, probes=probes, pages={"/metrics": metrics, "/": metrics})


class Guard:
    """Tells who may read what is not public: those who send the token.

    Digests are compared, so that the time does not tell how long it is.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self._expected = None if token is None else _digest(f"Bearer {token.get_secret_value()}")

    def __call__(self, environ: WSGIEnvironment) -> bool:
        """Whether a request has it, or needs none."""
        given = environ.get("HTTP_AUTHORIZATION", "")
        return self._expected is None or hmac.compare_digest(_digest(given), self._expected)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def guarded(page: WSGIApplication, may_read: Guard, refused: Counter) -> WSGIApplication:
    """The page, for clients that have the token; the others are counted."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if may_read(environ):
            return page(environ, start_response)
        refused.inc()
        headers = [("Content-Type", _PLAIN), ("WWW-Authenticate", "Bearer")]
        start_response("401 Unauthorized", headers)
        return [b"the request needs the header Authorization: Bearer TOKEN\n"]

    return answer


def in_known_versions(page: WSGIApplication) -> WSGIApplication:
    """The page, which refuses a client whose header Accept names a version that the library cannot read."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return page(environ, start_response)
        except (TypeError, ValueError):
            if "HTTP_ACCEPT" not in environ:
                raise
            start_response("406 Not Acceptable", [("Content-Type", _PLAIN)])
            return [b"the version in the header Accept is unknown\n"]

    return answer


class State(NamedTuple):
    """What a probe answers: why not, and what does not work nevertheless; each is empty if there is nothing."""

    problem: str = ""
    degraded: str = ""


def probe(ask: Callable[[], State], may_read: Guard) -> WSGIApplication:
    """A probe: 503 if there is a reason why not, else 200; clients that have the token read the reasons."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        problem, degraded = ask()
        start_response(
            "503 Service Unavailable" if problem else "200 OK",
            [("Content-Type", _PLAIN), ("Cache-Control", "no-store")],
        )
        public = "not ready" if problem else "ok"
        text = (problem or degraded or public) if may_read(environ) else public
        return [f"{text}\n".encode()]

    return answer
