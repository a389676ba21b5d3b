"""Replays of a labelled stream: how they are counted, split, estimated and watched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.benchmarks.online.alarms import Site, staged
from facet.benchmarks.online.changes import CROWD, PICTURES, people
from facet.benchmarks.online.coverage import FIGURES, LabelledStream, covered, replay
from facet.benchmarks.online.faces import Face, Searches
from gallery.observations.quantities import Quantity
from gallery.observations.tally import FaceMeasures, Tally
from gallery.records.identifications import Decision

_DIMENSION = 64


def _face(subject: str, embedding: NDArray[np.float64], rng: np.random.Generator, *, sharpness: float = 0.35) -> Face:
    measures = FaceMeasures(
        quality=float(rng.uniform(0.5, 1)),
        size=float(rng.normal(90, 20)),
        yaw=float(rng.normal(0, 15)),
        pitch=float(rng.normal(0, 10)),
        sharpness=float(rng.normal(sharpness, 0.03)),
        brightness=float(rng.uniform(0.3, 0.7)),
        score=float(rng.uniform(0.6, 0.95)),
    )
    unit = (embedding / np.linalg.norm(embedding)).astype(np.float32)
    return Face(subject, unit, measures, 1, 0.1)


@pytest.fixture(scope="module")
def stream() -> tuple[LabelledStream, list[Face], list[Face]]:
    """A labelled stream, its gallery, and the faces of its searches."""
    rng = np.random.default_rng(0)
    people_of = rng.standard_normal((300, _DIMENSION))
    enrolled, strangers = people_of[:100], people_of[100:]
    templates = [_face(f"p{at}", each, rng) for at, each in enumerate(enrolled)]
    mated = [
        _face(f"p{at}", each + rng.normal(0, 0.8, _DIMENSION), rng) for at, each in enumerate(enrolled) for _ in (0, 1)
    ]
    nonmated = [_face(f"s{at}", each, rng) for at, each in enumerate(strangers)]
    return LabelledStream(templates, mated, nonmated), templates, [*nonmated, *mated]


def test_searches_are_counted_as_the_server_counts_them(
    stream: tuple[LabelledStream, list[Face], list[Face]],
) -> None:
    labelled, _, faces = stream
    rows, tally = np.array([3, 250, 3, 399]), Tally()
    for row in rows.tolist():
        best, runner_up = float(labelled.searches.best[row]), float(labelled.searches.runner_up[row])
        decision = Decision.MATCH if best >= 0.3 else Decision.UNKNOWN
        tally.add_face(faces[row].measures, decision, best=best, runner_up=runner_up, templates_compared=100)
        tally.add_picture(1)
    expected, found = tally.counts(), labelled.searches.counts(rows, threshold=0.3, templates=100)
    assert found.decisions == expected.decisions
    assert found.templates_compared == expected.templates_compared
    left_out = {"best_and_quality"}
    for quantity, histogram in expected.histograms.items():
        if quantity.value not in left_out:
            assert found.histograms[quantity].tolist() == histogram.tolist(), quantity


def test_a_crowded_picture_is_counted_once_and_not_with_each_of_its_faces() -> None:
    rng = np.random.default_rng(5)
    crowd = [replace(_face("s", rng.standard_normal(_DIMENSION), rng), faces=9)] * 18
    searches = Searches(crowd, np.full(18, 0.2), np.full(18, 0.1))
    counts = searches.counts(np.arange(18), threshold=0.3, templates=1)
    assert counts.faces == 18
    assert counts.histograms[Quantity.FACES_PER_PICTURE].sum() == 2


def test_nobody_is_in_both_halves_of_the_strangers(stream: tuple[LabelledStream, list[Face], list[Face]]) -> None:
    labelled, _, faces = stream
    first, second = labelled.halves(np.random.default_rng(1))
    assert {faces[row].subject for row in first}.isdisjoint(faces[row].subject for row in second)
    assert len(first) == len(second) == 100


def test_a_replay_tries_every_window_and_figure(
    stream: tuple[LabelledStream, list[Face], list[Face]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facet.benchmarks.online.coverage.WINDOWS", (200,))
    monkeypatch.setattr("facet.benchmarks.online.coverage.STRANGERS", (0.5,))
    hits = list(replay(stream[0], 0))
    assert [each.figure for each in hits] == list(FIGURES)
    assert all(0 < each.width <= 1 for each in hits)
    rows = covered(hits)
    assert [(row["figure"], row["windows"]) for row in rows] == [(figure, 1) for figure in FIGURES]


def test_a_site_raises_no_alarm_by_itself_and_one_after_a_blur(
    stream: tuple[LabelledStream, list[Face], list[Face]],
) -> None:
    labelled, templates, faces = stream
    rng = np.random.default_rng(2)
    site = Site(labelled, np.array([each.measures.brightness for each in faces]), 0.4)
    usual = site.reference(rng)
    assert site.false_alarms(usual, 1, rng, advance=lambda: None).alarms == 0
    blurred = [_face(each.subject, each.embedding.astype(np.float64), rng, sharpness=0.2) for each in faces]
    ((searches, weights),) = staged({"blur": blurred, "nobody": []}, templates).values()
    found = site.detection(usual, searches, weights, rng)
    assert (found.faces, found.share, found.moved) == (250, 1.0, "sharpness")


def test_changes_of_people_keep_a_half_of_strangers(stream: tuple[LabelledStream, list[Face], list[Face]]) -> None:
    labelled, _, faces = stream
    changes = people(labelled, faces)
    for name, weights in changes.items():
        assert weights.sum() == pytest.approx(1)
        share = float(weights[: labelled.nonmated].sum())
        assert share == pytest.approx(0.95 if name == "strangers" else 0.5)
    turned = changes["turned heads"] > 0
    yaw = np.abs([each.measures.yaw for each in faces])
    assert yaw[turned].mean() > 2 * yaw[~turned].mean()


def test_changes_of_pictures_change_them() -> None:
    picture = np.random.default_rng(3).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert PICTURES["darker"](picture).mean() < picture.mean() / 2
    assert PICTURES["blur"](picture).std() < picture.std() / 2
    assert PICTURES["another camera"](picture).shape == (20, 20, 3)
    assert CROWD not in PICTURES
