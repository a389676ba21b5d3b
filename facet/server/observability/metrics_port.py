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
        metrics = make_wsgi_app(registry)
        probes = {"/livez": _probe(readiness.why_not_alive), "/readyz": _probe(readiness.why_not_ready)}
        super().__init__(host, port, probes=probes, pages={"/metrics": metrics, "/": metrics})


def _probe(why_not: Callable[[], str]) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001
        problem = why_not()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        start_response("503 Service Unavailable" if problem else "200 OK", headers)
        return [f"{problem or 'ok'}\n".encode()]

    return answer
