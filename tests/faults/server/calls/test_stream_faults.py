"""Streams of frames whose client stalls, never reads or disconnects, and servers that shut down meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING

import grpc
import pytest

from facet import Client, DeadlineExceeded, FacetError, InvalidArgument, Unavailable, stream_frame
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving, Start

PATIENCE = 60.0
LOSSLESS = pb.StreamSettings(gallery_id="g", lossless=True)
LIVE = pb.StreamSettings(gallery_id="g")


@pytest.fixture(scope="module")
def impatient(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that waits half a second for the next frame, and has an empty gallery."""
    serving = start(tmp_path_factory.mktemp("streams"), "--server.stall-seconds", "0.5", "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        yield client
    serving.stop()


def messages(settings: pb.StreamSettings, frames: Iterable[pb.StreamFrame]) -> Iterator[pb.IdentifyStreamRequest]:
    yield pb.IdentifyStreamRequest(settings=settings)
    for frame in frames:
        yield pb.IdentifyStreamRequest(frame=frame)


def endless(picture: bytes) -> Iterator[pb.StreamFrame]:
    return (stream_frame(number, picture, number / 15) for number in count())


def stalling(frames: Iterable[pb.IdentifyStreamRequest], until: threading.Event) -> Iterator[pb.IdentifyStreamRequest]:
    """Some messages, then nothing, without an end."""
    yield from frames
    until.wait(PATIENCE)


def ended(serving: Serving) -> list[str]:
    """The codes with which streams have ended."""
    lines = serving.log_lines()
    return [line["code"] for line in lines if str(line.get("method", "")).endswith("/IdentifyStream")]


@pytest.mark.parametrize("settings", [LOSSLESS, LIVE], ids=["lossless", "live"])
@pytest.mark.parametrize("sent", [0, 1, 4])
def test_a_client_that_sends_nothing_more_is_cut_off(
    impatient: Client, pictures: Pictures, settings: pb.StreamSettings, sent: int
) -> None:
    until = threading.Event()
    frames = [stream_frame(number, pictures.yaoming, number / 15) for number in range(sent - 1)]
    some = list(messages(settings, frames))[:sent]
    answered: list[pb.IdentifyStreamResponse] = []
    with pytest.raises(DeadlineExceeded) as caught:
        answered.extend(impatient.recognition.IdentifyStream(stalling(some, until)))
    until.set()
    assert caught.value.reason == "TRANSFER_STALLED"
    assert len(answered) + (answered[-1].dropped if answered else 0) == len(frames)


@pytest.mark.parametrize("settings", [LOSSLESS, LIVE], ids=["lossless", "live"])
def test_a_client_that_never_reads_is_cut_off_and_costs_others_nothing(
    serve: Serve, pictures: Pictures, settings: pb.StreamSettings
) -> None:
    serving = serve("--server.stall-seconds", "0.5", "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        assert client.identify("g", pictures.yaoming).faces
        before = serving.resident_bytes()
        # No more is sent ahead of a reader than HTTP/2's first window, so that answers as short as these fill it soon.
        with grpc.insecure_channel(serving.address, [("grpc.http2.bdp_probe", 0)]) as channel:
            stub = RecognitionServiceStub(channel)
            calls = [stub.IdentifyStream(messages(settings, endless(bytes(100_000)))) for _ in range(2)]
            while len(ended(serving)) < len(calls):
                assert client.identify("g", pictures.yaoming).faces
            for call in calls:
                with pytest.raises(grpc.RpcError):
                    list(call)
        assert serving.resident_bytes() - before < 100 << 20
    assert not [line for line in serving.log_lines() if "exception" in line]


@pytest.mark.parametrize("lossless", [True, False], ids=["lossless", "live"])
def test_tracks_of_a_client_that_sends_nothing_more_leave_before_it_is_cut_off(
    impatient: Client, pictures: Pictures, lossless: bool
) -> None:
    settings = pb.StreamSettings(gallery_id="g", lossless=lossless, end_tracks=True)
    until = threading.Event()
    some = list(messages(settings, [stream_frame(number, pictures.yaoming, number / 15) for number in range(3)]))
    answered: list[pb.IdentifyStreamResponse] = []
    with pytest.raises(DeadlineExceeded) as caught:
        answered.extend(impatient.recognition.IdentifyStream(stalling(some, until)))
    until.set()
    assert caught.value.reason == "TRANSFER_STALLED"
    assert answered[-1].end_of_stream
    assert [event.kind for event in answered[-1].events] == [pb.TRACK_EVENT_KIND_LEFT]


def test_tracks_leave_before_a_server_shuts_down(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--server.drain-seconds", str(PATIENCE), "--models.objects", "none")
    settings = pb.StreamSettings(gallery_id="g", lossless=True, end_tracks=True)
    with Client(serving.address) as client:
        client.create_gallery("g")
        answers = client.identify_stream(settings, endless(pictures.yaoming))
        answered = [next(answers), next(answers)]
        serving.process.terminate()
        with pytest.raises(Unavailable) as caught:
            answered.extend(answers)
    assert caught.value.reason == "SHUTTING_DOWN"
    assert [answer.end_of_stream for answer in answered] == [False] * (len(answered) - 1) + [True]
    assert [event.kind for event in answered[-1].events] == [pb.TRACK_EVENT_KIND_LEFT]
    assert serving.stop() == 0


@pytest.mark.parametrize("settings", [LOSSLESS, LIVE], ids=["lossless", "live"])
def test_a_server_that_shuts_down_answers_the_waiting_frame_and_a_restarted_one_counts_tracks_from_one(
    serve: Serve, pictures: Pictures, settings: pb.StreamSettings
) -> None:
    serving = serve("--server.drain-seconds", str(PATIENCE), "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        client.enroll("g", "yao", pictures.yaoming)
        answers = client.identify_stream(settings, endless(pictures.yaoming))
        answered = [next(answers), next(answers)]
        serving.process.terminate()
        with pytest.raises(Unavailable) as caught:
            answered.extend(answers)
        assert (caught.value.reason, caught.value.retry_after) == ("SHUTTING_DOWN", 1.0)
    assert serving.stop() == 0
    ids = [answer.frame_id for answer in answered]
    assert ids == sorted(set(ids))
    assert ended(serving) == ["UNAVAILABLE"]
    with Client(serve("--models.objects", "none").address) as client:
        frames = [stream_frame(number, pictures.yaoming, number / 15) for number in (90, 91, 92)]
        again = list(client.identify_stream(LOSSLESS, frames))
        assert [[track.track_id for track in answer.tracks] for answer in again] == [[1], [1], [1]]
        assert again[-1].tracks[0].subject_id == "yao"


def test_a_client_that_disconnects_ends_the_stream_and_frees_the_models(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        for settings in (LOSSLESS, LIVE):
            with closing(client.identify_stream(settings, endless(pictures.players))) as answers:
                next(answers)
        while len(ended(serving)) < 2:
            assert client.identify("g", pictures.yaoming).faces
    assert serving.stop() == 0
    assert ended(serving) == ["CANCELLED"] * 2
    assert not [line for line in serving.log_lines() if "exception" in line]


def test_a_stream_ends_at_its_clients_deadline(impatient: Client, pictures: Pictures) -> None:
    call = impatient.recognition.IdentifyStream(messages(LIVE, endless(pictures.yaoming)), timeout=0.5)
    with pytest.raises(DeadlineExceeded):
        list(call)
    assert impatient.identify("g", pictures.yaoming).faces


def test_bytes_that_are_no_message_end_the_stream(server: Serving, gallery: str, pictures: Pictures) -> None:
    settings = pb.StreamSettings(gallery_id=gallery, lossless=True)
    good = [each.SerializeToString() for each in messages(settings, [stream_frame(1, pictures.yaoming)])]
    answered: list[pb.IdentifyStreamResponse] = []
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(
            "/facet.v1.RecognitionService/IdentifyStream",
            request_serializer=bytes,
            response_deserializer=pb.IdentifyStreamResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as caught:
            answered.extend(call(iter([*good, b"\xff\xff\xff"])))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert [answer.frame_id for answer in answered] == [1]


def test_streams_take_turns_and_live_ones_come_before_files(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--models.objects", "none", "--server.workers", "1")
    enough, answered = threading.Event(), [0, 0, 0, 0]
    with Client(serving.address) as client:
        client.create_gallery("g")

        def watch(number: int, settings: pb.StreamSettings) -> None:
            with closing(client.identify_stream(settings, endless(pictures.yaoming))) as answers:
                for _ in answers:
                    answered[number] += 1
                    if enough.is_set() or sum(answered) > 200:
                        break
            enough.set()

        watchers = [
            threading.Thread(target=watch, args=(number, LOSSLESS if number == 3 else LIVE)) for number in range(4)
        ]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join(PATIENCE)
    live = answered[:3]
    assert min(live) > 0.5 * max(live)
    assert answered[3] < min(live)


def test_a_stream_needs_the_token(serve: Serve) -> None:
    serving = serve("--models.objects", "none", environment={"FACET_SERVER__TOKEN": "a-token-of-this-test"})
    with Client(serving.address, token="another") as client, pytest.raises(FacetError) as caught:
        list(client.identify_stream(LIVE, []))
    assert caught.value.reason == "UNAUTHENTICATED"
    with Client(serving.address, token="a-token-of-this-test") as client, pytest.raises(InvalidArgument):
        list(client.identify_stream(pb.StreamSettings(), []))
