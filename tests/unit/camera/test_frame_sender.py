"""Which frames a stream gets, and which are sent again."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from facet.camera.errors import SourceError
from facet.camera.frame_sender import FrameSender
from facet.camera.reader import Frame
from facet.v1.recognition_service_pb2 import StreamFrame

PATIENCE = 30.0


def frame(number: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), f"frame {number}".encode(), float(number), 0.0)


def content(message: StreamFrame) -> tuple[int, str]:
    return message.frame_id, message.picture.encoded.decode()


def test_the_newest_frame_is_sent_and_skipped_ones_are_counted() -> None:
    sender = FrameSender(lossless=False)
    for number in range(5):
        sender.put(frame(number))
    sender.end()
    assert [content(message) for message in sender.new_stream()] == [(1, "frame 4")]
    assert (sender.sent, sender.skipped) == (1, 4)


def test_a_frame_has_its_capture_time() -> None:
    sender = FrameSender(lossless=False)
    sender.put(frame(7))
    assert next(sender.new_stream()).capture_time.ToNanoseconds() == 7_000_000_000


def test_a_lossless_reader_waits_until_its_frame_is_taken() -> None:
    sender = FrameSender(lossless=True)

    def read() -> None:
        for number in range(200):
            sender.put(frame(number))
        sender.end()

    reader = threading.Thread(target=read)
    reader.start()
    came = []
    for message in sender.new_stream():
        came.append(content(message))
        sender.answered(message.frame_id)
    reader.join(PATIENCE)
    assert came == [(number + 1, f"frame {number}") for number in range(200)]
    assert sender.skipped == 0


def test_unanswered_frames_of_a_broken_lossless_stream_are_sent_again() -> None:
    sender = FrameSender(lossless=True)
    broken = sender.new_stream()
    for number in range(4):
        sender.put(frame(number))
        next(broken)
    first = sender.answered(1)
    assert first is not None
    assert first.data == b"frame 0"
    sender.end()
    assert [content(message)[0] for message in sender.new_stream()] == [2, 3, 4]
    assert sender.wait(), "they are still to be answered"
    sender.answered(4)
    assert not sender.wait()


def test_unanswered_frames_of_a_broken_live_stream_are_given_up() -> None:
    sender = FrameSender(lossless=False)
    sender.put(frame(0))
    next(sender.new_stream())
    sender.put(frame(1))
    sender.end()
    assert [content(message) for message in sender.new_stream()] == [(2, "frame 1")]
    assert not sender.wait()
    assert sender.answered(1) is None


def test_an_abandoned_stream_takes_no_frame_from_the_next() -> None:
    sender = FrameSender(lossless=True)
    old = sender.new_stream()
    left: list[StreamFrame] = []
    waiting = threading.Thread(target=lambda: left.extend(old))
    waiting.start()
    new = sender.new_stream()
    waiting.join(PATIENCE)
    sender.put(frame(0))
    assert left == []
    assert content(next(new)) == (1, "frame 0")


def test_an_answer_returns_its_frame_and_releases_earlier_ones() -> None:
    sender = FrameSender(lossless=False)
    messages = sender.new_stream()
    for number in range(3):
        sender.put(frame(number))
        next(messages)
    second = sender.answered(2)
    assert second is not None
    assert second.data == b"frame 1"
    assert sender.answered(1) is None
    assert sender.answered(3) is not None


def test_unanswered_frames_are_bounded() -> None:
    sender = FrameSender(lossless=False)
    messages = sender.new_stream()
    for number in range(1000):
        sender.put(frame(number))
        next(messages)
    assert sender.answered(1) is None
    assert sender.answered(1000) is not None


def test_a_source_error_is_raised_after_the_last_frame() -> None:
    sender = FrameSender(lossless=False)
    sender.put(frame(0))
    sender.end("the door is shut")
    assert sender.wait()
    assert len(list(sender.new_stream())) == 1
    with pytest.raises(SourceError, match="the door is shut"):
        sender.wait()


def test_a_lost_source_ends_the_stream_and_the_next_frame_begins_another() -> None:
    sender = FrameSender(lossless=False, grace_seconds=2.0, clock=lambda: 12.0)
    sender.put(frame(0))
    stream = sender.new_stream()
    next(stream)
    sender.source_lost(since=10.0)
    assert list(stream) == []
    sender.put(frame(1))
    assert sender.wait()
    assert content(next(sender.new_stream())) == (2, "frame 1")


def test_a_stream_waits_for_a_lost_source_only_for_the_grace_period() -> None:
    now = [11.9]

    def clock() -> float:
        now[0] += 0.06
        return now[0]

    sender = FrameSender(lossless=False, grace_seconds=2.0, clock=clock)
    stream = sender.new_stream()
    sender.source_lost(since=10.0)
    assert list(stream) == []


def test_a_source_that_is_back_in_time_keeps_its_stream() -> None:
    sender = FrameSender(lossless=False, grace_seconds=2.0, clock=lambda: 11.0)
    stream = sender.new_stream()
    sender.source_lost(since=10.0)
    sender.put(frame(0))
    assert content(next(stream)) == (1, "frame 0")
    sender.put(frame(1))
    assert content(next(stream)) == (2, "frame 1")
