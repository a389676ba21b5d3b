"""Streams of items whose client stalls or never reads, and a server that shuts down meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from facet import Client, DeadlineExceeded, FacetError, Unavailable
from facet.client.requests import enroll_request, identify_request
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

PATIENCE = 60.0


def stalling(first: list[Any], until: threading.Event) -> Iterator[Any]:
    """Some messages, then nothing, without an end."""
    yield from first
    until.wait(PATIENCE)


@pytest.mark.parametrize("items", [0, 3])
@pytest.mark.parametrize("method", ["EnrollBatch", "IdentifyBatch"])
def test_a_client_that_sends_nothing_more_is_cut_off(serve: Serve, pictures: Pictures, method: str, items: int) -> None:
    serving = serve("--server.stall-seconds", "0.5", "--models.objects", "none")
    until = threading.Event()
    with Client(serving.address) as client:
        client.create_gallery("g")
        if method == "EnrollBatch":
            enrollment = enroll_request("g", "yao", pictures.yaoming)
            sent: list[Any] = [gallery_pb.EnrollBatchRequest(item_id="a", enrollment=enrollment)] * items
            call: Iterator[Any] = client.galleries.EnrollBatch(stalling(sent, until))
        else:
            identification = identify_request("g", pictures.yaoming)
            sent = [pb.IdentifyBatchRequest(item_id="a", identification=identification)] * items
            call = client.recognition.IdentifyBatch(stalling(sent, until))
        answered: list[Any] = []
        with pytest.raises(DeadlineExceeded) as caught:
            answered.extend(call)
        until.set()
        assert caught.value.reason == "TRANSFER_STALLED"
        assert not answered or len(answered) == items


def test_a_client_that_never_reads_is_cut_off_and_costs_others_nothing(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--server.stall-seconds", "0.5", "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        for number in range(40):  # of long names, so that an answer is longer than what is sent ahead of a reader
            client.enroll("g", f"{number:0128}", pictures.yaoming, display_name="x" * 256, accept_lookalike=True)
        request = identify_request("g", pictures.players, top_k=40)
        assert client.recognition.Identify(request).ByteSize() > 300_000
        before = serving.resident_bytes()
        calls = [client.recognition.IdentifyBatch(endless(request)) for _ in range(4)]
        while ended(serving, "IdentifyBatch") < len(calls):
            assert client.identify("g", pictures.yaoming).faces
        for call in calls:
            with pytest.raises(FacetError):
                list(call)
        assert serving.resident_bytes() - before < 100 << 20


def endless(request: pb.IdentifyRequest) -> Iterator[pb.IdentifyBatchRequest]:
    for number in count():
        yield pb.IdentifyBatchRequest(item_id=str(number), identification=request)


def ended(serving: Serving, method: str) -> int:
    return sum(line.get("method", "").endswith(f"/{method}") for line in serving.log_lines())


def test_a_server_that_shuts_down_answers_accepted_items_and_ends_the_stream(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--server.drain-seconds", str(PATIENCE), "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        call = client.recognition.IdentifyBatch(endless(identify_request("g", pictures.yaoming)))
        answered = [next(call).item_id]
        serving.process.terminate()
        with pytest.raises(Unavailable) as caught:
            answered.extend(answer.item_id for answer in call)
        assert (caught.value.reason, caught.value.retry_after) == ("SHUTTING_DOWN", 1.0)
    assert serving.stop() == 0
    assert len(set(answered)) == len(answered)
    (line,) = [line for line in serving.log_lines() if str(line.get("method", "")).endswith("/IdentifyBatch")]
    assert line["code"] == "UNAVAILABLE"
