"""EnrollBatch reads from its client only as fast as the client reads the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from facet.server.config import EnrollmentConfig
from facet.server.scheduling.workers import Workers
from facet.server.services.enrollment import Enrollments
from facet.server.services.galleries import GalleryServicer
from facet.server.streaming.batches import Batches
from facet.v1 import gallery_service_pb2 as pb
from tests.waiting import turns

NONE = cast("Any", None)


class Call:
    """A call without a deadline."""

    def time_remaining(self) -> None:
        return None


async def test_a_client_that_does_not_read_answers_is_not_read_from() -> None:
    workers, batches = Workers(threads=1, max_queue=1), Batches(places=2, stall_seconds=60)
    servicer = _servicer(workers, batches)
    sent = 0

    async def requests() -> AsyncIterator[pb.EnrollBatchRequest]:
        nonlocal sent
        for number in range(100):
            sent += 1
            yield pb.EnrollBatchRequest(item_id=str(number))

    answers = servicer.EnrollBatch(requests(), cast("Any", Call()))
    first = await anext(answers)
    await turns(1000)
    assert first.status.code
    assert sent <= 2 * workers.threads + 1
    rest = [answer.item_id async for answer in answers]
    assert sorted([first.item_id, *rest], key=int) == [str(number) for number in range(100)]
    workers.close()


async def test_an_invalid_item_id_is_truncated_in_the_answer() -> None:
    workers, batches = Workers(threads=1, max_queue=1), Batches(places=2, stall_seconds=60)
    servicer = _servicer(workers, batches)

    async def requests() -> AsyncIterator[pb.EnrollBatchRequest]:
        yield pb.EnrollBatchRequest(item_id="x" * 1_000_000)

    (answer,) = [answer async for answer in servicer.EnrollBatch(requests(), cast("Any", Call()))]
    assert len(answer.item_id) == 128
    workers.close()


def _servicer(workers: Workers, batches: Batches) -> GalleryServicer:
    # items without a gallery id are refused before models or galleries are used
    enrollments = Enrollments(NONE, workers, NONE, EnrollmentConfig())
    return GalleryServicer(NONE, workers, NONE, NONE, NONE, NONE, NONE, batches, enrollments, NONE, NONE, NONE, NONE)
