"""The last answer of a stream: everybody who is still tracked leaves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest

from facet import Client, InvalidArgument, stream_frame
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures

RATE = 15


def frames(picture: bytes, count: int) -> Iterator[pb.StreamFrame]:
    return (stream_frame(number, picture, number / RATE) for number in range(1, count + 1))


def settings(gallery_id: str, *, end_tracks: bool = True, lossless: bool = True) -> pb.StreamSettings:
    return pb.StreamSettings(gallery_id=gallery_id, lossless=lossless, end_tracks=end_tracks)


@pytest.mark.parametrize("lossless", [True, False])
def test_tracks_leave_when_the_client_sends_no_more(
    client: Client, team: str, pictures: Pictures, lossless: bool
) -> None:
    sent = frames(pictures.yaoming, 4)
    *answers, end = client.identify_stream(settings(team, lossless=lossless), sent)
    assert not any(answer.end_of_stream for answer in answers)
    assert (end.end_of_stream, end.frame_id, end.dropped) == (True, 4, 4 - len(answers))
    (left,) = end.events
    assert (left.kind, left.track_id, left.subject_id) == (pb.TRACK_EVENT_KIND_LEFT, 1, "yao")
    assert left.time.ToMicroseconds() == pytest.approx(4 / RATE * 1e6, abs=1)
    assert {field.name for field, _ in end.ListFields()} <= {"frame_id", "dropped", "events", "end_of_stream"}


def test_a_stream_without_frames_or_tracks_ends_without_events(client: Client, team: str) -> None:
    (end,) = client.identify_stream(settings(team), [])
    assert (end.end_of_stream, end.frame_id, list(end.events)) == (True, 0, [])


def test_without_the_setting_there_is_no_last_answer(client: Client, team: str, pictures: Pictures) -> None:
    answers = list(client.identify_stream(settings(team, end_tracks=False), frames(pictures.yaoming, 2)))
    assert [answer.frame_id for answer in answers] == [1, 2]
    assert not any(answer.end_of_stream for answer in answers)


def test_who_has_left_already_does_not_leave_again(client: Client, team: str, pictures: Pictures) -> None:
    empty = (stream_frame(number, pictures.street, number / RATE) for number in range(3, 40))
    *answers, end = client.identify_stream(settings(team), chain(frames(pictures.yaoming, 2), empty))
    left = [event.subject_id for answer in answers for event in answer.events if event.subject_id == "yao"]
    assert left == ["yao", "yao"], "identified, and left"
    assert "yao" not in {event.subject_id for event in end.events}


def test_a_subject_deleted_before_the_end_leaves_without_a_name(client: Client, team: str, pictures: Pictures) -> None:
    def sent() -> Iterator[pb.StreamFrame]:
        yield from frames(pictures.yaoming, 2)
        client.galleries.DeleteSubject(gallery_pb.DeleteSubjectRequest(gallery_id=team, subject_id="yao"))
        yield stream_frame(3, pictures.yaoming, 3 / RATE)

    *_, end = client.identify_stream(settings(team), sent())
    assert [event.subject_id for event in end.events] == [""]


def test_tracks_leave_before_an_invalid_message_ends_the_stream(client: Client, team: str, pictures: Pictures) -> None:
    first = pb.IdentifyStreamRequest(settings=settings(team))
    requests = [first, *(pb.IdentifyStreamRequest(frame=each) for each in frames(pictures.yaoming, 2)), first]
    answers: list[pb.IdentifyStreamResponse] = []
    with pytest.raises(InvalidArgument):
        answers.extend(client.recognition.IdentifyStream(iter(requests)))
    assert [answer.end_of_stream for answer in answers] == [False, False, True]
    assert [event.subject_id for event in answers[-1].events] == ["yao"]


def test_a_frame_in_error_does_not_keep_tracks_from_leaving(client: Client, team: str, pictures: Pictures) -> None:
    broken = repeat(stream_frame(3, pictures.yaoming[:300], 3 / RATE), 1)
    *_, failed, end = client.identify_stream(settings(team), chain(frames(pictures.yaoming, 2), broken))
    assert failed.status.code
    assert (end.frame_id, [event.subject_id for event in end.events]) == (3, ["yao"])
