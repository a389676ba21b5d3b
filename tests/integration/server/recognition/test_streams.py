"""IdentifyStream over gRPC, and identify_stream of both clients: tracks from good and bad frames."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from numpy.typing import NDArray

from facet import AsyncClient, Client, InvalidArgument, NotFound, from_status, picture, stream_frame
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import types_pb2
from tests.answers import events_of

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

RATE = 15
PLAYER = types_pb2.Box(x1=160, y1=405, x2=225, y2=490)
"""A face in the picture of players."""
LEFT, TOP, WIDTH, HEIGHT = 60, 300, 320, 320
"""The part of that picture that the camera sees."""

Array = NDArray[np.uint8]


@pytest.fixture(scope="module")
def players(pictures: Pictures) -> Array:
    return np.asarray(cv2.imdecode(np.frombuffer(pictures.players, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture
def team(client: Client, gallery: str, pictures: Pictures) -> str:
    """A gallery of one player."""
    enroll(client, gallery, pictures)
    return gallery


def enroll(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "left", pictures.players, face=types_pb2.FaceChoice(box=PLAYER), display_name="The left one")


def view(players: Array, moved: int = 0) -> bytes:
    """A frame of a camera that sees one player, moved to the right."""
    return jpeg(players[TOP : TOP + HEIGHT, LEFT + moved : LEFT + moved + WIDTH])


def jpeg(array: Array) -> bytes:
    return cv2.imencode(".jpg", array)[1].tobytes()


def clip(players: Array, count: int) -> list[pb.StreamFrame]:
    return [stream_frame(number, view(players, number % 8), number / RATE) for number in range(count)]


def lossless(gallery: str, **fields: Any) -> pb.StreamSettings:
    return pb.StreamSettings(gallery_id=gallery, lossless=True, **fields)


def kinds(answers: Iterable[pb.IdentifyStreamResponse], subject_id: str) -> list[str]:
    return [
        pb.TrackEventKind.Name(event.kind).removeprefix("TRACK_EVENT_KIND_")
        for answer in answers
        for event in answer.events
        if subject_id in (event.subject_id, event.previous_subject_id)
    ]


def named(answer: pb.IdentifyStreamResponse) -> set[str]:
    return {track.subject_id for track in answer.tracks if track.subject_id}


def reason(answer: pb.IdentifyStreamResponse) -> str:
    return from_status(answer.status).reason if answer.status.code else ""


Ask = Callable[[pb.StreamFrame], pb.IdentifyStreamResponse]


@contextmanager
def asking(client: Client, settings: pb.StreamSettings) -> Iterator[Ask]:
    """A stream that gets its next frame after the answer about the one before."""
    frames: queue.SimpleQueue[pb.StreamFrame | None] = queue.SimpleQueue()
    answers = client.identify_stream(settings, iter(frames.get, None))

    def ask(frame: pb.StreamFrame) -> pb.IdentifyStreamResponse:
        frames.put(frame)
        return next(answers)

    try:
        yield ask
    finally:
        frames.put(None)
        answers.close()


def test_every_frame_of_a_lossless_stream_is_answered_in_order_with_its_tracks(
    client: Client, team: str, players: Array
) -> None:
    answers = list(client.identify_stream(lossless(team, include_objects=True), clip(players, 30)))
    assert [answer.frame_id for answer in answers] == list(range(30))
    assert not any(answer.status.code or answer.dropped for answer in answers)
    assert kinds(answers, "left") == ["IDENTIFIED"]
    last = answers[-1]
    (track,) = [track for track in last.tracks if track.subject_id == "left"]
    assert (track.display_name, track.decision) == ("The left one", pb.TRACK_DECISION_IDENTIFIED)
    assert 0.5 < track.similarity <= 1
    assert 0 < track.face_quality <= 1
    assert 0 < track.decided_for_ms <= track.tracked_for_ms < 30 / RATE * 1e3
    assert track.face_box.x1 < track.landmarks.nose.x < track.face_box.x2
    assert track.person_box.x1 < track.face_box.x1
    assert {"person"} <= {found.class_name for found in last.objects}
    assert (last.picture_size.width, last.picture_size.height) == (WIDTH, HEIGHT)
    assert sum(answer.embedded for answer in answers) < 30
    assert all(answer.age_ms > 0 < answer.timings.total_ms for answer in answers)
    events = [event for answer in answers for event in answer.events]
    assert all(0 <= event.time.ToMicroseconds() / 1e6 < 30 / RATE for event in events)


def test_replaying_a_file_gives_the_same_tracks_and_events(client: Client, team: str, players: Array) -> None:
    one, other = (list(client.identify_stream(lossless(team), clip(players, 20))) for _ in range(2))
    assert [answer.tracks for answer in one] == [answer.tracks for answer in other]
    assert [events_of(answer) for answer in one] == [events_of(answer) for answer in other]


def test_a_live_stream_processes_the_newest_frame_and_counts_the_dropped_ones(
    client: Client, team: str, players: Array
) -> None:
    sent = clip(players, 80)
    answers = list(client.identify_stream(pb.StreamSettings(gallery_id=team), sent))
    ids = [answer.frame_id for answer in answers]
    assert ids == sorted(set(ids))
    assert ids[-1] == 79
    dropped = [answer.dropped for answer in answers]
    assert dropped == sorted(dropped)
    assert 0 < dropped[-1] == len(sent) - len(answers)


async def test_the_asyncio_client_accepts_iterators_and_async_iterators(
    server: Serving, client: Client, team: str, players: Array
) -> None:
    async def frames() -> Any:
        for frame in clip(players, 5):
            yield frame

    expected = list(client.identify_stream(lossless(team), clip(players, 5)))
    async with AsyncClient(server.address) as connected:
        for sent in (frames(), clip(players, 5)):
            answers = [answer async for answer in connected.identify_stream(lossless(team), sent)]
            assert [answer.tracks for answer in answers] == [answer.tracks for answer in expected]


async def test_both_clients_raise_what_the_iterator_of_frames_raises(
    server: Serving, client: Client, team: str, players: Array
) -> None:
    def frames() -> Iterator[pb.StreamFrame]:
        yield from clip(players, 2)
        raise OSError("the camera is gone")

    with pytest.raises(OSError, match="the camera is gone"):
        list(client.identify_stream(lossless(team), frames()))
    async with AsyncClient(server.address) as connected:
        with pytest.raises(OSError, match="the camera is gone"):
            [answer async for answer in connected.identify_stream(lossless(team), frames())]


def test_tracks_are_predicted_between_detections(client: Client, team: str, players: Array) -> None:
    answers = list(
        client.identify_stream(lossless(team, detection_interval=3, include_objects=True), clip(players, 12))
    )
    assert [answer.detected for answer in answers] == [True, False, False] * 4
    assert all(bool(answer.objects) == answer.detected for answer in answers)
    assert all(named(answer) == {"left"} for answer in answers[6:])
    assert not any(answer.embedded for answer in answers if not answer.detected)


def test_a_broken_picture_is_answered_with_its_error_and_tracks_go_on(
    client: Client, team: str, players: Array
) -> None:
    frames = clip(players, 16)
    frames[8].picture.encoded = frames[8].picture.encoded[:300]
    frames[9].ClearField("picture")
    frames[10].picture.encoded = b""
    answers = list(client.identify_stream(lossless(team), frames))
    assert [answer.frame_id for answer in answers] == list(range(16))
    assert [reason(answer) for answer in answers[7:12]] == [
        "",
        "INVALID_PICTURE",
        "INVALID_FIELD",
        "INVALID_PICTURE",
        "",
    ]
    assert all(list(from_status(answer.status).fields) == ["frame.picture"] for answer in answers[8:11])
    assert not any(answer.tracks or answer.HasField("picture_size") for answer in answers[8:11])
    assert kinds(answers, "left") == ["IDENTIFIED"]
    assert named(answers[7]) == named(answers[11]) == {"left"}


def test_frame_ids_that_do_not_rise_are_refused_one_by_one(client: Client, team: str, players: Array) -> None:
    ids = [3, 3, 7, 5, 8, 0, 2**64 - 1]
    frames = [stream_frame(number, view(players), at / RATE) for at, number in enumerate(ids)]
    answers = list(client.identify_stream(lossless(team), frames))
    assert [answer.frame_id for answer in answers] == ids
    refused = [3, 5, 0]
    assert [answer.frame_id for answer in answers if reason(answer)] == refused
    assert {(reason(answer), *from_status(answer.status).fields) for answer in answers if answer.status.code} == {
        ("INVALID_FIELD", "frame.frame_id")
    }
    live = list(client.identify_stream(pb.StreamSettings(gallery_id=team), frames))
    assert live[-1].frame_id == 2**64 - 1
    assert len(live) + live[-1].dropped == len(ids)


def test_capture_times_may_stand_still_go_back_or_be_missing_but_must_be_in_range(
    client: Client, team: str, players: Array
) -> None:
    frames = clip(players, 12)
    for number in (4, 5):
        frames[number].capture_time.CopyFrom(frames[2].capture_time)
    frames[7].ClearField("capture_time")
    frames[9].capture_time.nanos = 2_000_000_000
    answers = list(client.identify_stream(lossless(team), frames))
    assert [answer.frame_id for answer in answers if answer.status.code] == [9]
    assert (reason(answers[9]), *from_status(answers[9].status).fields) == ("INVALID_FIELD", "frame.capture_time")
    assert named(answers[-1]) == {"left"}
    assert all(answer.age_ms >= 0 for answer in answers)


def test_frames_may_change_their_size(client: Client, team: str, players: Array) -> None:
    sizes = [(320, 320), (320, 320), (640, 640), (640, 640), (1, 1), (1, 500), (320, 320), (320, 320)]
    around = players[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]
    frames = [
        stream_frame(number, jpeg(np.asarray(cv2.resize(around, size), np.uint8)), number / RATE)
        for number, size in enumerate(sizes)
    ]
    answers = list(client.identify_stream(lossless(team), frames))
    assert not any(answer.status.code for answer in answers)
    assert [(answer.picture_size.width, answer.picture_size.height) for answer in answers] == sizes
    for large in (2, 3):
        (track,) = [track for track in answers[large].tracks if track.subject_id == "left"]
        assert track.face_box.x2 - track.face_box.x1 > 80
    assert named(answers[-1]) == {"left"}
    (track_id,) = {track.track_id for answer in answers for track in answer.tracks if track.subject_id == "left"}
    assert track_id


def test_a_deleted_subject_loses_its_name_with_the_next_frame(client: Client, team: str, players: Array) -> None:
    frames = clip(players, 12)
    with asking(client, lossless(team, detection_interval=100)) as ask:
        before = [ask(frame) for frame in frames[:10]][-1]
        assert named(before) == {"left"}
        client.galleries.DeleteSubject(gallery_pb.DeleteSubjectRequest(gallery_id=team, subject_id="left"))
        after = ask(frames[10])
        assert reason(after) == ""
        assert not after.detected
        assert named(after) == set()
        (changed,) = [event for event in after.events if event.kind == pb.TRACK_EVENT_KIND_CHANGED]
        assert (changed.subject_id, changed.previous_subject_id) == ("", "")
        assert not changed.HasField("similarity")
        assert [track.track_id for track in after.tracks] == [track.track_id for track in before.tracks]


def test_an_enrolled_or_renamed_subject_is_named_with_the_next_frame(
    client: Client, gallery: str, players: Array, pictures: Pictures
) -> None:
    frames = clip(players, 14)
    with asking(client, lossless(gallery)) as ask:
        before = [ask(frame) for frame in frames[:10]]
        assert not any(map(named, before))
        assert not any(track.HasField("similarity") for answer in before for track in answer.tracks)
        enroll(client, gallery, pictures)
        after = ask(frames[10])
        assert named(after) == {"left"}
        assert kinds([after], "left") == ["IDENTIFIED"]
        renamed = gallery_pb.Subject(gallery_id=gallery, subject_id="left", display_name="Another name")
        client.galleries.UpdateSubject(
            gallery_pb.UpdateSubjectRequest(subject=renamed, update_mask=FieldMask(paths=["display_name"]))
        )
        assert {track.display_name for track in ask(frames[11]).tracks if track.subject_id} == {"Another name"}


def test_a_deleted_gallery_takes_the_names_and_may_come_back(
    client: Client, team: str, players: Array, pictures: Pictures
) -> None:
    frames = clip(players, 14)
    with asking(client, lossless(team)) as ask:
        before = [ask(frame) for frame in frames[:10]][-1]
        assert named(before) == {"left"}
        client.galleries.DeleteGallery(gallery_pb.DeleteGalleryRequest(gallery_id=team, force=True))
        gone = ask(frames[10])
        assert reason(gone) == "GALLERY_NOT_FOUND"
        assert kinds([gone], "left") == []
        assert pb.TRACK_EVENT_KIND_CHANGED in {event.kind for event in gone.events}
        assert gone.tracks
        assert named(gone) == set()
        assert reason(ask(frames[11])) == "GALLERY_NOT_FOUND"
        client.create_gallery(team)
        empty = ask(frames[12])
        assert (reason(empty), named(empty)) == ("", set())
        enroll(client, team, pictures)
        back = ask(frames[13])
        assert (reason(back), named(back)) == ("", {"left"})


def test_the_threshold_is_the_streams_or_the_one_chosen_for_the_gallery(
    client: Client, team: str, players: Array
) -> None:
    frames = clip(players, 8)
    assert named(list(client.identify_stream(lossless(team), frames))[-1]) == {"left"}
    assert named(list(client.identify_stream(lossless(team, threshold=0.99), frames))[-1]) == set()
    client.galleries.UpdateGallery(
        gallery_pb.UpdateGalleryRequest(
            gallery=gallery_pb.Gallery(gallery_id=team, threshold=0.99), update_mask=FieldMask(paths=["threshold"])
        )
    )
    assert named(list(client.identify_stream(lossless(team), frames))[-1]) == set()
    assert named(list(client.identify_stream(lossless(team, threshold=0.3), frames))[-1]) == {"left"}


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"gallery_id": ""}, "settings.gallery_id"),
        ({"threshold": 2.0}, "settings.threshold"),
        ({"threshold": float("nan")}, "settings.threshold"),
        ({"detection_interval": 0}, "settings.detection_interval"),
        ({"detection_interval": 101}, "settings.detection_interval"),
        ({"camera": "x" * 129}, "settings.camera"),
        ({"camera": "a\nb"}, "settings.camera"),
    ],
)
def test_invalid_settings_end_the_stream(client: Client, team: str, fields: dict[str, Any], blamed: str) -> None:
    settings = pb.StreamSettings(**{"gallery_id": team, **fields})
    with pytest.raises(InvalidArgument) as caught:
        list(client.identify_stream(settings, []))
    assert list(caught.value.fields) == [blamed]


def test_a_stream_without_settings_or_with_a_message_without_a_frame_ends(
    client: Client, team: str, players: Array
) -> None:
    settings = pb.IdentifyStreamRequest(settings=lossless(team))
    frame = pb.IdentifyStreamRequest(frame=pb.StreamFrame(frame_id=1, picture=picture(view(players))))
    for messages, blamed, answered in (
        ([], "settings", 0),
        ([pb.IdentifyStreamRequest()], "settings", 0),
        ([frame], "settings", 0),
        ([settings, frame, settings], "frame", 1),
        ([settings, frame, pb.IdentifyStreamRequest()], "frame", 1),
    ):
        answers: list[pb.IdentifyStreamResponse] = []
        with pytest.raises(InvalidArgument) as caught:
            answers.extend(client.recognition.IdentifyStream(iter(messages)))
        assert (list(caught.value.fields), len(answers)) == ([blamed], answered)
    assert not list(client.recognition.IdentifyStream(iter([settings])))


def test_a_gallery_that_does_not_exist_when_the_stream_begins_ends_it(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        list(client.identify_stream(lossless("no-such-gallery"), []))
    assert caught.value.reason == "GALLERY_NOT_FOUND"


def test_the_log_names_the_camera_of_a_stream_and_no_subject(
    client: Client, server: Serving, team: str, players: Array
) -> None:
    list(client.identify_stream(lossless(team, camera="the front door"), clip(players, 6)))
    (line,) = [line for line in server.log_lines() if line.get("camera") == "the front door"]
    assert (line["answered"], line["dropped"]) == (6, 0)
    assert "left" not in line.values()
