"""Waiting for a server that is busy."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from evaluation.calls import patiently, patiently_blocking
from facet import FacetError, ResourceExhausted, from_status


def refusal(*, retry: bool) -> FacetError:
    status = Status(code=8, message="the queue is full")
    if retry:
        detail = Any()
        detail.Pack(RetryInfo())
        status.details.append(detail)
    return from_status(status)


class Answers:
    """A call that is refused for as long as there are refusals."""

    def __init__(self, *refusals: FacetError) -> None:
        self.refusals = list(refusals)

    def __call__(self) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        return "answered"

    async def later(self) -> str:
        return self()


async def test_a_busy_server_is_asked_again() -> None:
    assert patiently_blocking(Answers(refusal(retry=True), refusal(retry=True))) == "answered"
    assert await patiently(Answers(refusal(retry=True), refusal(retry=True)).later) == "answered"


async def test_a_request_that_is_too_large_is_not_sent_again() -> None:
    with pytest.raises(ResourceExhausted):
        patiently_blocking(Answers(refusal(retry=False)))
    with pytest.raises(ResourceExhausted):
        await patiently(Answers(refusal(retry=False)).later)
