"""A full queue, short deadlines, and a shutdown during requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facet import AsyncClient, Client, DeadlineExceeded, ResourceExhausted, Unavailable, picture
from facet.client.requests import enroll_request
from facet.runtime.pictures import DecodedPicture
from facet.server.app import Server
from facet.server.config import Config, GalleryConfig, ModelsConfig, ServerConfig
from facet.server.models import model_settings, pipeline_settings
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from recognizer.models.loading import PipelineModels, load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import NO_PROGRESS, Progress, Turns
from recognizer.settings import PipelineSettings
from recognizer.sources import Source
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving


class GatedPipeline(FacePipeline):
    """Counts the pictures it starts on, and makes each wait at a gate."""

    def __init__(self, models: PipelineModels, settings: PipelineSettings) -> None:
        super().__init__(models, settings)
        self.begun = 0
        self.reached = threading.Event()
        self.gate = threading.Event()

    def decode_in_turns(
        self, source: Source, progress: Progress = NO_PROGRESS, *, longer_side: int | None = None
    ) -> Turns[DecodedPicture]:
        self.begun += 1
        self.reached.set()
        assert self.gate.wait(60)
        return super().decode_in_turns(source, progress, longer_side=longer_side)


@dataclass(frozen=True, slots=True)
class Running:
    server: Server
    pipeline: GatedPipeline
    client: AsyncClient
    address: str

    async def detect(self, data: bytes, seconds: float | None = None) -> pb.DetectResponse:
        request = pb.DetectRequest(picture=picture(data))
        return await self.client.recognition.Detect(request, timeout=seconds)


@asynccontextmanager
async def running(folder: Path, *, max_queue: int, drain_seconds: float = 60) -> AsyncIterator[Running]:
    """A server with one worker in this process; its gate is closed."""
    config = Config(
        server=ServerConfig(port=0, workers=1, max_queue=max_queue, drain_seconds=drain_seconds),
        gallery=GalleryConfig(database=folder / "facet.sqlite3"),
        models=ModelsConfig(faces="scrfd_500m_bnkps"),
    )
    settings = pipeline_settings(config)
    pipeline = GatedPipeline(load_models(model_settings(config), settings), settings)
    server = Server(config, pipeline)
    address = await server.start()
    try:
        async with AsyncClient(address) as client:
            yield Running(server, pipeline, client, address)
    finally:
        pipeline.gate.set()
        await server.stop()


async def test_a_request_that_expires_in_the_queue_runs_no_model(tmp_path: Path, pictures: Pictures) -> None:
    async with running(tmp_path, max_queue=32) as at:
        first = asyncio.ensure_future(at.detect(pictures.street))
        await asyncio.to_thread(at.pipeline.reached.wait, 60)
        late = await asyncio.gather(*(at.detect(pictures.street, 0.5) for _ in range(16)), return_exceptions=True)
        assert all(isinstance(error, DeadlineExceeded) for error in late)
        at.pipeline.gate.set()
        await first
        await at.detect(pictures.street)
        assert at.pipeline.begun == 2


async def test_a_request_cancelled_in_the_queue_runs_no_model(tmp_path: Path, pictures: Pictures) -> None:
    async with running(tmp_path, max_queue=32) as at:
        first = asyncio.ensure_future(at.detect(pictures.street))
        await asyncio.to_thread(at.pipeline.reached.wait, 60)
        given_up = [asyncio.ensure_future(at.detect(pictures.street)) for _ in range(8)]
        # Once this call is answered, the calls sent before it have arrived.
        await at.client.create_gallery("arrived")
        for call in given_up:
            call.cancel()
        ended = await asyncio.gather(*given_up, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        await at.client.create_gallery("cancelled")
        at.pipeline.gate.set()
        await first
        await at.detect(pictures.street)
        assert at.pipeline.begun == 2


async def test_a_full_queue_refuses_requests_with_a_retry_delay(tmp_path: Path, pictures: Pictures) -> None:
    async with running(tmp_path, max_queue=2) as at:
        calls = [asyncio.ensure_future(at.detect(pictures.street)) for _ in range(5)]
        refused, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        at.pipeline.gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        errors = [each for each in results if isinstance(each, ResourceExhausted)]
        assert len(errors) == 2
        assert all(error.reason == "QUEUE_FULL" for error in errors)
        assert all(error.retry_after is not None and 0.05 <= error.retry_after < 60 for error in errors)
        assert sum(isinstance(each, pb.DetectResponse) for each in results) == 3
        assert refused
        await at.detect(pictures.street)


async def test_a_request_that_would_miss_its_deadline_is_refused_at_once(tmp_path: Path, pictures: Pictures) -> None:
    async with running(tmp_path, max_queue=32) as at:
        with pytest.raises(DeadlineExceeded):
            await at.detect(pictures.street, 1.0)
        at.pipeline.gate.set()
        await at.detect(pictures.street)
        at.pipeline.gate.clear()
        at.pipeline.reached.clear()
        running_on = asyncio.ensure_future(at.detect(pictures.street))
        await asyncio.to_thread(at.pipeline.reached.wait, 60)
        with pytest.raises(ResourceExhausted) as caught:
            await at.detect(pictures.street, 1.0)
        assert caught.value.reason == "DEADLINE_TOO_SHORT"
        assert caught.value.retry_after is not None
        at.pipeline.gate.set()
        await running_on


async def test_a_client_that_floods_the_queue_is_refused_instead_of_another_one(
    tmp_path: Path, pictures: Pictures
) -> None:
    own_connection = [("grpc.use_local_subchannel_pool", 1)]  # channels of one process share connections otherwise
    async with running(tmp_path, max_queue=4) as at, grpc.aio.insecure_channel(at.address, own_connection) as channel:
        other = RecognitionServiceStub(channel)
        flood = [asyncio.ensure_future(at.detect(pictures.street)) for _ in range(5)]
        await asyncio.to_thread(at.pipeline.reached.wait, 60)
        await at.client.create_gallery("arrived")
        answered: list[str] = []
        for each in flood:
            each.add_done_callback(lambda _done: answered.append("flood"))
        calling = asyncio.ensure_future(other.Detect(pb.DetectRequest(picture=picture(pictures.street))))
        calling.add_done_callback(lambda _done: answered.append("other"))
        refused, _ = await asyncio.wait(flood, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        at.pipeline.gate.set()
        assert (await calling).objects
        results = await asyncio.gather(*flood, return_exceptions=True)
        errors = [each for each in results if isinstance(each, ResourceExhausted)]
        assert len(refused) == 1
        assert [error.reason for error in errors] == ["QUEUE_FULL"]
        assert answered.index("other") <= 2, "after the one that was refused and the one that was running"


async def test_a_batch_waits_when_the_queue_is_full(tmp_path: Path, pictures: Pictures) -> None:
    async with running(tmp_path, max_queue=0) as at:
        await at.client.create_gallery("g")
        at.pipeline.gate.set()
        items = [
            gallery_pb.EnrollBatchRequest(item_id=str(i), enrollment=enroll_request("g", "yao", pictures.yaoming))
            for i in range(6)
        ]
        answers = [answer async for answer in at.client.galleries.EnrollBatch(iter(items))]
        assert [answer.status.code for answer in answers] == [0] * 6


async def test_shutdown_finishes_accepted_requests_and_sends_new_ones_elsewhere(
    tmp_path: Path, pictures: Pictures, server: Serving
) -> None:
    async with running(tmp_path, max_queue=4) as at, first_of(at.address, server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        accepted = [asyncio.ensure_future(at.detect(pictures.street)) for _ in range(3)]
        await asyncio.to_thread(at.pipeline.reached.wait, 60)
        await at.client.create_gallery("arrived")
        stopping = asyncio.ensure_future(at.server.stop())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        async with asyncio.timeout(PATIENCE):
            while not await is_served_by_the_other(health):
                pass
        with pytest.raises(Unavailable):
            await at.detect(pictures.street)
        assert not stopping.done()
        at.pipeline.gate.set()
        answers = await asyncio.gather(*accepted)
        assert all(answer.objects for answer in answers)
        await stopping
        assert at.pipeline.begun == 3


def first_of(*addresses: str) -> grpc.aio.Channel:
    """A channel to the first of some servers, and to the next one when that tells it to go."""
    return grpc.aio.insecure_channel(f"ipv4:{','.join(addresses)}")


async def is_served_by_the_other(health: health_pb2_grpc.HealthStub) -> bool:
    """Whether a server that does not stop answers; gRPC itself ends a call that comes when it begins to stop."""
    try:
        answer = await health.Check(health_pb2.HealthCheckRequest())
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_shutdown_waits_at_most_drain_seconds(tmp_path: Path, pictures: Pictures) -> None:
    async with running(tmp_path, max_queue=4, drain_seconds=0.05) as at:
        call = asyncio.ensure_future(at.detect(pictures.street))
        await asyncio.to_thread(at.pipeline.reached.wait, 60)
        stopping = asyncio.ensure_future(at.server.stop())
        with pytest.raises(Unavailable):
            await call
        at.pipeline.gate.set()
        await stopping


def test_sigterm_finishes_accepted_requests_and_exits_with_zero(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--server.workers", "1", "--models.objects", "none")
    with Client(serving.address) as client:
        request = pb.AnalyzeFacesRequest(picture=picture(pictures.players), include_embeddings=True)
        calls = [client.recognition.AnalyzeFaces.future(request) for _ in range(6)]
        calls[0].result()
        serving.process.terminate()
        assert all(len(call.result().faces) > 20 for call in calls)
    assert serving.stop() == 0
    events = [line["event"] for line in serving.log_lines()]
    assert events[-1] == "stopped"
    assert events.index("draining") < events.index("stopped")
