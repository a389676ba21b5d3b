"""Serves the metrics to Prometheus, and probes to an orchestrator, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from facet.server.observability.http_port import HttpPort
from facet.server.observability.readiness import Readiness


class MetricsPort(HttpPort):
    """Serves ``/metrics``, ``/livez`` and ``/readyz`` until it is closed, whatever the load of the server.

    A probe answers 200 and ``ok``, or 503 and the reason.

    Args:
        registry: the metrics.
        readiness: the state of the server.
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.

    Attributes:
        address: ``host:port``.

    Raises:
        OSError: the address is in use, or does not belong to this machine.
    """

    def __init__(self, registry: CollectorRegistry, readiness: Readiness, host: str, port: int) -> None:
        metrics = _in_known_versions(make_wsgi_app(registry))
        probes = {"/livez": _probe(readiness.why_not_alive), "/readyz": _probe(readiness.why_not_ready)}
        super().__init__(host, port, probes=probes, pages={"/metrics": metrics, "/": metrics})


def _in_known_versions(page: WSGIApplication) -> WSGIApplication:
    """The page, which refuses a client whose header Accept names a version that the library cannot read."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return page(environ, start_response)
        except (TypeError, ValueError):
            if "HTTP_ACCEPT" not in environ:
                raise
            start_response("406 Not Acceptable", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"the version in the header Accept is unknown\n"]

    return answer


def _probe(why_not: Callable[[], str]) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001
        problem = why_not()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        start_response("503 Service Unavailable" if problem else "200 OK", headers)
        return [f"{problem or 'ok'}\n".encode()]

    return answer
