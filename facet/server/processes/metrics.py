"""One port for the metrics and probes of all processes of a server."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from pydantic import SecretStr

from facet.server.observability.http_port import HttpPort
from facet.server.observability.metrics_port import Guard, guarded, in_known_versions, probe
from facet.server.processes.processes import Member

_ASK_SECONDS = 2.0
"""Time for a process to answer."""
_LABEL = "process"
_OK = "ok"
_REFUSED = "facet_scrapes_refused"
"""Counted by this port: nobody else asks the processes."""


class _Answer(NamedTuple):
    status: int
    text: str


class ProcessesPort(HttpPort):
    """Serves ``/metrics``, ``/livez`` and ``/readyz`` for all processes until it is closed.

    The metrics are those of every process, with the label ``process``. The server is ready if one process is, and
    degraded if another one is not.

    Args:
        members: the processes; they serve metrics to this one.
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        token: the bearer token of the metrics, see :class:`facet.server.observability.metrics_port.MetricsPort`.

    Raises:
        OSError: the address is in use, or does not belong to this machine.
    """

    def __init__(self, members: Sequence[Member], host: str, port: int, token: SecretStr | None) -> None:
        registry, asked, may_read = CollectorRegistry(), _Asked(members, token), Guard(token)
        registry.register(asked)
        refused = Counter(_REFUSED, "Requests for metrics without the token.", registry=registry)
        metrics = guarded(in_known_versions(make_wsgi_app(registry)), may_read, refused)
        ready = probe(asked.why_not_ready, asked.why_degraded, may_read)
        pages = {"/metrics": metrics, "/": metrics, "/readyz": ready}
        super().__init__(host, port, probes={"/livez": probe(lambda: "", lambda: "", may_read)}, pages=pages)


class _Asked(Collector):
    """What the processes answer."""

    def __init__(self, members: Sequence[Member], token: SecretStr | None) -> None:
        self._members = members
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}

    def why_not_ready(self) -> str:
        """Why no calls should be sent; empty if a process serves."""
        answers = self._readiness()
        if any(answer.status == http.client.OK for answer in answers):
            return ""
        return answers[0].text if answers else "no process serves"

    def why_degraded(self) -> str:
        """What the server cannot do; empty if all processes serve and can do everything."""
        ready = [answer.text for answer in self._readiness() if answer.status == http.client.OK]
        if len(ready) < len(self._members):
            return f"DEGRADED: {len(ready)} of {len(self._members)} processes serve"
        return next((text for text in ready if text != _OK), "")

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics of all processes."""
        families: dict[str, Metric] = {}
        up = GaugeMetricFamily("facet_process_up", "1 if the process serves, else 0.", labels=[_LABEL])
        restarts = CounterMetricFamily(
            "facet_process_restarts", "How often the process was started again after it had died.", labels=[_LABEL]
        )
        for member in self._members:
            number = str(member.number)
            answer = self._ask(member, "/metrics")
            serves = answer is not None and answer.status == http.client.OK
            up.add_metric([number], int(serves))
            restarts.add_metric([number], member.restarts)
            if answer is not None and serves:
                _merge(families, answer.text, {_LABEL: number})
        yield from (up, restarts, *(each for each in families.values() if not each.name.startswith(_REFUSED)))

    def _readiness(self) -> list[_Answer]:
        return [answer for each in self._members if (answer := self._ask(each, "/readyz")) is not None]

    def _ask(self, member: Member, path: str) -> _Answer | None:
        """The answer of a process; ``None`` if it does not answer."""
        if not member.metrics_address:
            return None
        connection = http.client.HTTPConnection(member.metrics_address, timeout=_ASK_SECONDS)
        try:
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            return _Answer(response.status, response.read().decode().strip())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _merge(families: dict[str, Metric], text: str, label: Mapping[str, str]) -> None:
    for family in text_string_to_metric_families(f"{text}\n"):
        merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        merged.samples += [sample._replace(labels={**sample.labels, **label}) for sample in family.samples]
