"""Metrics for Prometheus, their dashboard, the latencies of GetServerInfo, and the log of slow requests."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from facet import Client, FailedPrecondition, InvalidArgument, NotFound, Unauthenticated, picture, stream_frame
from facet.client.requests import enroll_request
from facet.server.processes.metrics import ProcessesPort
from facet.server.processes.processes import Member
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from tests.alert_rules import read_alert_rules
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving, Start

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "deploy" / "grafana" / "facet.json"
RULES = ROOT / "deploy" / "prometheus" / "facet.rules.yml"

PERSON, NAME = "Rumpelstilzchen-4711", "Hans im Glück"
GALLERY = "guests"
FLUSH = ("--monitoring.flush-seconds", "0.1")
OF_SCRAPING = {"instance", "job", "le"}
"""Labels that Prometheus or a histogram adds."""
OF_PROMETHEUS: dict[str, set[str]] = {"up": set()}
"""Metrics that Prometheus itself makes of each target."""


@pytest.fixture(scope="module")
def used(start: Start, tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Iterator[Serving]:
    """A server that has served every kind of request, both with and without success."""
    serving = start(tmp_path_factory.mktemp("metrics"), "--metrics.port", "0", "--metrics.slow-ms", "0", *FLUSH)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        client.enroll(GALLERY, PERSON, pictures.yaoming, display_name=NAME)
        assert client.identify(GALLERY, pictures.players).faces
        assert client.verify((GALLERY, PERSON), pictures.yaoming).same
        client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(pictures.six)))
        client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.street)))
        with pytest.raises(NotFound):
            client.identify("nowhere", pictures.yaoming)
        with pytest.raises(InvalidArgument):
            client.identify(GALLERY, b"no picture")
        with pytest.raises(FailedPrecondition):
            client.enroll(GALLERY, PERSON, pictures.players)
        items = [
            gallery_pb.EnrollBatchRequest(item_id="good", enrollment=enroll_request(GALLERY, PERSON, pictures.yaoming)),
            gallery_pb.EnrollBatchRequest(item_id="bad", enrollment=enroll_request(GALLERY, PERSON, b"no picture")),
        ]
        assert len(list(client.galleries.EnrollBatch(iter(items)))) == 2
        assert len(list(client.identify_batch(GALLERY, [("good", pictures.yaoming), ("bad", b"no picture")]))) == 2
        frames = [stream_frame(1, pictures.yaoming, 0.0), stream_frame(2, pictures.yaoming[:300], 0.1)]
        settings = pb.StreamSettings(camera="hall", gallery_id=GALLERY, lossless=True)
        assert len(list(client.identify_stream(settings, frames))) == 2
    until(lambda: "facet_drift_sources{" in scrape(serving))
    try:
        yield serving
    finally:
        serving.stop()


def scrape(serving: Serving) -> str:
    with urllib.request.urlopen(f"http://{serving.said['metrics_address']}/metrics", timeout=30) as response:
        return str(response.read().decode())


def families(serving: Serving) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(scrape(serving))}


def families_of_processes() -> dict[str, Metric]:
    """What the port of several processes adds to their metrics."""
    port = ProcessesPort((Member(1),), "127.0.0.1", 0, None)
    try:
        with urllib.request.urlopen(f"http://{port.address}/metrics", timeout=60) as response:
            return {family.name: family for family in text_string_to_metric_families(response.read().decode())}
    finally:
        port.close()


def exported_labels(exporting: dict[str, Metric]) -> dict[str, set[str]]:
    """The labels of every exported metric. A counter that has counted nothing has none yet."""
    exported: dict[str, set[str]] = {}
    for family in exporting.values():
        exported.setdefault(f"{family.name}_total" if family.type == "counter" else family.name, set())
        for sample in family.samples:
            exported.setdefault(sample.name, set()).update(sample.labels)
    return exported


@pytest.fixture
def values(used: Serving) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(used).values()
        for sample in family.samples
    }


def of(values: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return values.get((name, frozenset(labels.items())), 0.0)


def test_calls_and_items_of_batches_are_counted_by_method_and_status(
    values: dict[tuple[str, frozenset[tuple[str, str]]], float],
) -> None:
    for method, code, count in (
        ("Identify", "OK", 1),
        ("Identify", "NOT_FOUND", 1),
        ("Identify", "INVALID_ARGUMENT", 1),
        ("EnrollFace", "OK", 1),
        ("EnrollFace", "FAILED_PRECONDITION", 1),
        ("EnrollBatch", "OK", 1),
        ("EnrollBatch", "INVALID_ARGUMENT", 1),
        ("IdentifyBatch", "OK", 1),
        ("IdentifyBatch", "INVALID_ARGUMENT", 1),
        ("IdentifyStream", "OK", 1),
        ("IdentifyStream", "INVALID_ARGUMENT", 1),
    ):
        assert of(values, "facet_call_seconds_count", method=method, code=code) == count, (method, code)
    for method in ("EnrollBatch", "IdentifyBatch", "IdentifyStream"):
        assert of(values, "facet_streams_total", method=method, code="OK") == 1
    assert of(values, "facet_stream_age_seconds_count") == 2
    assert of(values, "facet_stream_embeddings_total") == 1
    assert of(values, "facet_stream_events_total", kind="appeared") == 1


def test_stages_are_counted_by_method_and_model(
    values: dict[tuple[str, frozenset[tuple[str, str]]], float],
) -> None:
    models = {"detect": "yolo11n.onnx", "faces": "scrfd_500m_bnkps.onnx", "embed": "w600k_mbf.onnx"}
    for stage in ("queue", "decode", "detect", "faces", "align", "embed", "search"):
        labels = {"method": "Identify", "stage": stage, "model": models.get(stage, "")}
        assert of(values, "facet_stage_seconds_count", **labels) >= 1, stage
    assert of(values, "facet_embedding_batch_faces_sum") > 20, "all players are one batch"


def test_refusals_are_counted_by_reason(
    values: dict[tuple[str, frozenset[tuple[str, str]]], float],
) -> None:
    for method, reason in (
        ("Identify", "GALLERY_NOT_FOUND"),
        ("Identify", "INVALID_PICTURE"),
        ("EnrollFace", "SEVERAL_FACES"),
        ("EnrollBatch", "INVALID_PICTURE"),
    ):
        assert of(values, "facet_refusals_total", method=method, reason=reason) == 1, (method, reason)


def test_decisions_faces_queue_galleries_and_process_are_exported(
    values: dict[tuple[str, frozenset[tuple[str, str]]], float],
) -> None:
    assert of(values, "facet_decisions_total", decision="match") == 2
    assert of(values, "facet_decisions_total", decision="unknown") > 20
    assert of(values, "facet_decisions_total", decision="same") == 1
    assert of(values, "facet_faces_per_picture_count") == 3
    assert of(values, "facet_workers") >= 1
    assert of(values, "facet_queue_max") == 32
    assert {labels for name, labels in values if name == "facet_queue_waiting"} == {
        frozenset({("priority", priority)}) for priority in ("live", "enrollment", "batch", "background")
    }
    assert of(values, "facet_gallery_subjects", gallery=GALLERY) == 1
    assert of(values, "facet_gallery_templates", gallery=GALLERY) == 1
    assert of(values, "process_resident_memory_bytes") > 0


def test_metrics_and_log_contain_no_personal_data(used: Serving) -> None:
    for text in (scrape(used), used.log.read_text("utf-8")):
        assert GALLERY in scrape(used)
        for secret in (PERSON, NAME, "Hans", json.dumps(NAME)):
            assert secret.lower() not in text.lower()


def test_server_info_has_latencies_of_stages_and_methods(used: Serving) -> None:
    with Client(used.address) as client:
        info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
        again = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    stages = {latency.stage: latency for latency in info.stage_latencies}
    assert list(stages) == ["decode", "queue", "detect", "faces", "align", "embed", "search", "store"]
    for latency in stages.values():
        assert 0 < latency.since_start.p50_ms <= latency.since_start.p95_ms <= latency.since_start.p99_ms
        assert latency.last_minute.count <= latency.since_start.count
    methods = {latency.method: latency.since_start.count for latency in info.method_latencies}
    assert (methods["Identify"], methods["EnrollFace"], methods["EnrollBatch"]) == (1, 1, 1), "only calls answered OK"
    assert (info.queue.waiting, info.queue.busy, info.queue.max_waiting) == (0, 0, 32)
    assert info.queue.workers >= 1
    asked = {latency.method: latency.since_start.count for latency in again.method_latencies}
    assert asked["GetServerInfo"] == methods.get("GetServerInfo", 0) + 1
    assert (again.version, again.start_time, again.models) == (info.version, info.start_time, info.models)


def test_a_slow_request_is_logged_as_a_warning_with_its_stages(used: Serving) -> None:
    calls = [line for line in used.log_lines() if line["event"] == "call"]
    (identified,) = (line for line in calls if line["method"] == "RecognitionService/Identify" and line["code"] == "OK")
    assert identified["level"] == "warning"
    stages = [identified[f"{stage}_ms"] for stage in ("queue", "decode", "detect", "faces", "align", "embed", "search")]
    assert 0 < sum(stages) <= identified["ms"] + 0.1 * len(stages)
    assert identified["request_id"]
    (batch,) = (line for line in calls if line["method"] == "GalleryService/EnrollBatch")
    assert batch["level"] == "info", "a long stream is not slow"


def test_alert_rules_are_promql_over_exported_metrics_and_hold_without_traffic(used: Serving) -> None:
    rules = read_alert_rules(RULES)
    assert len(rules) >= 8
    exported = exported_labels(families(used) | families_of_processes()) | OF_PROMETHEUS
    for rule in rules:
        rule.must_hold(exported)


def test_the_dashboard_uses_only_exported_metrics_and_labels(used: Serving) -> None:
    exported = exported_labels(families(used))
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    assert len(queries) > 30
    for query in queries:
        named = re.findall(r"\b(?:facet|process|python)_\w+", query)
        assert named, query
        assert not set(named) - exported.keys(), query
        known = OF_SCRAPING.union(*(exported[name] for name in named))
        selected = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', query)
        grouped = re.findall(r"\b(?:by|label_values)\s*\(([^()]*)\)", query)
        labels = {label.strip() for group in grouped for label in group.split(",")}.difference(named)
        assert not labels.union(selected) - known, query


def test_the_panels_of_the_dashboard_do_not_overlap_and_have_descriptions() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not places & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        places |= cells
        assert panel["type"] == "row" or panel["description"]
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == [
        *("Traffic", "Latency", "Queue", "Refusals", "Decisions", "Cameras", "Galleries", "Process"),
        *("Connections and limits", "Drift"),
    ]


def test_documented_and_exported_metrics_are_the_same(used: Serving) -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    documented = set(re.findall(r"`(facet_\w+)`", text))
    everything = families(used) | families_of_processes()
    exported = {name for name in everything if name.startswith("facet_") and not name.endswith("_created")}
    counters = {name for name, family in everything.items() if family.type == "counter"}
    assert documented == {f"{name}_total" if name in counters else name for name in exported}


def test_a_call_without_the_token_counts_as_a_refusal(serve: Serve) -> None:
    serving = serve("--metrics.port", "0", "--models.objects", "none", "--server.token", "t")
    with Client(serving.address) as client, pytest.raises(Unauthenticated):
        client.create_gallery("g")
    counted: list[dict[str, str]] = []
    while not counted:  # the client gets the status just before the call is counted
        refusals = families(serving)["facet_refusals"].samples
        counted = [sample.labels for sample in refusals if sample.name == "facet_refusals_total"]
    assert counted == [{"method": "CreateGallery", "reason": "UNAUTHENTICATED"}]


def test_metrics_are_off_by_default(server: Serving) -> None:
    assert server.said["metrics_address"] == ""
    assert not [line for line in server.log_lines() if line["event"] == "metrics"]
