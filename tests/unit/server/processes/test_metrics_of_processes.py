"""One port for the metrics and probes of several processes: here two real ports of metrics stand for them."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import SecretStr

from facet.server.observability.http_port import HttpPort
from facet.server.observability.metrics_port import MetricsPort
from facet.server.observability.readiness import Phase, Readiness
from facet.server.processes.metrics import ProcessesPort
from facet.server.processes.processes import Member

SECONDS = 30.0
TOKEN = "a-token-of-the-monitoring"
UNAVAILABLE = 503


@pytest.fixture
def readiness() -> list[Readiness]:
    return [Readiness(lambda: None), Readiness(lambda: None)]


@pytest.fixture
def port(readiness: list[Readiness]) -> Iterator[ProcessesPort]:
    members = []
    ports = []
    for number, of_process in enumerate(readiness, 1):
        of_process.phase = Phase.SERVING
        registry = CollectorRegistry()
        Counter("seen", "Things.", ("kind",), registry=registry).labels("face").inc(number)
        ports.append(MetricsPort(registry, of_process, "127.0.0.1", 0, SecretStr(TOKEN)))
        members.append(Member(number, said={"metrics_address": ports[-1].address}))
    with (
        closing(ports[0]),
        closing(ports[1]),
        closing(ProcessesPort(members, "127.0.0.1", 0, SecretStr(TOKEN))) as port,
    ):
        yield port


def ask(port: ProcessesPort, path: str, token: str = TOKEN) -> tuple[int, str]:
    request = urllib.request.Request(f"http://{port.address}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_one_scrape_has_the_metrics_of_each_process(port: ProcessesPort) -> None:
    _, text = ask(port, "/metrics")
    assert text.count("# TYPE seen_total counter\n") == 1
    assert 'seen_total{kind="face",process="1"} 1.0\n' in text
    assert 'seen_total{kind="face",process="2"} 2.0\n' in text
    assert 'facet_process_up{process="2"} 1.0\n' in text


def test_a_scrape_without_the_token_is_refused_and_counted_once(port: ProcessesPort) -> None:
    assert ask(port, "/metrics", "another")[0] == 401
    _, text = ask(port, "/metrics")
    assert text.count("\nfacet_scrapes_refused_total") == 1
    assert "\nfacet_scrapes_refused_total 1.0\n" in text


def test_the_server_is_ready_as_long_as_one_process_is(port: ProcessesPort, readiness: list[Readiness]) -> None:
    assert ask(port, "/readyz") == (200, "ok\n")
    readiness[1].phase = Phase.DRAINING
    assert ask(port, "/readyz") == (200, "DEGRADED: 1 of 2 processes serve\n")
    assert ask(port, "/readyz", "another") == (200, "ok\n"), "strangers learn no reason"
    readiness[0].phase = Phase.DRAINING
    assert ask(port, "/readyz") == (UNAVAILABLE, "draining\n")
    assert ask(port, "/livez") == (200, "ok\n")


def test_a_process_that_does_not_answer_is_left_out() -> None:
    gone = Member(1, said={"metrics_address": "127.0.0.1:1"}, restarts=3)
    with closing(ProcessesPort((gone, Member(2)), "127.0.0.1", 0, None)) as alone:
        assert ask(alone, "/readyz") == (UNAVAILABLE, "no process serves\n")
        _, text = ask(alone, "/metrics")
    assert 'facet_process_up{process="1"} 0.0\n' in text
    assert 'facet_process_restarts_total{process="1"} 3.0\n' in text


def test_processes_are_asked_together() -> None:
    """So that a probe waits for one that has hung, not for all that have hung one after another."""
    asked = threading.Barrier(3)

    def answer_when_all_are_asked(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        asked.wait(SECONDS)
        start_response("200 OK", [])
        return [b"ok\n"]

    with ExitStack() as stack:
        members = []
        for number in (1, 2, 3):
            page = HttpPort("127.0.0.1", 0, probes={}, pages={"/readyz": answer_when_all_are_asked})
            stack.callback(page.close)
            members.append(Member(number, said={"metrics_address": page.address}))
        together = stack.enter_context(closing(ProcessesPort(members, "127.0.0.1", 0, None)))
        assert ask(together, "/readyz") == (200, "ok\n")
