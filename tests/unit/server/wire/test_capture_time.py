"""Capture times of frames."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from facet import stream_frame
from facet.server.errors import InvalidField
from facet.server.streaming import answers
from facet.server.wire import validate
from facet.tracking.records import EventKind, TrackEvent

NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong", [Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**60), Timestamp(seconds=-(2**60))]
)
def test_capture_times_outside_the_calendar_are_refused(wrong: Timestamp) -> None:
    with pytest.raises(InvalidField):
        validate.moment(wrong, "t")
    assert validate.moment(Timestamp(seconds=-3, nanos=500_000_000), "t") == -2.5


def test_the_last_nanosecond_of_the_calendar_comes_back_in_the_calendar() -> None:
    last = Timestamp(seconds=253_402_300_799, nanos=999_999_999)
    sent_back = answers.event(TrackEvent(EventKind.LEFT, 1, validate.moment(last, "t"))).time
    assert sent_back.seconds == last.seconds
    first = Timestamp(seconds=-62_135_596_800)
    assert answers.event(TrackEvent(EventKind.LEFT, 1, validate.moment(first, "t"))).time == first


def test_a_frame_may_have_a_time_of_any_clock_or_none() -> None:
    assert not stream_frame(1, b"x").HasField("capture_time")
    assert validate.moment(stream_frame(1, b"x", 12.345678).capture_time, "t") == pytest.approx(12.345678, abs=1e-9)
    assert stream_frame(1, b"x", NOW).capture_time.ToDatetime(UTC) == NOW
