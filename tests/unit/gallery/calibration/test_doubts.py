"""Galleries whose people look alike without being one person, or of whom hardly anybody is a stranger to the others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.calibration.forecast import UnreliableReason
from gallery.calibration.mates import MATES_OF_LFW, Mates
from gallery.calibration.own_pictures import OwnPictures, highest_threshold
from gallery.calibration.thresholds import NonmatedScores, ThresholdChoice, choose_threshold

DIMENSION = 512
PEOPLE = 300
TARGET = 0.02

Vectors = NDArray[np.float64]


def unit(values: Vectors) -> Vectors:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


def people(count: int, alike: int, resemblance: float, rng: np.random.Generator) -> Vectors:
    """Draw people who differ in about a hundred directions; the first ones resemble one face."""
    spread = 1 / np.sqrt(1 + np.arange(DIMENSION) / 20)
    drawn, face = (unit(rng.normal(size=(number, DIMENSION)) * spread) for number in (count, 1))
    drawn[:alike] = unit(resemblance * face + np.sqrt(1 - resemblance**2) * drawn[:alike])
    return drawn


def scores(templates: Vectors, apart: Vectors | None = None, *, is_cross_subject: bool = True) -> NonmatedScores:
    """Search for each of some people's templates among the others."""
    similarities = templates @ templates.T
    np.fill_diagonal(similarities, -1)
    order = np.argsort(-similarities, axis=1)[:, :3]
    best = np.take_along_axis(similarities, order, axis=1).astype(np.float32)
    is_apart = np.zeros(best.shape, np.bool_) if apart is None else np.take_along_axis(apart, order, axis=1) > 0
    names = [f"s{number}" for number in range(len(templates))]
    others = [names[row] for row in order[:, 0].tolist()]
    return NonmatedScores(best[:, 0], names, others, len(names), is_cross_subject, best[:, 1:], is_apart)


def calibrate(found: NonmatedScores, own: OwnPictures | None = None) -> ThresholdChoice:
    return choose_threshold(
        found, target_fpir=TARGET, for_templates=PEOPLE, without_suspects=True, own=own or OwnPictures()
    )


@pytest.mark.parametrize(("alike", "resemblance"), [(20, 0.6), (40, 0.6), (40, 0.7), (100, 0.6)])
def test_people_who_look_alike_never_lower_the_threshold_silently(alike: int, resemblance: float) -> None:
    # Their similarities are 0.2 to 0.35 on average: above those of strangers, and below those of mates.
    for seed in range(2):
        rng = np.random.default_rng(seed)
        drawn = people(PEOPLE + 2000, 0, 0, rng)
        face = unit(rng.normal(size=(1, DIMENSION)) / np.sqrt(1 + np.arange(DIMENSION) / 20))
        rows = [*range(alike), *range(PEOPLE, PEOPLE + 2000 * alike // PEOPLE)]
        drawn[rows] = unit(resemblance * face + np.sqrt(1 - resemblance**2) * drawn[rows])
        chosen = calibrate(scores(drawn[:PEOPLE]))
        reached = (drawn[PEOPLE:] @ drawn[:PEOPLE].T).max(axis=1) >= chosen.threshold
        assert chosen.forecast.unreliable or reached.mean() < 2.5 * TARGET
        if alike == 40:
            assert UnreliableReason.UNCERTAIN in chosen.forecast.unreliable


@pytest.mark.parametrize(("alike", "resemblance"), [(60, 0.44), (75, 0.4), (105, 0.4)])
def test_a_threshold_that_is_far_from_right_because_a_part_looks_alike_is_refused(
    alike: int, resemblance: float
) -> None:
    # Their similarities are 0.16 to 0.19 on average: no single law has both their best similarities and the others'.
    for seed in range(2):
        chosen = calibrate(scores(people(PEOPLE, alike, resemblance, np.random.default_rng(seed))))
        assert UnreliableReason.UNCERTAIN in chosen.forecast.unreliable
        assert chosen.forecast.people_needed is None


def test_people_of_one_kind_follow_one_law() -> None:
    for seed in range(10):
        assert calibrate(scores(people(PEOPLE, 0, 0, np.random.default_rng(seed)))).forecast.unreliable == ()


def test_pairs_that_were_told_apart_are_sure_evidence() -> None:
    drawn = people(PEOPLE, 0, 0, np.random.default_rng(3))
    twins = 30
    drawn[1:twins:2] = unit(0.7 * drawn[0:twins:2] + 0.71 * drawn[1:twins:2])
    apart = np.zeros((PEOPLE, PEOPLE))
    for first in range(0, twins, 2):
        apart[first, first + 1] = apart[first + 1, first] = 1
    before, after = calibrate(scores(drawn)), calibrate(scores(drawn, apart))
    assert len(before.suspects) == twins // 2
    assert after.suspects == ()
    assert after.forecast.contamination < 0.01
    # A tenth of the searches is known to find another person: no lower threshold is silent about that.
    assert after.forecast.unreliable or after.threshold > before.threshold + 0.1


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("is_cross_subject", [True, False])
def test_a_gallery_that_is_all_duplicates_is_unreliable(times: int, *, is_cross_subject: bool) -> None:
    rng = np.random.default_rng(times)
    ids = np.tile(people(100, 0, 0, rng), (times, 1))
    templates = unit(0.85 * ids + 0.53 * people(len(ids), 0, 0, rng))
    own = OwnPictures(highest_threshold=highest_threshold(templates.astype(np.float32)))
    chosen = calibrate(scores(templates, is_cross_subject=is_cross_subject), own)
    assert {UnreliableReason.CONTAMINATED, UnreliableReason.THRESHOLD_OUT_OF_RANGE} & set(chosen.forecast.unreliable)
    assert chosen.searches == len(ids) or not is_cross_subject


def test_strangers_who_are_all_enrolled_are_contaminated() -> None:
    rng = np.random.default_rng(5)
    best = np.stack([rng.normal(0.65, 0.05, 200), *np.sort(rng.normal(0.25, 0.02, (2, 200)), axis=0)[::-1]], axis=1)
    columns = best.astype(np.float32)
    names, others = [f"x{number}" for number in range(200)], [f"s{number}" for number in range(200)]
    found = NonmatedScores(columns[:, 0], names, others, 200, is_cross_subject=False, runners_up=columns[:, 1:])
    chosen = calibrate(found)
    assert UnreliableReason.CONTAMINATED in chosen.forecast.unreliable
    assert chosen.forecast.contamination > 0.95


def test_nearly_equal_vectors_are_out_of_range() -> None:
    rng = np.random.default_rng(6)
    templates = unit(unit(rng.normal(size=DIMENSION)) + 1e-3 * rng.normal(size=(PEOPLE, DIMENSION)))
    own = OwnPictures(highest_threshold=highest_threshold(templates.astype(np.float32)))
    assert own.highest_threshold > 0.99
    chosen = calibrate(scores(templates), own)
    assert chosen.threshold > own.mates.highest
    assert UnreliableReason.THRESHOLD_OUT_OF_RANGE in chosen.forecast.unreliable


def test_too_few_people_say_how_many_would_do() -> None:
    few = choose_threshold(
        scores(people(100, 0, 0, np.random.default_rng(7))),
        target_fpir=0.01,
        for_templates=100,
        without_suspects=True,
    )
    assert few.forecast.unreliable == (UnreliableReason.UNCERTAIN,)
    assert few.forecast.people_needed is not None
    assert 150 < few.forecast.people_needed < 400
    assert few.forecast.figures()["people_needed"] == str(few.forecast.people_needed)


def test_mates_are_those_of_the_gallery_where_enough_of_its_people_have_several_pictures() -> None:
    assert Mates.of(np.empty(0, np.float32), []).mean == MATES_OF_LFW[0]
    rng = np.random.default_rng(8)
    similarity = np.concatenate([rng.normal(0.45, 0.05, 500), np.full(100, 0.99)]).astype(np.float32)
    names = [*(f"s{number}" for number in range(500)), *["copies"] * 100]
    mates = Mates.of(similarity, names)
    assert mates.mean == pytest.approx(0.46, abs=0.015)
    assert mates.deviation == pytest.approx(1.25 * 0.054, abs=0.015)
