"""The index in memory, plain and sketched; sketched ones are made small, so that they have several segments."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.index import candidate_search as retrieval
from gallery.index import memory_index
from gallery.index.base import Ranked
from gallery.index.candidate_search import compare_all
from gallery.index.memory_index import MemoryIndex
from gallery.records.records import EmbeddedTemplates
from gallery.search_pool import SearchPool

DIMENSION = 64
SIMILARITY = 4e-4
"""How far a similarity may be off in a sketched segment."""


def unit(rng: np.random.Generator, count: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    vectors = rng.normal(size=(count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def filled(vectors: NDArray[np.float32], *, templates_each: int = 1) -> MemoryIndex:
    index = MemoryIndex(vectors.shape[1])
    subjects = [number // templates_each for number in range(len(vectors))]
    index.add(
        EmbeddedTemplates(
            [f"s{subject:05}" for subject in subjects],
            [f"name {subject}" for subject in subjects],
            [f"t{number:05}" for number in range(len(vectors))],
            vectors,
        )
    )
    return index


def add(index: MemoryIndex, subject_id: str, name: str, template_id: str, vector: NDArray[np.float32]) -> None:
    index.add(EmbeddedTemplates((subject_id,), (name,), (template_id,), vector[None]))


def search_one(index: MemoryIndex, probe: NDArray[np.float32], subjects: int = 3, mean_of_best: int = 1) -> Ranked:
    (ranked,) = index.search(probe[None], subjects=subjects, mean_of_best=mean_of_best)
    return ranked


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(params=["plain", "sketched"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind: str = request.param
    if kind == "sketched":
        monkeypatch.setattr(memory_index, "PLAIN_ROWS", 20)
        monkeypatch.setattr(memory_index, "SEGMENT_ROWS", 64)
        monkeypatch.setattr(retrieval, "NEAREST_SHARE", 1.0)
    return kind


@pytest.mark.usefixtures("kind")
def test_every_template_finds_its_subject(rng: np.random.Generator) -> None:
    vectors = unit(rng, 300)
    answers = filled(vectors, templates_each=3).search(vectors, subjects=1, mean_of_best=1)
    assert [answer.candidates[0].template_id for answer in answers] == [f"t{n:05}" for n in range(300)]
    assert [answer.candidates[0].similarity for answer in answers] == pytest.approx([1.0] * 300, abs=SIMILARITY)
    assert {answer.templates_compared for answer in answers} == {300}


def test_a_small_gallery_is_compared_without_loss(rng: np.random.Generator) -> None:
    vectors = unit(rng, 300)
    answers = filled(vectors).search(vectors, subjects=1, mean_of_best=1)
    assert {answer.candidates[0].similarity for answer in answers} <= {1.0, float(np.float32(1 - 2**-24))}


@pytest.mark.usefixtures("kind")
def test_no_probe_gets_no_answer_and_an_empty_index_no_candidate(rng: np.random.Generator) -> None:
    index = filled(unit(rng, 100))
    assert index.search(np.empty((0, DIMENSION), np.float32), subjects=1, mean_of_best=1) == ()
    assert search_one(MemoryIndex(DIMENSION), unit(rng, 1)[0]) == Ranked((), 0)


@pytest.mark.usefixtures("kind")
def test_probes_answer_alike_alone_and_together(rng: np.random.Generator) -> None:
    index = filled(unit(rng, 500))
    index.settle()
    probes = unit(rng, 70)
    together = index.search(probes, subjects=5, mean_of_best=1)
    assert together == tuple(search_one(index, probe, 5) for probe in probes)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("count", [3, 17, 100, 257])
def test_equal_templates_tie_wherever_their_rows_are(rng: np.random.Generator, count: int) -> None:
    (vector,) = unit(rng, 1)
    index = MemoryIndex(DIMENSION)
    others = unit(rng, count)
    for number in rng.permutation(count):
        add(index, f"twin{number:03}", "", f"t{number}", vector)
        add(index, f"other{number:03}", "", f"o{number}", others[number])
    (probe,) = unit(rng, 1)
    for seen in (probe, vector):
        twins = [each for each in search_one(index, seen, 2 * count).candidates if each.subject_id.startswith("twin")]
        assert len({each.similarity for each in twins}) == 1
        assert [each.subject_id for each in twins] == [f"twin{number:03}" for number in range(count)]


@pytest.mark.usefixtures("kind")
def test_of_those_that_tie_at_the_last_place_the_first_by_id_are_named(rng: np.random.Generator) -> None:
    for count in range(30, 120, 7):
        (vector, probe) = unit(rng, 2)
        index = MemoryIndex(DIMENSION)
        for number in rng.permutation(count):
            add(index, f"twin{number:03}", "", f"t{number}", vector)
        names = [each.subject_id for each in search_one(index, probe, 3).candidates]
        assert names == ["twin000", "twin001", "twin002"]


@pytest.mark.usefixtures("kind")
def test_somebody_with_very_many_templates_does_not_push_the_others_out(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "NEAREST_SHARE", 1 / 128)
    monkeypatch.setattr(retrieval, "NEAREST_LEAST", 5)
    (probe,) = unit(rng, 1)
    index = MemoryIndex(DIMENSION)
    for number in range(400):
        add(index, "crowd", "", f"c{number}", probe)
    for number, vector in enumerate(unit(rng, 6)):
        add(index, f"s{number}", "", f"t{number}", vector)
    found = [each.subject_id for each in search_one(index, probe, 5).candidates]
    assert found[0] == "crowd"
    assert len(found) == 5


@pytest.mark.usefixtures("kind")
def test_a_subject_can_count_by_the_mean_of_its_best_templates(rng: np.random.Generator) -> None:
    owners = rng.integers(0, 40, 300)
    vectors = unit(rng, 300)
    index = MemoryIndex(DIMENSION)
    for number, (owner, vector) in enumerate(zip(owners, vectors, strict=True)):
        add(index, f"s{owner:02}", "", f"t{number}", vector)
    for probe in unit(rng, 20):
        scores = vectors.astype(np.float64) @ probe
        means = {f"s{owner:02}": np.sort(scores[owners == owner])[-3:].mean() for owner in set(owners)}
        expected = sorted(means, key=lambda subject: -means[subject])[:5]
        found = search_one(index, probe, 5, mean_of_best=3).candidates
        assert [each.similarity for each in found] == pytest.approx([means[each] for each in expected], abs=SIMILARITY)
        own = index.similarity(found[0].subject_id, probe, mean_of_best=3)
        assert own == pytest.approx(found[0].similarity, abs=1e-6)


def zeroed(index: MemoryIndex) -> int:
    """How many rows hold nothing, after a look at all their columns."""
    dead = 0
    for segment in index._snapshot.segments:
        rows = np.flatnonzero(segment.codes[: segment.count] == -1)
        columns = (segment.vectors, segment.scales, segment.template_ids, segment.sketches)
        assert not any(column[rows].any() for column in columns)
        dead += rows.size
    return dead


@pytest.mark.usefixtures("kind")
def test_what_was_removed_is_not_found_and_its_row_is_zero(rng: np.random.Generator) -> None:
    vectors = unit(rng, 40)
    index = filled(vectors, templates_each=2)
    index.remove_subject("s00003")
    index.remove_template("s00000", "t00000")
    assert len(index) == 37
    assert index.similarity("s00003", vectors[6], mean_of_best=1) is None
    assert index.similarity("s00000", vectors[1], mean_of_best=1) == pytest.approx(1.0, abs=SIMILARITY)
    assert zeroed(index) == 3
    for row in (0, 6, 7):
        answer = search_one(index, vectors[row], 20)
        assert all(each.template_id not in ("t00000", "t00006", "t00007") for each in answer.candidates)
        assert answer.templates_compared == 37


def test_a_search_that_began_before_a_removal_sees_no_zeroed_row(rng: np.random.Generator) -> None:
    vectors = unit(rng, 40)
    index = filled(vectors)
    before = index._snapshot
    index.remove_subject("s00003")
    (found,) = compare_all(before.segments, vectors[3:4], SearchPool())
    assert 3 not in found.places
    assert len(found.places) == 39


def test_a_search_that_began_before_codes_were_given_anew_sees_no_zeroed_row(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", 20)
    monkeypatch.setattr(retrieval, "NEAREST_SHARE", 1.0)
    vectors = unit(rng, 400)
    index = filled(vectors)
    roster = index._snapshot.roster
    for subject in range(70):
        index.remove_subject(f"s{subject:05}")
    before = index._snapshot
    assert before.roster is roster
    # Codes of an earlier value of the segments, as a search that is under way has them.
    earlier = replace(before, segments=tuple(replace(each, codes=each.codes.copy()) for each in before.segments))
    index.remove_subject("s00399")
    found = index._ranked(
        earlier, vectors[399], next(iter(index._retrieved(earlier, vectors[399:], 3, -1.0, thorough=False)))[1], 3, 1
    )
    assert all(each.template_id and each.subject_id != "s00399" for each in found)


def test_an_emptied_large_gallery_answers_nobody_while_somebody_comes(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", 20)
    vectors = unit(rng, 30)
    index = filled(vectors)
    for subject in range(30):
        index.remove_subject(f"s{subject:05}")
    index._snapshot.roster.count(["somebody"], [""])
    assert search_one(index, vectors[0]) == Ranked((), 0)


def test_a_gallery_that_is_filled_and_emptied_again_and_again_keeps_no_empty_segments(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", 20)
    monkeypatch.setattr(memory_index, "SEGMENT_ROWS", 64)
    index = MemoryIndex(DIMENSION)
    for turn in range(6):
        for number, vector in enumerate(unit(rng, 100)):
            add(index, f"s{number}", "", f"t{turn}-{number}", vector)
        for number in range(100):
            index.remove_subject(f"s{number}")
    assert len(index._snapshot.segments) <= 2


@pytest.mark.usefixtures("kind")
def test_the_living_move_together_once_a_quarter_is_dead(rng: np.random.Generator) -> None:
    vectors = unit(rng, 1000)
    index = filled(vectors, templates_each=2)
    full = index.nbytes
    for subject in range(450):
        index.remove_subject(f"s{subject:05}")
        assert all(4 * segment.dead <= segment.count for segment in index._snapshot.segments)
    assert len(index) == 100
    assert len(index._snapshot.roster) < 3 * 50
    assert index.nbytes < full / 3
    answers = index.search(vectors[900:], subjects=1, mean_of_best=1)
    assert [answer.candidates[0].template_id for answer in answers] == [f"t{n:05}" for n in range(900, 1000)]
    add(index, "s00001", "again", "new", vectors[3])
    assert search_one(index, vectors[3]).candidates[0].display_name == "again"


@pytest.mark.usefixtures("kind")
def test_a_cleared_index_holds_nothing(rng: np.random.Generator) -> None:
    vectors = unit(rng, 100)
    index = filled(vectors)
    segments = index._snapshot.segments
    index.clear()
    assert len(index) == 0
    assert not any(column.any() for each in segments for column in (each.vectors, each.sketches, each.template_ids))
    assert search_one(index, vectors[0]).candidates == ()


@pytest.mark.usefixtures("kind")
def test_a_new_name_is_seen_by_the_next_search(rng: np.random.Generator) -> None:
    vectors = unit(rng, 30)
    index = filled(vectors)
    index.rename("s00001", "renamed")
    index.rename("nobody", "nothing happens")
    assert search_one(index, vectors[1]).candidates[0].display_name == "renamed"


def test_similarity_is_never_outside_of_minus_one_and_one() -> None:
    vector = np.full(DIMENSION, 1 / 8, np.float32) * np.float32(1 + 2**-22)
    index = filled(vector[None])
    assert index.similarity("s00000", vector, mean_of_best=1) == 1.0
    assert index.similarity("s00000", -vector, mean_of_best=1) == -1.0


def test_a_template_id_that_does_not_fit_is_refused(rng: np.random.Generator) -> None:
    index = filled(unit(rng, 3))
    with pytest.raises(ValueError, match="at most 36"):
        add(index, "s", "", "t" * 37, unit(rng, 1)[0])
    assert len(index) == 3


@pytest.mark.parametrize("dimension", [1, 7, 64, 100, 512])
def test_embeddings_of_any_dimension_can_be_sketched(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dimension: int
) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", 20)
    vectors = unit(rng, 200, dimension)
    for answer in filled(vectors).search(vectors[:50], subjects=1, mean_of_best=1):
        assert answer.candidates[0].similarity == pytest.approx(1.0, abs=SIMILARITY)


@pytest.fixture(scope="module")
def strangers() -> NDArray[np.float32]:
    return unit(np.random.default_rng(11), 60_000, 512)


@pytest.fixture(scope="module")
def large(strangers: NDArray[np.float32]) -> MemoryIndex:
    index = filled(strangers)
    index.settle()
    assert len(index._snapshot.segments) == 1
    assert index._snapshot.segments[0].is_sketched
    return index


def mated(rng: np.random.Generator, templates: NDArray[np.float32], cosine: float) -> NDArray[np.float32]:
    noise = unit(rng, *templates.shape)
    probes = cosine * templates + np.sqrt(1 - cosine**2) * noise
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


# No stranger reaches a cosine of 0.35. An enrolment asks only for who reaches a threshold.
@pytest.mark.parametrize(("cosine", "at_least"), [(0.45, -1.0), (0.35, -1.0), (0.45, 0.3), (0.35, 0.3)])
def test_a_large_gallery_finds_mates_among_strangers(
    rng: np.random.Generator, large: MemoryIndex, strangers: NDArray[np.float32], cosine: float, at_least: float
) -> None:
    mates = rng.integers(0, len(strangers), 300)
    probes = mated(rng, strangers[mates], cosine)
    answers = large.search(probes, subjects=1, mean_of_best=1, at_least=at_least)
    found = [answer.candidates[0].subject_id for answer in answers if answer.candidates]
    assert sum(f"s{mate:05}" == one for one, mate in zip(found, mates, strict=True)) >= 299


def test_a_large_gallery_names_the_nearest_stranger_of_a_probe_without_a_mate(
    rng: np.random.Generator, large: MemoryIndex, strangers: NDArray[np.float32]
) -> None:
    probes = unit(rng, 300, 512)
    nearest = (probes @ strangers.T).argmax(axis=1)
    found = [answer.candidates[0].subject_id for answer in large.search(probes, subjects=1, mean_of_best=1)]
    assert sum(f"s{row:05}" == one for one, row in zip(found, nearest, strict=True)) >= 290


# In the last block, which is short, and in the midst of the others.
@pytest.mark.parametrize("after", [0, 20_000])
def test_people_who_were_enrolled_together_do_not_hide_who_comes_second(
    rng: np.random.Generator, strangers: NDArray[np.float32], after: int
) -> None:
    index = filled(strangers[: len(strangers) - after])
    faces = unit(rng, 10, 512)
    for number, face in enumerate(faces):
        many = mated(rng, np.repeat(face[None], 60, axis=0), 0.7)
        ids = [f"m{number}-{each}" for each in range(60)]
        index.add(EmbeddedTemplates([f"many{number}"] * 60, [""] * 60, ids, many))
        add(index, f"second{number}", "", f"2nd{number}", mated(rng, face[None], 0.45)[0])
    for number, stranger in enumerate(strangers[len(strangers) - after :]):
        add(index, f"late{number}", "", f"l{number}", stranger)
    index.settle()
    for number, answer in enumerate(index.search(faces, subjects=2, mean_of_best=1)):
        assert [each.subject_id for each in answer.candidates] == [f"many{number}", f"second{number}"]


def test_where_only_similar_subjects_are_wanted_a_stranger_gets_none_or_few(
    rng: np.random.Generator, large: MemoryIndex
) -> None:
    for answer in large.search(unit(rng, 20, 512), subjects=5, mean_of_best=1, at_least=0.9):
        assert all(candidate.similarity < 0.9 for candidate in answer.candidates)


def test_the_mean_follows_a_gallery_that_drifts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", 100)
    index = filled(unit(rng, 101))
    (away,) = unit(rng, 1)
    drifted = unit(rng, 4000) + 2 * away
    drifted /= np.linalg.norm(drifted, axis=1, keepdims=True)
    for number, vector in enumerate(drifted.astype(np.float32)):
        add(index, f"d{number}", "", f"d{number}", vector)
    index.settle()
    (segment,) = index._snapshot.segments
    assert segment.sketched_at > segment.count / 2
    assert segment.mean == pytest.approx(drifted.mean(axis=0), abs=0.05)
    anew = np.packbits(segment.values(slice(segment.count)) > segment.mean, axis=1)
    different = np.bitwise_count(segment.sketches[: segment.count] ^ anew).sum()
    # Rows that came after the estimate were sketched before they were rounded to 16 bits.
    assert different < 1e-4 * segment.count * DIMENSION


def test_the_mean_follows_people_who_are_replaced_by_others(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", 100)
    index = filled(unit(rng, 1000))
    (away,) = unit(rng, 1)
    others = unit(rng, 4000) + 2 * away
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    for number, vector in enumerate(others.astype(np.float32)):
        index.remove_subject(f"s{number:05}" if number < 1000 else f"d{number - 1000}")
        add(index, f"d{number}", "", f"d{number}", vector)
    index.settle()
    assert len(index) == 1000
    assert index._snapshot.segments[-1].mean == pytest.approx(others.mean(axis=0), abs=0.05)


@pytest.mark.parametrize("rows", [16_384, 50])
def test_searches_beside_changes_answer_only_what_is_true(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(memory_index, "PLAIN_ROWS", rows)
    monkeypatch.setattr(memory_index, "SEGMENT_ROWS", 4 * rows)
    monkeypatch.setattr(retrieval, "NEAREST_SHARE", 1.0)
    stay, come = unit(rng, 50), unit(rng, 200)
    index = filled(stay)
    is_over = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        while not is_over.is_set():
            for number, answer in enumerate(index.search(stay, subjects=2, mean_of_best=1)):
                best = answer.candidates[0]
                if best.subject_id != f"s{number:05}" or best.display_name != f"name {number}":
                    wrong.append(answer)
            for probe, answer in zip(come, index.search(come, subjects=2, mean_of_best=1), strict=True):
                for each in answer.candidates:
                    kind, number = each.subject_id.rstrip("0123456789"), int(each.template_id[1:])
                    true = float(probe @ (come if kind == "come" else stay)[number])
                    if abs(each.similarity - true) > SIMILARITY:
                        wrong.append((each, true))

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for _ in range(10):
        for number, vector in enumerate(come):
            add(index, f"come{number}", "", f"c{number}", vector)
        for number in range(len(come)):
            index.remove_subject(f"come{number}")
    is_over.set()
    for watcher in watchers:
        watcher.join()
    index.settle()
    assert wrong == []
