"""Paired differences of two models, from answers that are made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.evaluation.comparison.differences import Compared, compare_identification, compare_verification
from facet.evaluation.comparison.labelled_set import PairsOfFiles
from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.identification.figures import Outcomes

MATED, NONMATED = 200, 200


def answers(*, missed: int = 0, wrong: int = 0, shift: float = 0.0) -> Outcomes:
    """Searches of people with one picture each: so many mated probes are below all others, or have a wrong subject."""
    mated = np.arange(MATED + NONMATED) < MATED
    similarity = np.where(mated, 0.7, np.linspace(0, 0.3, MATED + NONMATED)).astype(np.float32)
    similarity[:missed] = 0.05
    rank = np.where(mated, 1, 0)
    rank[:wrong] = 2
    return Outcomes(
        subjects=tuple(f"person {number}" for number in range(MATED + NONMATED)),
        mated=mated,
        similarity=similarity + np.float32(shift),
        rank=rank,
        matched=np.zeros(MATED + NONMATED, np.bool_),
    )


def identification(a: Outcomes, b: Outcomes, fpir: float = 0.01) -> dict[str, Compared]:
    return {each.name: each for each in compare_identification(a, b, fpir=fpir, seed=0)}


def test_models_that_agree_are_not_said_to_be_equal_for_certain() -> None:
    for each in identification(answers(missed=3, wrong=3), answers(missed=3, wrong=3)).values():
        assert (each.verdict, each.chance, each.only_a, each.only_b) == ("same", 1, 0, 0)
        assert each.difference.value == 0
        assert each.difference.low == pytest.approx(-3 / MATED)
        assert each.difference.high == pytest.approx(3 / MATED)


def test_a_model_that_misses_more_people_is_worse() -> None:
    found = identification(answers(missed=2, wrong=2), answers(missed=22, wrong=22))
    for name, worse in (("rank_1", -0.1), ("fnir@fpir=0.01", 0.1)):
        assert found[name].difference.value == pytest.approx(worse)
        assert (found[name].only_a, found[name].only_b) == (20, 0)
        assert found[name].verdict == "A is better"
    swapped = identification(answers(missed=22, wrong=22), answers(missed=2, wrong=2))
    assert {each.verdict for each in swapped.values()} == {"B is better"}


def test_five_errors_are_not_beyond_chance_though_their_interval_excludes_none() -> None:
    found = identification(answers(), answers(wrong=5))["rank_1"]
    assert found.difference.high is not None
    assert found.difference.high < 0, "the bootstrap alone would call it beyond chance"
    assert found.chance == pytest.approx(2 / 2**5)
    assert found.verdict == "within chance"


def test_each_model_has_its_own_threshold() -> None:
    found = identification(answers(missed=4), answers(missed=4, shift=0.25))["fnir@fpir=0.01"]
    assert found.difference.value == 0
    assert found.thresholds[1] - found.thresholds[0] == pytest.approx(0.25, abs=1e-3)


def test_a_rate_that_allows_nobody_is_not_measured() -> None:
    found = identification(answers(), answers(wrong=50), fpir=0.003)
    assert found["rank_1"].verdict == "A is better"
    missing = found["fnir@fpir=0.003"]
    assert (missing.verdict, missing.difference.value, missing.trials) == ("not measured", None, None)
    assert missing.difference.note == "too few nonmated probes: 200, at least 334 needed"


def test_people_with_many_pictures_count_as_one_in_the_test() -> None:
    """Forty probes of one person, whom only the first model knows, are no evidence about other people."""
    first, second = answers(), answers(wrong=40)
    names = tuple("one person" if number < 40 else name for number, name in enumerate(first.subjects))
    found = identification(replace(first, subjects=names), replace(second, subjects=names))["rank_1"]
    assert found.only_a == 40
    assert found.chance == 1
    assert found.verdict == "within chance"


def pairs_of_people(people: int) -> PairsOfFiles:
    """A mated pair of each person, and a nonmated one of each and the next."""
    images = tuple(f"{person}/{number}.jpg" for person in range(people) for number in range(2))
    first, second = 2 * np.arange(people), 2 * np.arange(people) + 1
    pairs = Pairs(
        images=images,
        subjects=tuple(image.partition("/")[0] for image in images),
        identified_by="folders",
        a=np.concatenate((first, first)),
        b=np.concatenate((second, np.roll(second, 1))),
        same=np.arange(2 * people) < people,
        folds=np.tile(np.arange(people) * 10 // people, 2),
    )
    return PairsOfFiles(pairs, (), are_made=False)


def similarities(pairs: Pairs, *, wrong: int) -> NDArray[np.float32]:
    found = np.where(pairs.same, 0.7, 0.1) + np.linspace(0, 0.05, len(pairs))
    found[:wrong] = -0.2
    return np.asarray(found, np.float32)


def test_pairs_that_one_model_rejects_lower_its_accuracy_and_its_true_accept_rate() -> None:
    labelled = pairs_of_people(200)
    both = (similarities(labelled.pairs, wrong=wrong) for wrong in (0, 20))
    accuracy, tar = compare_verification(labelled, *both, far=1e-2, seed=0)
    assert (accuracy.name, tar.name) == ("accuracy", "tar@far=1e-2")
    assert accuracy.difference.value == pytest.approx(-0.05)
    assert tar.difference.value == pytest.approx(-0.1)
    for each in (accuracy, tar):
        assert (each.only_a, each.only_b, each.verdict) == (20, 0, "A is better")


def test_accuracy_of_pairs_that_were_made_is_over_as_many_of_two_people_as_of_one() -> None:
    labelled = pairs_of_people(200)
    fewer = np.flatnonzero(~labelled.pairs.same | (np.arange(400) < 30))
    pairs = replace(
        labelled.pairs, **{name: getattr(labelled.pairs, name)[fewer] for name in ("a", "b", "same", "folds")}
    )
    for are_made, judged in ((True, 60), (False, 230)):
        chosen = PairsOfFiles(pairs, (), are_made)
        accuracy, _ = compare_verification(chosen, *(similarities(pairs, wrong=0),) * 2, far=1e-2, seed=0)
        assert accuracy.trials is not None
        assert len(accuracy.trials.people) == judged
