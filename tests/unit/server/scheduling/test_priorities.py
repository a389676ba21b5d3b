"""Which calls stand back behind which."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any, cast

from facet import picture
from facet.client.requests import enroll_request
from facet.server.config import EnrollmentConfig
from facet.server.scheduling.workers import Priority, Work, Workers
from facet.server.services.galleries import GalleryServicer
from facet.server.services.recognition import RecognitionServicer
from facet.server.streaming.batches import Batches
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from recognizer.quality import QualityLimits

NONE = cast("Any", None)
IMAGE = picture(b"not looked at before its turn")


class Call:
    """A call without a deadline."""

    def time_remaining(self) -> None:
        return None


async def test_one_picture_is_live_an_enrolment_stands_back_and_a_batch_further() -> None:
    workers, gate = Workers(threads=1, max_queue=8), threading.Event()
    batches = Batches(places=2, stall_seconds=60)
    limits = QualityLimits(min_size=0.0, min_sharpness=0.0, max_turn=90.0)
    recognition = RecognitionServicer(NONE, workers, NONE, batches, NONE, limits, 0.3)
    galleries = GalleryServicer(NONE, workers, NONE, NONE, NONE, batches, EnrollmentConfig(), 0.3)
    call = cast("Any", Call())
    enrollment = enroll_request("g", "somebody", b"not looked at before its turn")
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
    while sum(workers.waiting.values()) < len(calls):  # noqa: ASYNC110 - each takes its turns of the loop to get there
        await asyncio.sleep(0)
    assert workers.waiting == {Priority.LIVE: 2, Priority.ENROLLMENT: 1, Priority.BATCH: 2}
    for each in calls:
        each.cancel()
    await asyncio.wait(calls)
    assert workers.waiting == dict.fromkeys(Priority, 0)
    gate.set()
    await busy
    workers.close()
