"""The parts of a stream without models: the latest frame, lateness, thresholds, capture times, metrics and turns."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from facet import stream_frame
from facet.server.errors import InvalidField
from facet.server.observability import telemetry
from facet.server.observability.metrics import Metrics
from facet.server.observability.telemetry import Telemetry
from facet.server.scheduling.workers import Work, Workers
from facet.server.streaming.clock import StreamClock
from facet.server.streaming.latest_frame import Frame, LatestFrame
from facet.server.streaming.threshold import stream_threshold
from facet.server.wire import validate
from facet.v1 import recognition_service_pb2 as pb
from gallery.records.galleries import Gallery, ThresholdSource

NOW = datetime(2025, 1, 1, tzinfo=UTC)
GALLERY = Gallery(
    "g", "", float(np.float32(0.34)), 1, "c", 0, 0, NOW, NOW, "e", threshold_source=ThresholdSource.DEFAULT
)


def frame(number: int, error: Exception | None = None) -> Frame:
    return Frame(pb.StreamFrame(frame_id=number), 0.0, 0.0, error)


async def test_a_newer_frame_replaces_one_that_waits() -> None:
    latest = LatestFrame(lossless=False)
    for number in range(5):
        await latest.put(frame(number))
    assert await latest.wait()
    assert (latest.take().message.frame_id, latest.dropped) == (4, 4)
    latest.close()
    assert not await latest.wait()


async def test_an_invalid_frame_replaces_no_other() -> None:
    latest, error = LatestFrame(lossless=False), ValueError()
    for each in (frame(7), frame(3, error)):
        await latest.put(each)
    assert (latest.take().message.frame_id, latest.dropped) == (7, 1)
    for each in (frame(3, error), frame(2, error), frame(8)):
        await latest.put(each)
    assert (latest.take().message.frame_id, latest.dropped) == (8, 3)


async def test_a_lossless_stream_waits_for_room_and_delivers_every_frame() -> None:
    latest = LatestFrame(lossless=True)

    async def fill() -> None:
        for number in range(20):
            await latest.put(frame(number))
        latest.close()

    filling = asyncio.ensure_future(fill())
    taken = []
    while await latest.wait():
        taken.append((await asyncio.to_thread(latest.take)).message.frame_id)
    await filling
    assert (taken, latest.dropped) == (list(range(20)), 0)


@given(
    st.floats(-1e9, 1e9),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2)), min_size=1, max_size=50),
)
def test_lateness_is_relative_to_the_fastest_recent_frame_whatever_the_clocks_say(
    apart: float, frames: list[tuple[float, float]]
) -> None:
    clock, arrival, took = StreamClock(), 0.0, []
    for pause, way in frames:
        arrival += pause
        took.append((arrival, way))
        lateness = clock.lateness(arrival - way + apart, arrival)
        assert lateness >= 0
        recent = [each for at, each in took if at > arrival - 30]
        longest = [each for at, each in took if at > arrival - 65]
        assert way - min(recent) - 1e-5 <= lateness <= way - min(longest) + 1e-5


def test_a_clock_that_is_set_is_believed_again_after_a_minute() -> None:
    clock = StreamClock()
    assert clock.lateness(100.0, 0.0) == 0
    assert clock.lateness(91.0, 1.0) == pytest.approx(10)
    for second in range(2, 62):
        late = clock.lateness(90.0 + second, float(second))
    assert late == pytest.approx(0)


def test_the_default_threshold_of_a_stream_falls_with_the_size_of_the_gallery() -> None:
    thresholds = [
        stream_threshold(replace(GALLERY, subject_count=count)) for count in (0, 1, 10, 100, 1000, 10**4, 10**6)
    ]
    assert thresholds[:4] == pytest.approx([0.22, 0.22, 0.27, 0.32])
    assert thresholds[4:] == [GALLERY.threshold] * 3


@pytest.mark.parametrize("source", [ThresholdSource.CALLER, ThresholdSource.CALIBRATION])
@pytest.mark.parametrize("threshold", [0.1, 0.5, GALLERY.threshold])
def test_a_chosen_threshold_is_kept_even_if_it_equals_the_default(source: ThresholdSource, threshold: float) -> None:
    assert stream_threshold(replace(GALLERY, threshold=threshold, threshold_source=source)) == threshold


def test_a_low_default_threshold_is_not_raised() -> None:
    assert stream_threshold(replace(GALLERY, threshold=0.1)) == 0.1


@pytest.mark.parametrize(
    "wrong", [Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**60), Timestamp(seconds=-(2**60))]
)
def test_capture_times_outside_the_calendar_are_refused(wrong: Timestamp) -> None:
    with pytest.raises(InvalidField):
        validate.moment(wrong, "t")
    assert validate.moment(Timestamp(seconds=-3, nanos=500_000_000), "t") == -2.5


def test_a_frame_may_have_a_time_of_any_clock_or_none() -> None:
    assert not stream_frame(1, b"x").HasField("capture_time")
    assert validate.moment(stream_frame(1, b"x", 12.345678).capture_time, "t") == pytest.approx(12.345678, abs=1e-9)
    assert stream_frame(1, b"x", NOW).capture_time.ToDatetime(UTC) == NOW


async def test_metrics_count_ages_drops_embeddings_and_events_of_streams() -> None:
    observing = Telemetry(())
    observing.observe("IdentifyStream", is_stream=True)
    telemetry.dropped(3)
    appeared, left = (pb.TrackEvent(kind=kind) for kind in (pb.TRACK_EVENT_KIND_APPEARED, pb.TRACK_EVENT_KIND_LEFT))
    metrics: Metrics = observing.metrics
    metrics.answered(pb.IdentifyStreamResponse(age_ms=40, embedded=2, events=[appeared, appeared]))
    metrics.answered(pb.IdentifyStreamResponse(age_ms=60, events=[left]))
    metrics.answered(pb.IdentifyStreamResponse(events=[left], end_of_stream=True))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"facet_stream_{name}", labels)

    assert value("dropped_frames_total") == 3
    assert value("embeddings_total") == 2
    assert value("age_seconds_sum") == pytest.approx(0.1)
    assert value("age_seconds_count") == 2
    assert (value("events_total", kind="appeared"), value("events_total", kind="left")) == (2, 2)


async def test_streams_take_turns_frame_by_frame_among_single_requests() -> None:
    workers, gate, order = Workers(threads=1, max_queue=8), threading.Event(), ""

    def note(name: str) -> None:
        nonlocal order
        order += name

    async def stream(name: str) -> None:
        for _ in range(4):
            await workers.run(Work(kind="IdentifyStream"), lambda: note(name), never_refuse=True)

    busy = asyncio.ensure_future(workers.run(Work(), gate.wait))
    await asyncio.sleep(0)
    single = (workers.run(Work(kind="Identify"), lambda: note("-")) for _ in range(2))
    under_way = asyncio.gather(*map(stream, "abc"), *single)
    while sum(workers.waiting.values()) < 5:  # noqa: ASYNC110 - each takes its turns of the loop to get there
        await asyncio.sleep(0)
    gate.set()
    await under_way
    await busy
    workers.close()
    assert order == "abc--" + "abc" * 3
