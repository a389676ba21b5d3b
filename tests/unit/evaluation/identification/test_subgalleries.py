"""Error against gallery size and templates per subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.evaluation.identification.figures import Outcomes
from facet.evaluation.identification.searches import Candidate, Search
from facet.evaluation.identification.subgalleries import DRAWS, CandidateTable, by_gallery_size, by_templates
from facet.evaluation.intervals import Identities

SUBJECTS = [f"s{place:02d}" for place in range(40)]


def searched(row: NDArray[np.float32], subject: str, *, mated: bool, top_k: int, threshold: float) -> Search:
    order = np.argsort(-row, kind="stable")[:top_k]
    candidates = tuple(Candidate(SUBJECTS[place], float(row[place])) for place in order)
    return Search(f"{subject}.jpg", subject, mated, candidates, matched=candidates[0].similarity >= threshold)


def similarities(rows: int, *, mated: bool) -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    drawn = rng.normal(0.1, 0.1, (rows, len(SUBJECTS)))
    if mated:
        drawn[np.arange(rows), np.arange(rows) % len(SUBJECTS)] += 0.25
    return drawn.astype(np.float32)


def searches(top_k: int, threshold: float = 0.3) -> list[Search]:
    mated = [
        searched(row, SUBJECTS[place % len(SUBJECTS)], mated=True, top_k=top_k, threshold=threshold)
        for place, row in enumerate(similarities(120, mated=True))
    ]
    nonmated = [
        searched(row, f"stranger-{place}", mated=False, top_k=top_k, threshold=threshold)
        for place, row in enumerate(similarities(300, mated=False))
    ]
    return mated + nonmated


def test_a_smaller_gallery_answers_as_if_only_its_subjects_were_enrolled() -> None:
    everybody = searches(len(SUBJECTS))
    table = CandidateTable(everybody, SUBJECTS)
    for size in (1, 2, 10, 20, 39, 40):
        drawn = table.draw(size, np.random.default_rng(size))
        places = np.random.default_rng(size).permutation(len(SUBJECTS))
        by_draw = sorted(SUBJECTS, key=lambda subject: places[SUBJECTS.index(subject)])
        for place, search in enumerate(everybody):
            there = set(by_draw[:size])
            if search.mated and search.subject not in there:
                there = set(by_draw[: size - 1]) | {search.subject}
            assert len(there) == size
            best = next(each for each in search.candidates if each.subject in there)
            assert drawn.similarity[place] == np.float32(best.similarity)
            assert drawn.is_mate[place] == (search.mated and best.subject == search.subject)
        assert not drawn.beyond.any()


def test_a_probe_beyond_its_candidates_is_counted_and_never_a_false_positive() -> None:
    few, every = CandidateTable(searches(5), SUBJECTS), CandidateTable(searches(len(SUBJECTS)), SUBJECTS)
    short, full = (each.draw(8, np.random.default_rng(1)) for each in (few, every))
    assert 0.1 < short.beyond.mean() < 0.6
    known = ~short.beyond
    assert np.array_equal(short.similarity[known], full.similarity[known])
    assert np.array_equal(short.is_mate[known], full.is_mate[known])
    assert np.isneginf(short.similarity[short.beyond]).all()
    assert not short.is_mate[short.beyond].any()


def test_a_probe_without_a_face_is_missed_in_a_gallery_of_any_size() -> None:
    blank = Search("blank.jpg", "s00", True, failure="FACE_NOT_FOUND")
    drawn = CandidateTable([blank], SUBJECTS).draw(10, np.random.default_rng(0))
    assert (drawn.is_mate[0], drawn.beyond[0], drawn.similarity[0]) == (False, False, -np.inf)


def test_a_probe_whose_mate_was_not_enrolled_is_missed() -> None:
    search = replace(searches(40)[0], subject="nobody")
    drawn = CandidateTable([search], SUBJECTS).draw(40, np.random.default_rng(0))
    assert not drawn.is_mate[0]


def test_errors_grow_with_the_gallery_up_to_those_of_the_whole() -> None:
    run = searches(len(SUBJECTS))
    identities = Identities([search.subject for search in run], seed=0, rounds=50)
    rows = by_gallery_size(run, SUBJECTS, 0.3, identities=identities, seed=0)
    assert [row["subjects"] for row in rows] == [10, 20, 40]
    assert [row["draws"] for row in rows] == [DRAWS, DRAWS, 1]
    whole = rows[-1]
    outcomes = Outcomes.from_searches(run)
    every = np.ones(len(run), np.int64)
    assert whole["fpir"].value == outcomes.matched[~outcomes.mated].mean()
    assert whole["fnir"].value == (~outcomes.correct)[outcomes.mated].mean()
    assert whole["fnir@fpir=0.01"].value == outcomes.at_fpir(0.01).fnir(every)
    assert whole["fpir_if_independent"] == pytest.approx(whole["fpir"].value)
    fpirs = [row["fpir"].value for row in rows]
    assert fpirs == sorted(fpirs)
    for row in rows:
        assert row["fpir"].low <= row["fpir_if_independent"] <= row["fpir"].high
        assert row["beyond"] == 0
    again = by_gallery_size(run, SUBJECTS, 0.3, identities=identities, seed=0)
    assert again == rows


def test_figures_of_smaller_galleries_are_means_over_the_draws() -> None:
    run = searches(len(SUBJECTS))
    identities = Identities([search.subject for search in run], seed=0, rounds=5)
    rows = by_gallery_size(run, SUBJECTS, 0.3, identities=identities, seed=4)
    table, rng = CandidateTable(run, SUBJECTS), np.random.default_rng(4)
    table.draw(40, rng)
    mated = np.array([search.mated for search in run])
    draws = [table.draw(20, rng) for _ in range(DRAWS)]
    found = [each.is_mate & (each.similarity >= np.float32(0.3)) for each in draws]
    assert rows[1]["fnir"].value == pytest.approx(np.mean([~each[mated] for each in found]))
    misses = [
        Outcomes(
            tuple(search.subject for search in run), mated, each.similarity, each.is_mate.astype(np.intp), each.is_mate
        )
        .at_fpir(0.01)
        .fnir(np.ones(len(run), np.int64))
        for each in draws
    ]
    assert rows[1]["fnir@fpir=0.01"].value == pytest.approx(np.mean([each or 0.0 for each in misses]))


def test_fnir_at_a_low_fpir_needs_enough_nonmated_probes() -> None:
    run = searches(len(SUBJECTS))[:219]
    identities = Identities([search.subject for search in run], seed=0, rounds=5)
    (*_, whole) = by_gallery_size(run, SUBJECTS, 0.3, identities=identities, seed=0)
    assert whole["fnir@fpir=0.01"].value is None
    assert whole["fpir"].value is not None


def test_a_run_without_searches_or_subjects_has_no_rows() -> None:
    identities = Identities([], seed=0)
    assert by_gallery_size([], SUBJECTS, 0.3, identities=identities, seed=0) == []
    assert by_gallery_size(searches(1), [], 0.3, identities=identities, seed=0) == []


def test_mated_probes_are_grouped_by_the_number_of_templates() -> None:
    counts = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 6, "f": 60}

    def probe(subject: str, similarity: float) -> Search:
        return Search("p.jpg", subject, True, (Candidate(subject, similarity),), matched=similarity >= 0.4)

    run = [probe(subject, 0.5) for subject in "aabcdef"] + [probe("a", 0.35), Search("p.jpg", "nobody", True)]
    run += [Search("q.jpg", "x", False, (Candidate("a", 0.3),))]
    identities = Identities([search.subject for search in run], seed=0, rounds=5)
    rows = by_templates(Outcomes.from_searches(run), counts, 0.3, identities=identities)
    assert [(row["templates"], row["subjects"], row["probes"]) for row in rows] == [
        ("0", 1, 1),
        ("1", 1, 3),
        ("2", 1, 1),
        ("3-5", 2, 2),
        ("6 and more", 2, 2),
    ]
    assert [row["fnir"].value for row in rows] == [1, 1 / 3, 0, 0, 0]
    assert [row["fnir@fpir=0.01"].value for row in rows] == [1, 0, 0, 0, 0]
    assert [row["rank_1"].value for row in rows] == [0, 1, 1, 1, 1]
    assert (
        by_templates(Outcomes.from_searches(run), counts, None, identities=identities)[1]["fnir@fpir=0.01"].value
        is None
    )
