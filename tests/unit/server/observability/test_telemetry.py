"""Observation of requests, without models."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from facet.server.errors import RequestExpired
from facet.server.observability import telemetry
from facet.server.observability.metrics import Metrics
from facet.server.observability.stopwatch import Stopwatch
from facet.server.observability.telemetry import Telemetry
from facet.server.streaming.batches import outcome
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from gallery.errors import GalleryNotFound
from tests.waiting import turns


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def ended(observing: Telemetry, method: str, code: str) -> float:
    return value(observing.metrics.registry, "facet_call_seconds_count", method=method, code=code)


async def test_a_call_and_its_tasks_share_one_stopwatch() -> None:
    observed = Telemetry(()).observe("Identify", is_stream=False)
    assert telemetry.stopwatch() is observed.stopwatch

    async def further() -> Stopwatch:
        return telemetry.stopwatch()

    assert await asyncio.create_task(further()) is observed.stopwatch


async def test_each_item_of_a_stream_has_its_own_stopwatch() -> None:
    observing = Telemetry(())
    stream = observing.observe("IdentifyBatch", is_stream=True)
    assert telemetry.stopwatch() is not telemetry.stopwatch()

    async def one() -> Stopwatch:
        with telemetry.item():
            await turns(1)
            with telemetry.stopwatch().stage("detect"):
                await turns(1)
            return telemetry.stopwatch()

    stopwatches = await asyncio.gather(one(), one(), one())
    assert len({id(each) for each in stopwatches}) == 3
    assert all(set(each.seconds()) == {"detect"} for each in stopwatches)
    stream.ended()
    assert ended(observing, "IdentifyBatch", "OK") == 3
    assert value(observing.metrics.registry, "facet_streams_total", method="IdentifyBatch", code="OK") == 1
    assert observing.stages.all()["detect"].since_start.count == 3
    assert observing.methods.all()["IdentifyBatch"].since_start.count == 3


async def test_a_failed_item_is_counted_with_the_status_sent_to_its_client() -> None:
    observing = Telemetry(())
    observing.observe("EnrollBatch", is_stream=True)

    async def fail(error: BaseException) -> None:
        raise error

    with telemetry.item():
        await outcome("a", lambda: fail(GalleryNotFound("g")))
    with pytest.raises(RequestExpired), telemetry.item():
        await fail(RequestExpired())
    with pytest.raises(asyncio.CancelledError), telemetry.item():
        await fail(asyncio.CancelledError())
    assert ended(observing, "EnrollBatch", "NOT_FOUND") == 1
    assert ended(observing, "EnrollBatch", "DEADLINE_EXCEEDED") == 1
    assert ended(observing, "EnrollBatch", "CANCELLED") == 1
    registry = observing.metrics.registry
    assert value(registry, "facet_refusals_total", method="EnrollBatch", reason="GALLERY_NOT_FOUND") == 1
    assert value(registry, "facet_refusals_total", method="EnrollBatch", reason="DEADLINE_EXCEEDED") == 1
    assert not observing.methods.all(), "only requests answered OK have a latency"
    counts = {key: latency.since_start.count for key, latency in observing.errors.all().items()}
    assert counts == {("NOT_FOUND", "GALLERY_NOT_FOUND"): 1, ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"): 1}


async def test_a_stream_is_open_until_it_ends() -> None:
    observing = Telemetry(())
    streams = [observing.observe("IdentifyStream", is_stream=True) for _ in range(2)]
    observing.observe("Identify", is_stream=False)
    assert +observing.open_streams == {"IdentifyStream": 2}
    for stream in streams:
        stream.ended()
    assert not +observing.open_streams


async def test_without_a_server_nothing_is_observed() -> None:
    with telemetry.item():
        telemetry.failed(RequestExpired())
        assert telemetry.stopwatch() is not telemetry.stopwatch()


def test_decisions_and_faces_are_counted() -> None:
    metrics = Metrics({})

    def found(*decisions: pb.Decision.ValueType) -> pb.IdentifyResponse:
        faces = [pb.IdentifiedFace(identification=pb.Identification(decision=decision)) for decision in decisions]
        return pb.IdentifyResponse(faces=faces)

    metrics.answered(found(pb.DECISION_MATCH, pb.DECISION_UNKNOWN, pb.DECISION_UNKNOWN))
    metrics.answered(pb.IdentifyBatchResponse(identification=found(pb.DECISION_REFUSED)))
    metrics.answered(pb.IdentifyBatchResponse(item_id="failed"))
    metrics.answered(pb.VerifyResponse(same=True))
    metrics.answered(gallery_pb.SearchEmbeddingResponse(identification=pb.Identification(decision=pb.DECISION_MATCH)))
    metrics.answered(pb.AnalyzeFacesResponse(faces=[pb.AnalyzedFace()] * 4))
    counted = {
        decision: value(metrics.registry, "facet_decisions_total", decision=decision)
        for decision in ("match", "unknown", "refused", "same", "different")
    }
    assert counted == {"match": 2, "unknown": 2, "refused": 1, "same": 1, "different": 0}
    assert value(metrics.registry, "facet_faces_per_picture_count") == 3
    assert value(metrics.registry, "facet_faces_per_picture_sum") == 8


async def test_a_stage_is_counted_with_its_model_and_batch_size() -> None:
    class File:
        def __init__(self, name: str) -> None:
            self.path = self
            self.name = name

    class Model:
        def __init__(self, role: str, name: str) -> None:
            self.role, self.file = role, File(name)

    one_for_both = cast("Any", (Model("objects", "yolo-face.onnx"), Model("embedding", "e.onnx")))
    observing = Telemetry(one_for_both)
    observed = observing.observe("Identify", is_stream=False)
    for stage, batch in (("detect", 0), ("faces", 0), ("embed", 3), ("embed", 5)):
        with observed.stopwatch.stage(cast("Any", stage), batch=batch):
            pass
    observed.ended()
    registry = observing.metrics.registry
    for stage, model in (("detect", "yolo-face.onnx"), ("faces", "yolo-face.onnx"), ("embed", "e.onnx")):
        labels = {"method": "Identify", "stage": stage, "model": model}
        assert value(registry, "facet_stage_seconds_count", **labels) == 1
    assert value(registry, "facet_embedding_batch_faces_count") == 2
    assert value(registry, "facet_embedding_batch_faces_sum") == 8
