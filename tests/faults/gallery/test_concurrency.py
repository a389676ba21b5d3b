"""Threads that enrol, delete and search at the same time see everything that was acknowledged to any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import GalleryNotFound, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify

DIMENSION = 64
WRITERS = 4
SEARCHERS = 3
ENROLMENTS = 60
GALLERIES = 60


def opened(path: Path) -> Galleries:
    return Galleries(SqliteStore(path), contract="c", dimension=DIMENSION, max_templates_per_subject=20)


@cache
def vector(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).normal(size=DIMENSION).astype(np.float32)


class Acknowledged:
    """Which subjects are certainly in the gallery or not, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, bool] = {}

    def record(self, number: int, *, there: bool) -> None:
        with self._lock:
            self._known[number] = there

    def forget(self, number: int) -> None:
        """Forget a subject that is about to change."""
        with self._lock:
            self._known.pop(number, None)

    def known(self) -> dict[int, bool]:
        with self._lock:
            return dict(self._known)


def found(galleries: Galleries, numbers: list[int]) -> dict[int, bool]:
    answers = galleries.search("g", np.stack([vector(number) for number in numbers]), top_k=1)
    return {
        number: bool(answer.candidates)
        and answer.candidates[0].similarity > 0.999
        and answer.candidates[0].subject_id == f"s{number}"
        for number, answer in zip(numbers, answers, strict=True)
    }


def enroll_and_delete(galleries: Galleries, acknowledged: Acknowledged, writer: int) -> None:
    rng = np.random.default_rng(writer)
    mine: list[int] = []
    for each in range(ENROLMENTS):
        number = each * WRITERS + writer
        enrollment = Enrollment(vector(number), "c", f"picture {number}", (0, 0, 9, 9), 1.0)
        galleries.enroll("g", f"s{number}", enrollment)
        acknowledged.record(number, there=True)
        assert found(galleries, [number]) == {number: True}
        mine.append(number)
        if rng.random() < 0.5:
            gone = mine.pop(int(rng.integers(len(mine))))
            acknowledged.forget(gone)
            galleries.delete_subject("g", f"s{gone}")
            acknowledged.record(gone, there=False)
            assert found(galleries, [gone]) == {gone: False}


def search(galleries: Galleries, acknowledged: Acknowledged, stop: threading.Event, seed: int) -> int:
    rng = np.random.default_rng(seed)
    searches = 0
    while not stop.is_set():
        known = acknowledged.known()
        if not known:
            continue
        before = {number: known[number] for number in rng.permutation(list(known))[:40].tolist()}
        answered = found(galleries, list(before))
        after = acknowledged.known()
        # A subject that was changing in the meantime may be found or not.
        certain = {number: there for number, there in before.items() if after.get(number) == there}
        assert {number: answered[number] for number in certain} == certain
        searches += 1
    return searches


def test_an_acknowledged_change_is_visible_to_all_threads(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries, acknowledged, stop = opened(path), Acknowledged(), threading.Event()
    galleries.create_gallery("g", display_name="", threshold=0.99)
    with ThreadPoolExecutor(WRITERS + SEARCHERS) as threads:
        searching = [threads.submit(search, galleries, acknowledged, stop, seed) for seed in range(SEARCHERS)]
        try:
            for writing in [
                threads.submit(enroll_and_delete, galleries, acknowledged, each) for each in range(WRITERS)
            ]:
                writing.result()
        finally:
            stop.set()
        assert all(each.result() > 0 for each in searching)
    known = acknowledged.known()
    assert len(known) == WRITERS * ENROLMENTS
    assert found(galleries, list(known)) == known
    galleries.close()
    assert verify(path).problems == ()
    reopened = opened(path)
    assert found(reopened, list(known)) == known
    gallery = reopened.get_gallery("g")
    assert gallery.template_count == gallery.subject_count == sum(known.values())
    reopened.close()


def make_and_delete(galleries: Galleries, number: int) -> str:
    """Create and delete galleries of one subject, and return the id of the last, which stays."""
    for each in range(GALLERIES):
        gallery_id = f"g{number}-{each}"
        galleries.create_gallery(gallery_id, display_name="", threshold=0.99)
        galleries.enroll(gallery_id, "ann", Enrollment(vector(each), "c", "p", (0, 0, 9, 9), 1.0))
        (answer,) = galleries.search(gallery_id, vector(each)[None], top_k=1)
        assert answer.candidates[0].subject_id == "ann"
        assert galleries.get_gallery(gallery_id).template_count == 1
        if each < GALLERIES - 1:
            galleries.delete_gallery(gallery_id, force=True)
            with pytest.raises(GalleryNotFound):
                galleries.get_gallery(gallery_id)
    return gallery_id


def enroll_and_delete_again(galleries: Galleries, writer: int, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        subject_id = f"w{writer}-{number}"
        enrollment = Enrollment(vector(number), "c", subject_id, (0, 0, 9, 9), 1.0, accept_lookalike=True)
        galleries.enroll("g", subject_id, enrollment)
        galleries.delete_subject("g", subject_id)
        number += 1


def test_concurrent_creation_and_deletion_of_galleries_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries, stop = opened(path), threading.Event()
    galleries.create_gallery("g", display_name="", threshold=0.99)
    # Few threads, so that a key is often reused while another thread removes the deleted gallery.
    with ThreadPoolExecutor(4) as threads:
        forgetting = [threads.submit(enroll_and_delete_again, galleries, each, stop) for each in range(2)]
        try:
            kept = [each.result() for each in [threads.submit(make_and_delete, galleries, each) for each in range(2)]]
        finally:
            stop.set()
        for each in forgetting:
            each.result()
    assert [each.gallery_id for each in galleries.list_galleries(page_size=10).items] == ["g", *kept]
    galleries.close()
    found = verify(path)
    assert (found.problems, found.unfinished) == ((), 0)
    assert {each.gallery_id: each.templates for each in found.galleries} == {"g": 0} | dict.fromkeys(kept, 1)


def race(*attempts: Callable[[], object]) -> list[object]:
    """Run calls at the same time, and return their results or errors."""
    together = threading.Barrier(len(attempts))

    def one(attempt: Callable[[], object]) -> object:
        together.wait()
        try:
            return attempt()
        except SubjectNotFound as error:
            return error

    with ThreadPoolExecutor(len(attempts)) as threads:
        return list(threads.map(one, attempts))


@pytest.mark.parametrize("seed", range(10))
def test_one_of_several_concurrent_deletions_succeeds(tmp_path: Path, seed: int) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    galleries.enroll("g", "ann", Enrollment(vector(seed), "c", "p", (0, 0, 9, 9), 1.0))
    answers = race(*[lambda: galleries.delete_subject("g", "ann")] * 4)
    assert sorted(map(str, (answer for answer in answers if isinstance(answer, int)))) == ["1"]
    assert sum(isinstance(answer, SubjectNotFound) for answer in answers) == 3
    assert galleries.get_gallery("g").subject_count == 0
    galleries.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_face_enrolled_concurrently_is_enrolled_once(tmp_path: Path, seed: int) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enrollment = Enrollment(vector(seed), "c", "p", (0, 0, 9, 9), 1.0)
    enrolled = race(*[lambda: galleries.enroll("g", "ann", enrollment).template.template_id] * 4)
    assert len(set(enrolled)) == 1
    assert galleries.get_gallery("g").template_count == 1
    galleries.close()
