"""Lateness of frames by clocks that do not agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.server.streaming.clock import StreamClock


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
