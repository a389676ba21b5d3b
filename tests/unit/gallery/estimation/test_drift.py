"""Drift: what moved since the reference period, and what only varies as it always does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gallery.estimation.drift import ALARM_AT, WINDOW, NotCompared, drift
from gallery.estimation.reference import DECISION, Reference, reference
from gallery.observations.quantities import Quantity
from gallery.observations.records import NOTHING, Counts
from gallery.observations.tally import Tally
from gallery.records.identifications import Decision
from tests.unit.gallery.estimation.hours import hour


def _steady(hours: int = 48, faces: int = 200) -> Reference:
    rng = np.random.default_rng(0)
    return reference(hour(faces, rng) for _ in range(hours))


def _day(at: int, faces: int, rng: np.random.Generator, extra: float = 0.0) -> Counts:
    """An hour of a camera in the open: its pictures are bright at noon and dark at midnight."""
    light = 2 * math.sin(2 * math.pi * (at - 6) / 24)
    return hour(faces, rng, moved={Quantity.BRIGHTNESS: light + extra})


def test_replays_of_the_reference_raise_no_alarm() -> None:
    usual, rng = _steady(), np.random.default_rng(1)
    found = [drift(hour(WINDOW, rng), usual) for _ in range(200)]
    assert not any(each.alarm for each in found)
    assert min(each.probability for each in found) > ALARM_AT


@pytest.mark.parametrize(
    ("quantity", "by"),
    [
        (Quantity.SHARPNESS, -1),
        (Quantity.BRIGHTNESS, -1),
        (Quantity.FACE_SIZE, 1),
        (Quantity.YAW, 1),
        (Quantity.BEST_SIMILARITY, -1),
        (Quantity.FACES_PER_PICTURE, 1),
    ],
    ids=lambda each: each.value if isinstance(each, Quantity) else None,
)
def test_a_quantity_that_moves_by_its_deviation_raises_an_alarm_which_names_it_first(
    quantity: Quantity, by: float
) -> None:
    found = drift(hour(WINDOW, np.random.default_rng(2), moved={quantity: by}), _steady())
    assert found.alarm
    assert found.probability < ALARM_AT
    assert [each.name for each in found.moved] == [quantity.value]
    assert found.moved[0].rise * by > 0


def test_a_crowd_of_strangers_moves_the_decisions() -> None:
    found = drift(hour(WINDOW, np.random.default_rng(3), matches=0.2), _steady())
    assert [each.name for each in found.moved] == [DECISION, Quantity.BEST_SIMILARITY.value]


def test_another_threshold_is_no_change_of_the_faces() -> None:
    usual, faces = _steady(), hour(WINDOW, np.random.default_rng(3))
    unknown = dict.fromkeys(Decision, 0) | {Decision.UNKNOWN: WINDOW}
    no_matches = {**faces.histograms, Quantity.BEST_OF_MATCHES: NOTHING.histograms[Quantity.BEST_OF_MATCHES]}
    assert not drift(Counts(unknown, faces.templates_compared, no_matches), usual).alarm


@pytest.mark.parametrize("faces", [60, 250])
def test_one_odd_hour_in_the_reference_does_not_hide_a_change(faces: int) -> None:
    rng, odd = np.random.default_rng(10), {Quantity.SHARPNESS: -3.0}
    usual = reference([*(hour(60, rng) for _ in range(95)), hour(faces, rng, moved=odd)])
    found = drift(hour(WINDOW, rng, moved=odd), usual)
    assert Quantity.SHARPNESS.value in [each.name for each in found.moved]


def test_a_quantity_that_varies_too_much_has_a_limit_that_nothing_exceeds() -> None:
    rng = np.random.default_rng(11)
    usual = reference(hour(WINDOW, rng, moved={Quantity.YAW: 6.0 if at == 0 else -6.0}) for at in range(8))
    limits = {each.name: each.limit for each in drift(hour(WINDOW, rng), usual).shifts}
    assert limits[Quantity.YAW.value] == 1.0


@pytest.mark.parametrize("per_picture", [4, 10, 20])
def test_a_crowd_is_noticed_by_the_few_pictures_that_show_it(per_picture: int) -> None:
    usual = reference(_crowd(60, 1, seed) for seed in range(96))
    found = drift(_crowd(WINDOW, per_picture, 96), usual)
    assert [each.name for each in found.moved] == [Quantity.FACES_PER_PICTURE.value]
    often = reference(_crowd(60, per_picture, seed) for seed in range(96))
    assert not drift(_crowd(WINDOW, per_picture, 96), often).alarm


def _crowd(faces: int, per_picture: int, seed: int) -> Counts:
    """Faces of pictures that have so many each, counted as the server does."""
    rng, tally = np.random.default_rng(seed), Tally()
    for _ in range(faces // per_picture):
        tally.add_picture(per_picture)
    counts = hour(faces, rng)
    pictures = tally.counts().histograms[Quantity.FACES_PER_PICTURE]
    return Counts(
        counts.decisions, counts.templates_compared, {**counts.histograms, Quantity.FACES_PER_PICTURE: pictures}
    )


def test_a_weekend_of_the_reference_raises_no_alarm_on_the_next() -> None:
    rng = np.random.default_rng(12)

    def of_day(day: int, faces: int) -> Counts:
        return hour(faces, rng, matches=0.6 if day < 5 else 0.3)

    usual = reference(of_day(day, 100) for day in range(7) for _ in range(24))
    assert not any(drift(of_day(day, WINDOW), usual).alarm for day in range(7) for _ in range(5))


def test_the_light_of_a_day_raises_no_alarm_and_a_lamp_that_fails_does() -> None:
    rng = np.random.default_rng(4)
    usual = reference(_day(at, 200, rng) for _ in range(5) for at in range(24))
    assert not any(drift(_day(at, WINDOW, rng), usual).alarm for at in range(24))
    dark = drift(_day(0, WINDOW, rng, extra=-3), usual)
    assert [each.name for each in dark.moved] == [Quantity.BRIGHTNESS.value]
    blurred = drift(hour(WINDOW, rng, moved={Quantity.SHARPNESS: -1}), usual)
    assert Quantity.SHARPNESS.value in [each.name for each in blurred.moved]


def test_one_person_who_fills_hours_of_the_reference_widens_the_limits() -> None:
    rng = np.random.default_rng(5)
    each_hour_one_person = reference(
        hour(200, rng, moved={Quantity.BEST_SIMILARITY: float(rng.normal())}) for _ in range(48)
    )
    limits = {each.name: each.limit for each in drift(hour(WINDOW, rng), each_hour_one_person).shifts}
    assert limits[Quantity.BEST_SIMILARITY.value] > 2 * limits[Quantity.YAW.value]


def test_hours_with_few_faces_are_joined() -> None:
    rng = np.random.default_rng(9)
    quiet = reference(hour(20, rng) for _ in range(100))
    assert {each.blocks for each in quiet.usual.values()} == {7}
    assert not drift(hour(WINDOW, rng), quiet).alarm
    assert drift(hour(WINDOW, rng, moved={Quantity.SHARPNESS: -1}), quiet).alarm


def test_few_faces_are_not_compared() -> None:
    found = drift(hour(50, np.random.default_rng(6)), _steady())
    assert (found.reason, found.alarm, found.probability) == (NotCompared.TOO_FEW_FACES, False, 1.0)
    assert drift(NOTHING, _steady()).reason is NotCompared.TOO_FEW_FACES


@pytest.mark.parametrize("hours", [0, 1, 4], ids=["none", "one hour", "four hours"])
def test_a_short_reference_is_no_reference(hours: int) -> None:
    recent = hour(WINDOW, np.random.default_rng(7), moved={Quantity.SHARPNESS: -3})
    found = drift(recent, _steady(hours, 500))
    assert found.reason is NotCompared.TOO_LITTLE_REFERENCE
    assert not found.alarm


def test_a_quantity_that_is_not_counted_any_more_is_left_out() -> None:
    recent = hour(WINDOW, np.random.default_rng(8))
    without = {**recent.histograms, Quantity.BRIGHTNESS: NOTHING.histograms[Quantity.BRIGHTNESS]}
    found = drift(Counts(recent.decisions, recent.templates_compared, without), _steady())
    assert Quantity.BRIGHTNESS.value not in [each.name for each in found.shifts]
    assert not found.alarm
