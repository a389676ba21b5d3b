"""The identification report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facet.evaluation.datasets.protocol import Entry, Protocol, Role
from facet.evaluation.identification.figures import Outcomes, statistics
from facet.evaluation.identification.report import FPIRS, IdentificationReport
from facet.evaluation.identification.run import GalleryPicture, IdentificationRun
from facet.evaluation.identification.searches import Candidate, Search
from facet.evaluation.report.document import to_json

THRESHOLD = float(np.float32(0.34))


def built(mates: int, strangers: int, *, seed: int = 0) -> IdentificationReport:
    """The report of a run: mates about 0.6, strangers about 0.1, and one more mated probe in twenty without a face."""
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
        pictures=tuple(GalleryPicture(each.image, each.subject) for each in gallery),
        templates={each.subject: (each.image,) for each in gallery},
        threshold=THRESHOLD,
    )
    return IdentificationReport(Protocol(gallery, probes), run, seed=seed)


def test_an_fpir_that_needs_more_nonmated_probes_is_not_reported() -> None:
    figures = built(40, 100).figures()
    assert figures["fnir@fpir=0.1"].value is not None
    assert figures["fnir@fpir=0.01"].value is not None
    for name in ("fnir@fpir=0.003", "threshold@fpir=0.003"):
        assert figures[name].value is None
        assert figures[name].note == "too few nonmated probes: 100, at least 334 needed"
    assert built(40, 99).figures()["fnir@fpir=0.01"].value is None


def test_figures_without_mated_or_nonmated_probes_have_a_note_instead_of_a_value() -> None:
    without_strangers, without_mates = built(40, 0).figures(), built(0, 40).figures()
    assert (without_strangers["fpir"].value, without_strangers["fpir"].note) == (None, "no nonmated probes")
    assert without_strangers["rank_1"].value == 40 / 42
    for name in ("rank_1", "rank_10", "fnir", "recall", "f1", "fnir@fpir=0.1"):
        assert (without_mates[name].value, without_mates[name].note) == (None, "no mated probes")
    assert without_mates["threshold@fpir=0.1"].value is not None
    assert without_mates["fpir"].value is not None


def test_figures_without_errors_have_the_rule_of_three_over_people_as_bound() -> None:
    figures = built(19, 200).figures()
    assert (figures["fnir@fpir=0.1"].value, figures["fnir@fpir=0.1"].low) == (0.0, 0.0)
    assert figures["fnir@fpir=0.1"].high == pytest.approx(3 / 19)
    assert (figures["rank_1"].value, figures["rank_1"].low) == (1.0, pytest.approx(1 - 3 / 19))


def test_figures_computed_from_the_items_equal_those_of_the_report() -> None:
    report = built(40, 400)
    figures = report.figures()
    outcomes = Outcomes.from_items(to_json(report.items()))
    every = np.ones(len(outcomes.mated), np.int64)
    for name, statistic in statistics(outcomes, FPIRS).items():
        assert statistic(every) == pytest.approx(figures[name].value)


def test_thresholds_have_the_digits_of_a_float32() -> None:
    figures = to_json(built(40, 100).figures())
    assert figures["deployed_threshold"] == 0.34
    at = figures["threshold@fpir=0.1"]["value"]
    assert str(at) == str(np.float32(at))


def test_histograms_contain_every_searched_probe() -> None:
    curves = built(40, 100).curves()
    mated, nonmated = curves["scores_mated"], curves["scores_nonmated"]
    assert (mated["counts"].sum(), nonmated["counts"].sum()) == (40, 100)
    assert np.array_equal(mated["edges"], nonmated["edges"])
    assert len(mated["edges"]) == len(mated["counts"]) + 1


def test_the_seed_determines_the_intervals_and_not_the_values() -> None:
    first, again, other = (built(40, 100, seed=seed).figures() for seed in (0, 0, 1))
    assert first == again
    assert first["fnir"].value == other["fnir"].value
    assert first["fnir"] != other["fnir"]


def test_mistakes_name_the_pictures_of_probe_and_mate() -> None:
    (worst, *_) = built(40, 100).mistakes(1)["misses"]
    assert (worst["image"], worst["mate_image"], worst["candidate_image"]) == ("blank.jpg", "s0-1.jpg", None)
    assert worst["failure"] == "FACE_NOT_FOUND"
