"""Priorities: the order in which queued requests run, and the priority of each method."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from facet import picture
from facet.client.requests import enroll_request
from facet.server.config import EnrollmentConfig
from facet.server.monitoring.recorder import Recorder
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from facet.server.services.enrollment import Enrollments
from facet.server.services.galleries import GalleryServicer
from facet.server.services.recognition import RecognitionServicer
from facet.server.streaming.batches import Batches
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from gallery.times import now
from recognizer.quality import NO_LIMITS

if TYPE_CHECKING:
    from tests.unit.server.scheduling.conftest import HeldWorkers, HoldWorkers, Until

NONE = cast("Any", None)
IMAGE = picture(b"not decoded while it is queued")


class Call:
    """A call without a deadline."""

    def time_remaining(self) -> None:
        return None


async def test_urgent_work_runs_first_and_equal_work_in_order_of_arrival(held: HeldWorkers) -> None:
    await held.hold()
    for name, priority in (
        ("batch", Priority.BATCH),
        ("enrollment", Priority.ENROLLMENT),
        ("live", Priority.LIVE),
        ("live too", Priority.LIVE),
        ("enrollment too", Priority.ENROLLMENT),
    ):
        await held.send(name, Work(priority=priority))
    expected = {Priority.LIVE: 2, Priority.ENROLLMENT: 2, Priority.BATCH: 1, Priority.BACKGROUND: 0}
    assert held.workers.waiting == expected
    assert held.workers.busy == 1
    assert await held.release() == ["live", "live too", "enrollment", "enrollment too", "batch"]
    assert held.workers.waiting == dict.fromkeys(Priority, 0)


async def test_batch_work_that_waited_long_runs_before_younger_live_work(held: HeldWorkers) -> None:
    await held.hold()
    await held.send("batch", Work(priority=Priority.BATCH), never_refuse=True)
    await held.send("live", Work())
    held.clock.advance(3)
    await held.send("younger", Work())
    assert await held.release() == ["live", "batch", "younger"]


async def test_background_work_does_not_run_beside_other_work(hold_workers: HoldWorkers) -> None:
    held = hold_workers(threads=2)
    await held.hold()
    await held.send("background", Work(priority=Priority.BACKGROUND), never_refuse=True)
    assert held.workers.busy == 1, "one of the threads is free"
    assert await held.release() == ["background"]


async def test_background_work_that_waited_long_runs_before_younger_live_work(held: HeldWorkers) -> None:
    await held.hold()
    await held.send("background", Work(priority=Priority.BACKGROUND), never_refuse=True)
    await held.send("live", Work())
    held.clock.advance(6)
    await held.send("younger", Work())
    assert await held.release() == ["live", "background", "younger"]


async def test_only_a_few_items_of_a_batch_are_queued_at_a_time_and_all_run(workers: Workers, until: Until) -> None:
    gate = threading.Event()
    blocked = asyncio.ensure_future(workers.run(Work(), gate.wait))
    await until(lambda: workers.busy == 1)
    items = [Work(kind="IdentifyBatch", priority=Priority.BATCH) for _ in range(50)]
    batch = [asyncio.ensure_future(workers.run(each, lambda: 7, never_refuse=True)) for each in items]
    await until(lambda: sum(workers.waiting.values()) == 2 * workers.threads)
    live = asyncio.ensure_future(workers.run(Work(), lambda: 8))
    await until(lambda: workers.waiting[Priority.LIVE] == 1)  # by now every item has asked for a place
    waiting = workers.waiting[Priority.BATCH]
    gate.set()
    assert (await blocked, await live) == (True, 8)
    assert waiting == 2 * workers.threads
    assert await asyncio.gather(*batch) == [7] * 50


async def test_a_single_picture_is_live_and_batches_have_the_lowest_priority(until: Until) -> None:
    workers, gate = Workers(threads=1, max_queue=8), threading.Event()
    batches = Batches(places=2, stall_seconds=60)
    limits = NO_LIMITS
    models = cast("Any", SimpleNamespace(embedding_models={}, contract=""))
    recognition = RecognitionServicer(
        models, workers, NONE, batches, NONE, Recorder(is_on=False), NONE, limits, 0.3, NONE, NONE
    )
    only_clock = cast("Any", SimpleNamespace(clock=now))
    enrolling = Enrollments(NONE, workers, only_clock, EnrollmentConfig())
    galleries = GalleryServicer(
        NONE, workers, only_clock, NONE, NONE, NONE, NONE, batches, enrolling, NONE, NONE, NONE, NONE
    )
    call = cast("Any", Call())
    enrollment = enroll_request("g", "somebody", b"not decoded while it is queued")
    identification = pb.IdentifyRequest(gallery_id="g", picture=IMAGE)

    async def enrollments() -> AsyncIterator[gallery_pb.EnrollBatchRequest]:
        yield gallery_pb.EnrollBatchRequest(item_id="1", enrollment=enrollment)

    async def identifications() -> AsyncIterator[pb.IdentifyBatchRequest]:
        yield pb.IdentifyBatchRequest(item_id="1", identification=identification)

    busy = asyncio.ensure_future(workers.run(Work(), gate.wait))
    calls = [
        asyncio.ensure_future(each)
        for each in (
            recognition.Identify(identification, call),
            recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=IMAGE), call),
            galleries.EnrollFace(enrollment, call),
            anext(galleries.EnrollBatch(enrollments(), call)),
            anext(recognition.IdentifyBatch(identifications(), call)),
        )
    ]
    await until(lambda: sum(workers.waiting.values()) == len(calls))
    assert workers.waiting == {Priority.LIVE: 2, Priority.ENROLLMENT: 1, Priority.BATCH: 2, Priority.BACKGROUND: 0}
    for each in calls:
        each.cancel()
    await asyncio.wait(calls)
    assert workers.waiting == dict.fromkeys(Priority, 0)
    gate.set()
    await busy
    workers.close()
