from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facet.evaluation.datasets.protocol import Entry, Protocol, Role
from facet.evaluation.identification.figures import Candidate, Outcomes, Search, statistics
from facet.evaluation.identification.report import FPIRS, IdentificationReport
from facet.evaluation.identification.run import Enrolled, IdentificationRun
from facet.evaluation.report.document import plain

THRESHOLD = float(np.float32(0.34))


def built(mates: int, strangers: int, *, seed: int = 0) -> IdentificationReport:
    """A run in which mates have similarities about 0.6 and strangers about 0.1, and one mate in twenty no face."""
    rng = np.random.default_rng(1)

    def search(subject: str, similarity: float, *, mated: bool) -> Search:
        best = Candidate(subject if mated else "s0", float(np.float32(similarity)), f"{subject}-1.jpg")
        return Search(f"{subject}.jpg", subject, mated, (best,), matched=best.similarity >= THRESHOLD)

    searches = [search(f"s{place}", rng.normal(0.6, 0.1), mated=True) for place in range(mates)]
    searches += [search(f"x{place}", rng.normal(0.1, 0.1), mated=False) for place in range(strangers)]
    searches += [Search("blank.jpg", f"s{place}", True, failure="FACE_NOT_FOUND") for place in range(mates // 20)]

    def entry(role: Role, subject: str, image: str) -> Entry:
        return Entry(role, subject, image, Path(image))

    gallery = tuple(entry("gallery", f"s{place}", f"s{place}-1.jpg") for place in range(mates))
    probes = tuple(entry("mated" if each.mated else "nonmated", each.subject, each.image) for each in searches)
    run = IdentificationRun(
        searches=tuple(searches),
        pictures=tuple(Enrolled(each.image, each.subject) for each in gallery),
        templates={each.subject: (each.image,) for each in gallery},
        threshold=THRESHOLD,
    )
    return IdentificationReport(Protocol(gallery, probes), run, seed=seed)


def test_a_rate_that_the_strangers_are_too_few_for_is_not_told() -> None:
    figures = built(40, 100).figures()
    assert figures["fnir@fpir=0.1"].value is not None
    assert figures["fnir@fpir=0.01"].value is not None
    for name in ("fnir@fpir=0.003", "threshold@fpir=0.003"):
        assert figures[name].value is None
        assert figures[name].note == "too few non-mated probes: 100, at least 334 are needed"
    assert built(40, 99).figures()["fnir@fpir=0.01"].value is None


def test_a_kind_without_probes_leaves_its_figures_open_and_says_so() -> None:
    without_strangers, without_mates = built(40, 0).figures(), built(0, 40).figures()
    assert (without_strangers["fpir"].value, without_strangers["fpir"].note) == (None, "no non-mated probes")
    assert without_strangers["rank_1"].value == 40 / 42
    for name in ("rank_1", "rank_10", "fnir", "recall", "f1", "fnir@fpir=0.1"):
        assert (without_mates[name].value, without_mates[name].note) == (None, "no mated probes")
    assert without_mates["threshold@fpir=0.1"].value is not None
    assert without_mates["fpir"].value is not None


def test_no_error_in_some_people_may_be_as_many_as_the_rule_of_three_says() -> None:
    figures = built(19, 200).figures()
    assert (figures["fnir@fpir=0.1"].value, figures["fnir@fpir=0.1"].low) == (0.0, 0.0)
    assert figures["fnir@fpir=0.1"].high == pytest.approx(3 / 19)
    assert (figures["rank_1"].value, figures["rank_1"].low) == (1.0, pytest.approx(1 - 3 / 19))


def test_what_compare_reads_from_the_items_are_the_figures_of_the_run() -> None:
    report = built(40, 400)
    figures = report.figures()
    outcomes = Outcomes.of_items(plain(report.items()))
    every = np.ones(len(outcomes.mated), np.int64)
    for name, statistic in statistics(outcomes, FPIRS).items():
        assert statistic(every) == pytest.approx(figures[name].value)


def test_thresholds_have_the_digits_of_a_float32() -> None:
    figures = plain(built(40, 100).figures())
    assert figures["deployed_threshold"] == 0.34
    at = figures["threshold@fpir=0.1"]["value"]
    assert str(at) == str(np.float32(at))


def test_histograms_hold_every_probe_that_was_searched_with() -> None:
    curves = built(40, 100).curves()
    mated, nonmated = curves["scores_mated"], curves["scores_nonmated"]
    assert (mated["counts"].sum(), nonmated["counts"].sum()) == (40, 100)
    assert np.array_equal(mated["edges"], nonmated["edges"])
    assert len(mated["edges"]) == len(mated["counts"]) + 1


def test_the_same_seed_gives_the_same_report_and_another_one_other_intervals() -> None:
    first, again, other = (built(40, 100, seed=seed).figures() for seed in (0, 0, 1))
    assert first == again
    assert first["fnir"].value == other["fnir"].value
    assert first["fnir"] != other["fnir"]


def test_mistakes_name_the_pictures_that_people_look_at() -> None:
    (worst, *_) = built(40, 100).mistakes(1)["misses"]
    assert (worst["image"], worst["mate_image"], worst["candidate_image"]) == ("blank.jpg", "s0-1.jpg", None)
    assert worst["failure"] == "FACE_NOT_FOUND"
