"""Times and ids on machines whose clock is wrong."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gallery import times
from gallery.stores.sqlite.verify import verify
from tests.unit.gallery.samples import axis, face, opened

SECOND = 1_000_000_000


def beyond_2262() -> int:
    raise OverflowError("timestamp too large to convert to C _PyTime_t")


CLOCKS: dict[str, Callable[[], int]] = {
    "1963": lambda: -204_331_146 * SECOND,
    "just before 1970": lambda: -1,
    "1970": lambda: 0,
    "2262": lambda: (1 << 63) - 1,
    "year -200": lambda: -70_000_000_000 * SECOND,
    "year 10000": lambda: 253_402_300_800 * SECOND,
    "beyond": beyond_2262,
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_a_person_is_enrolled_whatever_the_clock_says(
    clock: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", clock)
    assert times.EARLIEST <= times.now() <= times.LATEST
    galleries = opened(tmp_path / "facet.db")
    gallery = galleries.create_gallery("", display_name="", threshold=0.5)
    enrolled = [galleries.enroll(gallery.gallery_id, "", face(axis(number))) for number in range(3)]
    assert len({each.subject.subject_id for each in enrolled}) == 3
    for each in enrolled:
        assert uuid.UUID(each.template.template_id).version == 7
        assert times.EARLIEST <= each.template.create_time <= times.LATEST
    assert galleries.get_gallery(gallery.gallery_id).create_time == gallery.create_time
    galleries.close()
    assert verify(tmp_path / "facet.db").problems == ()


def test_ids_of_a_clock_that_is_right_sort_by_time() -> None:
    ids = [times.new_id() for _ in range(500)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 500


def test_times_survive_their_stored_form() -> None:
    for moment in (times.EARLIEST, times.LATEST, datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)):
        assert times.from_microseconds(times.to_microseconds(moment)) == moment


def test_a_rising_clock_waits_for_one_that_went_back() -> None:
    start, second = datetime(2026, 11, 1, tzinfo=UTC), timedelta(seconds=1)
    told = [start, start + second, start - second, start, start + 2 * second]
    rising = times.RisingClock(iter(told).__next__)
    assert [rising() for _ in told] == [start, *[start + second] * 3, start + 2 * second]
