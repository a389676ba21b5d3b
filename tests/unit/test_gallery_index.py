from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.index import ExactIndex, Ranked

DIMENSION = 64


def unit(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    vectors = rng.normal(size=(count, DIMENSION))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def filled(vectors: NDArray[np.float32], *, templates_each: int = 1) -> ExactIndex:
    index = ExactIndex(DIMENSION)
    for number, vector in enumerate(vectors):
        subject = number // templates_each
        index.add(f"s{subject:05}", f"name {subject}", f"t{number:05}", vector)
    return index


def search_one(index: ExactIndex, probe: NDArray[np.float32], subjects: int = 3) -> Ranked:
    (ranked,) = index.search(probe[None], subjects=subjects)
    return ranked


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_every_template_finds_its_subject(rng: np.random.Generator) -> None:
    vectors = unit(rng, 300)
    answers = filled(vectors, templates_each=3).search(vectors, subjects=1)
    assert [answer.candidates[0].template_id for answer in answers] == [f"t{n:05}" for n in range(300)]
    assert {answer.candidates[0].similarity for answer in answers} <= {1.0, float(np.float32(1 - 2**-24))}
    assert {answer.templates_compared for answer in answers} == {300}


def test_no_probe_gets_no_answer_and_an_empty_index_no_candidate(rng: np.random.Generator) -> None:
    index = ExactIndex(DIMENSION)
    assert index.search(np.empty((0, DIMENSION), np.float32), subjects=1) == ()
    assert search_one(index, unit(rng, 1)[0]) == Ranked((), 0)


def test_probes_answer_alike_alone_and_together(rng: np.random.Generator) -> None:
    index = filled(unit(rng, 500))
    probes = unit(rng, 40)
    assert index.search(probes, subjects=5) == tuple(search_one(index, probe, 5) for probe in probes)


def test_blocks_of_probes_answer_as_all_at_once(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    index = filled(unit(rng, 100))
    probes = unit(rng, 25)
    together = index.search(probes, subjects=3)
    monkeypatch.setattr("gallery.index._MAX_SCORES", 700)
    assert index.search(probes, subjects=3) == together


@pytest.mark.parametrize("count", [3, 17, 100, 257])
def test_equal_templates_tie_wherever_their_rows_are(rng: np.random.Generator, count: int) -> None:
    (vector,) = unit(rng, 1)
    index = ExactIndex(DIMENSION)
    others = unit(rng, count)
    for number in rng.permutation(count):
        index.add(f"twin{number:03}", "", f"t{number}", vector)
        index.add(f"other{number:03}", "", f"o{number}", others[number])
    (probe,) = unit(rng, 1)
    for seen in (probe, vector):
        twins = [each for each in search_one(index, seen, 2 * count).candidates if each.subject_id.startswith("twin")]
        assert len({each.similarity for each in twins}) == 1
        assert [each.subject_id for each in twins] == [f"twin{number:03}" for number in range(count)]


def test_of_those_that_tie_at_the_last_place_the_first_by_id_are_named(rng: np.random.Generator) -> None:
    for count in range(30, 120, 7):
        (vector, probe) = unit(rng, 2)
        index = ExactIndex(DIMENSION)
        for number in rng.permutation(count):
            index.add(f"twin{number:03}", "", f"t{number}", vector)
        names = [each.subject_id for each in search_one(index, probe, 3).candidates]
        assert names == ["twin000", "twin001", "twin002"]


def test_somebody_with_very_many_templates_does_not_push_the_others_out(rng: np.random.Generator) -> None:
    (probe,) = unit(rng, 1)
    index = ExactIndex(DIMENSION)
    for number in range(400):
        index.add("crowd", "", f"c{number}", probe)
    for number, vector in enumerate(unit(rng, 6)):
        index.add(f"s{number}", "", f"t{number}", vector)
    found = [each.subject_id for each in search_one(index, probe, 5).candidates]
    assert found[0] == "crowd"
    assert len(found) == 5


def test_what_was_removed_is_not_found_and_its_row_is_zero(rng: np.random.Generator) -> None:
    vectors = unit(rng, 40)
    index = filled(vectors, templates_each=2)
    index.remove_subject("s00003")
    index.remove_template("s00000", "t00000")
    assert len(index) == 37
    assert index.similarity("s00003", vectors[6]) is None
    assert index.similarity("s00000", vectors[1]) == pytest.approx(1.0)
    for row in (0, 6, 7):
        answer = search_one(index, vectors[row], 20)
        assert all(each.template_id not in ("t00000", "t00006", "t00007") for each in answer.candidates)
        assert answer.templates_compared == 37
        assert not index._snapshot.embeddings[row].any()


def test_a_search_that_began_before_a_removal_sees_no_zeroed_row(rng: np.random.Generator) -> None:
    vectors = unit(rng, 40)
    index = filled(vectors)
    before = index._snapshot
    index.remove_subject("s00003")
    (answer,) = index._search_block(before, vectors[3:4], 40)
    assert "s00003" not in {each.subject_id for each in answer.candidates}
    assert len(answer.candidates) == 39


def test_the_living_move_together_once_a_quarter_is_dead(rng: np.random.Generator) -> None:
    vectors = unit(rng, 1000)
    index = filled(vectors, templates_each=2)
    full = index.nbytes
    for subject in range(450):
        index.remove_subject(f"s{subject:05}")
        assert index._snapshot.count <= len(index) * 4 / 3
    assert len(index) == 100
    assert index.nbytes < full / 3
    answers = index.search(vectors[900:], subjects=1)
    assert [answer.candidates[0].template_id for answer in answers] == [f"t{n:05}" for n in range(900, 1000)]
    index.add("s00001", "again", "new", vectors[3])
    assert search_one(index, vectors[3]).candidates[0].display_name == "again"


def test_a_cleared_index_holds_nothing(rng: np.random.Generator) -> None:
    vectors = unit(rng, 20)
    index = filled(vectors)
    arrays = index._snapshot.embeddings
    index.clear()
    assert len(index) == 0
    assert not arrays.any()
    assert search_one(index, vectors[0]).candidates == ()


def test_a_new_name_is_seen_by_the_next_search(rng: np.random.Generator) -> None:
    vectors = unit(rng, 3)
    index = filled(vectors)
    index.rename("s00001", "renamed")
    index.rename("nobody", "nothing happens")
    assert search_one(index, vectors[1]).candidates[0].display_name == "renamed"


def test_similarity_is_never_outside_of_minus_one_and_one() -> None:
    vector = np.full(DIMENSION, 1 / 8, np.float32) * np.float32(1 + 2**-22)
    index = filled(vector[None])
    assert index.similarity("s00000", vector) == 1.0
    assert index.similarity("s00000", -vector) == -1.0


def test_searches_beside_changes_answer_only_what_is_true(rng: np.random.Generator) -> None:
    stay, come = unit(rng, 50), unit(rng, 200)
    index = filled(stay)
    is_over = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        while not is_over.is_set():
            for number, answer in enumerate(index.search(stay, subjects=2)):
                best = answer.candidates[0]
                if best.subject_id != f"s{number:05}" or best.display_name != f"name {number}":
                    wrong.append(answer)
            for probe, answer in zip(come, index.search(come, subjects=2), strict=True):
                for each in answer.candidates:
                    kind, number = each.subject_id.rstrip("0123456789"), int(each.template_id[1:])
                    true = float(probe @ (come if kind == "come" else stay)[number])
                    if abs(each.similarity - true) > 1e-5:
                        wrong.append((each, true))

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for _ in range(10):
        for number, vector in enumerate(come):
            index.add(f"come{number}", "", f"c{number}", vector)
        for number in range(len(come)):
            index.remove_subject(f"come{number}")
    is_over.set()
    for watcher in watchers:
        watcher.join()
    assert wrong == []
