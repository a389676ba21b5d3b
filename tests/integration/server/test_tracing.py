"""Traces as a collector receives them."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facet import Client, NotFound
from facet.client.requests import identify_request

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass(frozen=True, slots=True)
class Collector:
    """The received spans, and the endpoint for them."""

    endpoint: str
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Any]:
        service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        requests = [service.ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra tracing")
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Collector(f"http://127.0.0.1:{server.server_port}/v1/traces", bodies)
        server.shutdown()
        thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_is_a_span_in_its_clients_trace_with_child_spans_for_stages(
    serve: Serve, collector: Collector, pictures: Pictures
) -> None:
    serving = serve("--tracing.endpoint", collector.endpoint)
    with Client(serving.address) as client:
        client.create_gallery("guests")
        client.enroll("guests", "Rumpelstilzchen", pictures.yaoming, display_name="Hans")
        request = identify_request("guests", pictures.yaoming)
        client.recognition.Identify(request, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        with pytest.raises(NotFound):
            client.identify("nowhere", pictures.yaoming)
    assert serving.stop() == 0, "remaining spans are sent before the exit"
    spans = collector.spans()
    ours = [span for span in spans if span.trace_id.hex() == TRACE]
    (call,) = (span for span in ours if span.name == "Identify")
    assert call.parent_span_id.hex() == PARENT
    assert attributes(call)["rpc.grpc.status_code"] == "OK"
    stages = [span for span in ours if span is not call]
    assert {span.name for span in stages} == {"queue", "decode", "detect", "faces", "align", "embed", "search"}
    for stage in stages:
        assert stage.parent_span_id == call.span_id
        assert call.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        assert stage.end_time_unix_nano <= call.end_time_unix_nano
    (failed,) = (span for span in spans if attributes(span).get("rpc.grpc.status_code") == "NOT_FOUND")
    assert failed.trace_id.hex() != TRACE
    assert failed.status.code == 2
    for body in collector.bodies:
        assert not [person for person in (b"Rumpelstilzchen", b"Hans", b"guests") if person in body]


def test_the_clients_sampling_decision_is_respected(serve: Serve, collector: Collector, pictures: Pictures) -> None:
    serving = serve("--tracing.endpoint", collector.endpoint, "--tracing.ratio", "0", "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("guests")
        request = identify_request("guests", pictures.yaoming)
        client.recognition.Identify(request, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        client.recognition.Identify(request, metadata=(("traceparent", f"00-{'1' * 32}-{PARENT}-00"),))
        client.recognition.Identify(request, metadata=(("traceparent", "nonsense"),))
    assert serving.stop() == 0
    assert {span.trace_id.hex() for span in collector.spans()} == {TRACE}


def test_an_unresponsive_collector_delays_neither_requests_nor_shutdown(serve: Serve) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra tracing")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        serving = serve("--tracing.endpoint", endpoint, "--models.objects", "none")
        with Client(serving.address) as client:
            for number in range(100):
                client.create_gallery(f"g{number}")
        assert serving.stop() == 0


def test_without_opentelemetry_the_server_says_what_to_install(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError", "utf-8")
    result = refused("--tracing.endpoint", "http://127.0.0.1:4318", environment={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 1
    assert re.search(r"scripts/install tracing|-m pip install .*\[tracing\]", result.stderr)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("endpoint", ["http://user:secret@127.0.0.1:4318", "127.0.0.1:4317"])
def test_an_endpoint_that_is_invalid_or_contains_a_password_is_refused(refused: Refused, endpoint: str) -> None:
    result = refused("--tracing.endpoint", endpoint)
    assert result.returncode == 2
    assert "tracing.endpoint" in result.stderr
    assert "secret" not in result.stderr
