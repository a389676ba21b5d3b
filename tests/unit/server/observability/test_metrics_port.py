"""The HTTP port of the metrics, and the gauges that a scrape collects."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import SecretStr

from facet.server.access.access import Access
from facet.server.access.limits import CallerLimits
from facet.server.calls.calls import Calls
from facet.server.config import ServerConfig
from facet.server.gauges import MAX_GALLERIES, GallerySizes, Gauges
from facet.server.observability.metrics_port import MetricsPort
from facet.server.observability.readiness import Phase, Readiness
from facet.server.observability.telemetry import Telemetry
from facet.server.scheduling.workers import Workers
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.stores.sqlite.sqlite_store import SqliteStore

SECONDS = 30.0
TOKEN = "a-token-of-the-monitoring"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("seen", "Things.", registry=registry).inc()
    return registry


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    store = SqliteStore(tmp_path / "facet.sqlite3")
    galleries = Galleries(store, contract="c", dimension=4, max_templates_per_subject=10)
    yield galleries
    galleries.close()


def read(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=SECONDS) as response:
        return str(response.read().decode())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_metrics_are_served_over_http_until_the_port_is_closed(registry: CollectorRegistry, host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    port = MetricsPort(registry, Readiness(lambda: None), host, 0)
    assert "seen_total 1.0" in read(port.address)
    port.close()
    with pytest.raises(OSError, match="refused"):
        read(port.address)


def asked(port: MetricsPort, path: str, *authorization: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(port.address, timeout=SECONDS)
    connection.putrequest("GET", path)
    for value in authorization:
        connection.putheader("Authorization", value)
    connection.endheaders()
    answer = connection.getresponse()
    status, body = answer.status, answer.read().decode()
    connection.close()
    return status, body


@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_metrics_with_a_token_are_served_to_those_who_send_it(registry: CollectorRegistry, path: str) -> None:
    port = MetricsPort(registry, Readiness(lambda: None), "127.0.0.1", 0, SecretStr(TOKEN))
    wrong = ((), (TOKEN,), ("Bearer ",), (f"Bearer {TOKEN}x",), (f"Bearer {TOKEN[:-1]}",), (f"Basic {TOKEN}",))
    for given in (*wrong, (f"Bearer {TOKEN}", f"Bearer {TOKEN}"), ("Bearer \xe9",)):
        status, body = asked(port, path, *given)
        assert status == 401, given
        assert "seen" not in body
        assert TOKEN not in body
    body = asked(port, path, f"Bearer {TOKEN}")[1]
    assert "seen_total 1.0" in body
    assert "facet_scrapes_refused_total 8.0" in body
    port.close()


def test_probes_tell_strangers_no_reason(registry: CollectorRegistry) -> None:
    port = MetricsPort(registry, Readiness(lambda: None), "127.0.0.1", 0, SecretStr(TOKEN))
    assert asked(port, "/livez") == (200, "ok\n")
    assert asked(port, "/readyz") == (503, "not ready\n")
    assert asked(port, "/readyz", f"Bearer {TOKEN}") == (503, "starting\n")
    port.close()


@pytest.mark.parametrize("path", ["/metrics", "/", "/livez", "/readyz"])
def test_head_is_answered_as_get_without_the_body(registry: CollectorRegistry, path: str) -> None:
    readiness = Readiness(lambda: None)
    readiness.phase = Phase.SERVING
    assert not readiness.why_not_ready()
    port = MetricsPort(registry, readiness, "127.0.0.1", 0)
    for method in ("HEAD", "GET"):
        connection = http.client.HTTPConnection(port.address, timeout=SECONDS)
        connection.request(method, path)
        answer = connection.getresponse()
        length = int(answer.headers["Content-Length"])
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert length > 0
        assert len(answer.read()) == (length if method == "GET" else 0)
        connection.close()
    port.close()


def test_a_version_that_cannot_be_read_is_refused_and_not_logged(
    registry: CollectorRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    port = MetricsPort(registry, Readiness(lambda: None), "127.0.0.1", 0)
    accept = {"Accept": "application/openmetrics-text;version=next"}
    request = urllib.request.Request(f"http://{port.address}/metrics", headers=accept)
    with pytest.raises(urllib.error.HTTPError, match="406"):
        urllib.request.urlopen(request, timeout=SECONDS)
    assert "seen_total 1.0" in read(port.address)
    port.close()
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_port_in_use_is_an_error(registry: CollectorRegistry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        MetricsPort(registry, Readiness(lambda: None), "127.0.0.1", other.getsockname()[1])


def test_only_the_largest_galleries_have_a_size(galleries: Galleries) -> None:
    for number in range(MAX_GALLERIES + 5):
        galleries.create_gallery(f"g{number:03}", display_name="", threshold=0.5)
    enrollment = Enrollment(
        embedding=np.eye(4, dtype=np.float32)[0], contract="c", picture_sha256="0" * 64, box=(0, 0, 9, 9), quality=1.0
    )
    galleries.enroll("g104", "s", enrollment)
    sizes = GallerySizes(galleries)
    found = sizes.largest()
    sizes.close()
    assert len(found) == MAX_GALLERIES
    assert (found[0].gallery_id, found[0].template_count, found[0].subject_count) == ("g104", 1, 1)


def test_a_failed_store_has_no_sizes_rather_than_old_ones(galleries: Galleries) -> None:
    now = 0.0
    galleries.create_gallery("g", display_name="", threshold=0.5)
    sizes = GallerySizes(galleries, lambda: now)
    assert [gallery.gallery_id for gallery in sizes.largest()] == ["g"]
    galleries.close()
    assert [gallery.gallery_id for gallery in sizes.largest()] == ["g"], "cached"
    now = 60.0
    assert not sizes.largest()
    sizes.close()


def test_a_store_that_does_not_answer_does_not_block_other_gauges(galleries: Galleries) -> None:
    answering = threading.Event()

    class Slow(Galleries):
        def __init__(self) -> None:
            self.follower = None  # it opens no store

        def list_galleries(self, *, page_size: int, page_token: str = "") -> object:  # type: ignore[override]  # returns what the other galleries return
            assert answering.wait(SECONDS)
            return galleries.list_galleries(page_size=page_size, page_token=page_token)

    workers = Workers(threads=2, max_queue=7)
    registry = CollectorRegistry()
    calls = Calls(ServerConfig(), Access(None), CallerLimits(), Telemetry(()), slow_seconds=1.0)
    gauges = Gauges(workers, calls, Slow())
    registry.register(gauges)
    figures = {sample.name: sample.value for metric in gauges.collect() for sample in metric.samples}
    assert (figures["facet_workers"], figures["facet_queue_max"], figures["facet_open_calls"]) == (2, 7, 0)
    assert figures["facet_request_bytes_max"] == ServerConfig().request_budget
    answering.set()
    gauges.close()
    workers.close()
