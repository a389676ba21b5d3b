"""One port for the metrics and probes of all processes of a server."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from pydantic import SecretStr

from facet.server.observability.http_port import HttpPort
from facet.server.observability.metrics_port import Guard, State, guarded, in_known_versions, probe
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
        self._asked = asked
        refused = Counter(_REFUSED, "Requests for metrics without the token.", registry=registry)
        metrics = guarded(in_known_versions(make_wsgi_app(registry)), may_read, refused)
        pages = {"/metrics": metrics, "/": metrics, "/readyz": probe(asked.readiness, may_read)}
        super().__init__(host, port, probes={"/livez": probe(State, may_read)}, pages=pages)

    def close(self) -> None:
        """Stop listening, and drop the connections."""
        super().close()
        self._asked.close()


class _Asked(Collector):
    """What the processes answer."""

    def __init__(self, members: Sequence[Member], token: SecretStr | None) -> None:
        self._members = members
        self._together = ThreadPoolExecutor(max(1, len(members)), thread_name_prefix="ask-process")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}

    def close(self) -> None:
        """Ask no more."""
        self._together.shutdown()

    def readiness(self) -> State:
        """The server is ready if a process serves, and degraded unless all of them serve and can do everything."""
        answers = [answer for answer in self._ask_all("/readyz") if answer is not None]
        ready = [answer.text for answer in answers if answer.status == http.client.OK]
        if not ready:
            return State(problem=answers[0].text if answers else "no process serves")
        if len(ready) < len(self._members):
            return State(degraded=f"DEGRADED: {len(ready)} of {len(self._members)} processes serve")
        return State(degraded=next((text for text in ready if text != _OK), ""))

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics of all processes."""
        families: dict[str, Metric] = {}
        up = GaugeMetricFamily("facet_process_up", "1 if the process serves, else 0.", labels=[_LABEL])
        restarts = CounterMetricFamily(
            "facet_process_restarts", "How often the process was started again after it had died.", labels=[_LABEL]
        )
        for member, answer in zip(self._members, self._ask_all("/metrics"), strict=True):
            number = str(member.number)
            serves = answer is not None and answer.status == http.client.OK
            up.add_metric([number], int(serves))
            restarts.add_metric([number], member.restarts)
            if answer is not None and serves:
                _merge(families, answer.text, {_LABEL: number})
        yield from (up, restarts, *(each for each in families.values() if not each.name.startswith(_REFUSED)))

    def _ask_all(self, path: str) -> list[_Answer | None]:
        """The answers of all processes. They are asked together: those that have hung cost the time of one."""
        return [*self._together.map(lambda member: self._ask(member, path), self._members)]

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
