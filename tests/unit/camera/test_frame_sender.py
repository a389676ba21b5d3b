"""Which frames a stream is given, and which are sent again."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from facet.camera.frame_sender import Outbox
from facet.camera.source import Frame, SourceError
from facet.v1.recognition_service_pb2 import StreamFrame

PATIENCE = 30.0


def frame(number: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), f"frame {number}".encode(), float(number), 0.0)


def said(message: StreamFrame) -> tuple[int, str]:
    return message.frame_id, message.picture.encoded.decode()


def test_without_lossless_the_newest_frame_is_next_and_the_others_are_counted() -> None:
    outbox = Outbox(lossless=False)
    for number in range(5):
        outbox.put(frame(number))
    outbox.end()
    assert [said(message) for message in outbox.again()] == [(1, "frame 4")]
    assert (outbox.sent, outbox.skipped) == (1, 4)


def test_a_frame_has_its_capture_time() -> None:
    outbox = Outbox(lossless=False)
    outbox.put(frame(7))
    assert next(outbox.again()).capture_time.ToNanoseconds() == 7_000_000_000


def test_with_lossless_the_reader_waits_until_its_frame_is_taken() -> None:
    outbox = Outbox(lossless=True)

    def read() -> None:
        for number in range(200):
            outbox.put(frame(number))
        outbox.end()

    reader = threading.Thread(target=read)
    reader.start()
    came = []
    for message in outbox.again():
        came.append(said(message))
        outbox.answered(message.frame_id)
    reader.join(PATIENCE)
    assert came == [(number + 1, f"frame {number}") for number in range(200)]
    assert outbox.skipped == 0


def test_with_lossless_what_a_broken_stream_left_unanswered_is_sent_again() -> None:
    outbox = Outbox(lossless=True)
    broken = outbox.again()
    for number in range(4):
        outbox.put(frame(number))
        next(broken)
    first = outbox.answered(1)
    assert first is not None
    assert first.data == b"frame 0"
    outbox.end()
    assert [said(message)[0] for message in outbox.again()] == [2, 3, 4]
    assert outbox.wait(), "they are still to be answered"
    outbox.answered(4)
    assert not outbox.wait()


def test_without_lossless_what_a_broken_stream_left_unanswered_is_given_up() -> None:
    outbox = Outbox(lossless=False)
    outbox.put(frame(0))
    next(outbox.again())
    outbox.put(frame(1))
    outbox.end()
    assert [said(message) for message in outbox.again()] == [(2, "frame 1")]
    assert not outbox.wait()
    assert outbox.answered(1) is None


def test_a_stream_that_was_given_up_takes_no_frame_from_the_next() -> None:
    outbox = Outbox(lossless=True)
    old = outbox.again()
    left: list[StreamFrame] = []
    waiting = threading.Thread(target=lambda: left.extend(old))
    waiting.start()
    new = outbox.again()
    waiting.join(PATIENCE)
    outbox.put(frame(0))
    assert left == []
    assert said(next(new)) == (1, "frame 0")


def test_an_answer_gives_its_frame_and_lets_go_of_those_that_were_dropped_before() -> None:
    outbox = Outbox(lossless=False)
    messages = outbox.again()
    for number in range(3):
        outbox.put(frame(number))
        next(messages)
    second = outbox.answered(2)
    assert second is not None
    assert second.data == b"frame 1"
    assert outbox.answered(1) is None
    assert outbox.answered(3) is not None


def test_frames_that_nobody_answers_do_not_pile_up() -> None:
    outbox = Outbox(lossless=False)
    messages = outbox.again()
    for number in range(1000):
        outbox.put(frame(number))
        next(messages)
    assert outbox.answered(1) is None
    assert outbox.answered(1000) is not None


def test_why_there_are_no_more_frames_is_told_once_the_last_was_sent() -> None:
    outbox = Outbox(lossless=False)
    outbox.put(frame(0))
    outbox.end("the door is shut")
    assert outbox.wait()
    assert len(list(outbox.again())) == 1
    with pytest.raises(SourceError, match="the door is shut"):
        outbox.wait()
