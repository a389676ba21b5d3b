"""Processes that are killed at random moments while they enrol, delete and import: a hundred times in all."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify

DIMENSION = 64
KILLS_OF_A_DATABASE = 20
NOW = datetime(2024, 1, 1, tzinfo=UTC)

# Forks a process that has imported everything: that takes milliseconds, and a new process takes a second.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["gallery.galleries", "gallery.stores.sqlite.sqlite_store"])

Report = tuple[str, int, str]


def opened(path: Path) -> tuple[Galleries, SqliteStore]:
    store = SqliteStore(path)
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20), store


def vector(number: int) -> NDArray[np.float32]:
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def subject_of(number: int) -> str:
    """Return the subject of a face; every third face belongs to the subject of the one before."""
    return f"s{number - 1 if number % 3 == 2 else number}"


def enroll_and_delete(path: Path, first: int, reports: Connection) -> None:
    """Enrol faces from a number on and delete some subjects, and report every step before and after."""
    galleries, _ = opened(path)
    number = first
    while True:
        reports.send(("enrolling", number, ""))
        enrollment = Enrollment(
            vector(number),
            "c",
            f"picture {number}",
            (0, 0, 9, 9),
            1.0,
            request_id=f"request {number}",
            request_digest="d",
            crop=bytes(3000),
        )
        enrolled = galleries.enroll("g", subject_of(number), enrollment)
        reports.send(("enrolled", number, enrolled.template.template_id))
        gone = number - 3
        if number % 7 == 6 and gone > first:
            reports.send(("deleting", gone, ""))
            galleries.delete_subject("g", subject_of(gone))
            reports.send(("deleted", gone, ""))
        number += 1


def faces(number: int) -> list[StoredFace]:
    """Make the faces of an import: enough for several transactions."""
    gallery_id = f"g{number}"
    count = 500 + 100 * (number % 3)
    vectors = np.random.default_rng(number).normal(size=(count, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return [
        StoredFace(
            Subject(gallery_id, f"s{each // 2}", "", 0, NOW, NOW, "e"),
            Template(f"t{each}", gallery_id, f"s{each // 2}", "p", (0, 0, 9, 9), 1.0, NOW),
            vectors[each],
            None,
        )
        for each in range(count)
    ]


def import_and_delete(path: Path, first: int, reports: Connection) -> None:
    """Import galleries from a number on and delete some, and report every step before and after."""
    store = SqliteStore(path)
    number = first
    while True:
        reports.send(("importing", number, ""))
        importing = store.begin_import(Gallery(f"g{number}", "", 0.5, 1, "c", 0, 0, NOW, NOW, "e"))
        some = faces(number)
        for start in range(0, len(some), 200):
            importing.add(some[start : start + 200])
        if number % 4 == 3:
            importing.abort()
            reports.send(("aborted", number, ""))
        else:
            importing.commit()
            reports.send(("imported", number, ""))
        if number % 4 == 1 and number > first:
            reports.send(("removing", number - 1, ""))
            store.delete_gallery(f"g{number - 1}", force=True, etag="")
            reports.send(("removed", number - 1, ""))
            store.scrub()
        number += 1


def run_and_kill(
    work: Callable[[Path, int, Connection], None], path: Path, first: int, chance: random.Random, most: int
) -> list[Report]:
    """Kill a process at a random moment, and return everything it reported."""
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(path, first, theirs))
    process.start()
    theirs.close()
    reported: list[Report] = []
    try:
        reported += [ours.recv() for _ in range(chance.randrange(most))]
        ours.poll(chance.uniform(0, 0.02))
    finally:
        process.kill()
    try:
        while True:
            reported.append(ours.recv())
    except EOFError:
        pass
    process.join()
    assert process.exitcode == -9
    process.close()
    ours.close()
    return reported


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_acknowledged_changes_survive_and_others_are_complete_or_missing(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "facet.db"
    chance = random.Random(seed)
    galleries, _ = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    galleries.close()
    there: dict[int, str] = {}
    number = 0
    for kill in range(KILLS_OF_A_DATABASE):
        reported = run_and_kill(enroll_and_delete, path, number, chance, most=30)
        maybe_enrolled: set[int] = set()
        maybe_deleted: set[str] = set()
        for what, which, template_id in reported:
            if what == "enrolling":
                maybe_enrolled, number = {which}, which + 1
            elif what == "enrolled":
                maybe_enrolled, there[which] = set(), template_id
            elif what == "deleting":
                maybe_deleted = {subject_of(which)}
            elif what == "deleted":
                there = {each: kept for each, kept in there.items() if subject_of(each) not in maybe_deleted}
                maybe_deleted = set()
        found = faces_in(path, number)
        context = f"seed {seed}, kill {kill}, after {reported[-3:]}"
        in_doubt = {each for each in there if subject_of(each) in maybe_deleted}
        assert {each: found.get(each) for each in there if each not in in_doubt} == {
            each: kept for each, kept in there.items() if each not in in_doubt
        }, context
        assert found.keys() <= there.keys() | maybe_enrolled, context
        # A subject is deleted with all its faces, or not at all.
        assert in_doubt & found.keys() in (set(), in_doubt), context
        there = found


def faces_in(path: Path, count: int) -> dict[int, str]:
    """Return the templates of a database by face, after checking that they are complete and that searches find them."""
    checked = verify(path)
    assert (checked.problems, checked.unfinished) == ((), 0)
    galleries, store = opened(path)
    found: dict[int, str] = {}
    for face in store.faces("g", after=("", ""), limit=10_000):
        assert face.template is not None, "a subject without a template"
        number = int(face.template.picture_sha256.removeprefix("picture "))
        found[number] = face.template.template_id
        assert number < count
        assert face.subject.subject_id == subject_of(number)
        assert face.crop == bytes(3000)
        assert face.embedding is not None
        assert np.allclose(face.embedding, vector(number), atol=1e-6)
        answered = store.template_of_request("g", f"request {number}")
        assert answered == (face.template, "d")
    gallery = store.gallery("g")
    assert gallery.template_count == len(found)
    assert gallery.subject_count == len({subject_of(number) for number in found})
    numbers = list(range(count))
    if numbers:
        answers = galleries.search("g", np.stack([vector(number) for number in numbers]), top_k=1)
        by_search = {
            number: answer.candidates[0].template_id
            for number, answer in zip(numbers, answers, strict=True)
            if answer.candidates and answer.candidates[0].similarity > 0.999
        }
        assert by_search == found
    galleries.close()
    return found


@pytest.mark.parametrize("seed", [4, 5])
def test_an_import_is_complete_or_missing(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "facet.db"
    chance = random.Random(seed)
    SqliteStore(path).close()
    there: set[int] = set()
    number = 0
    for kill in range(KILLS_OF_A_DATABASE):
        reported = run_and_kill(import_and_delete, path, number, chance, most=8)
        in_doubt: set[int] = set()
        for what, which, _ in reported:
            in_doubt = {which} if what in ("importing", "removing") else set()
            number = max(number, which + 1)
            if what == "imported":
                there.add(which)
            there.discard(which if what == "removed" else -1)
        context = f"seed {seed}, kill {kill}, after {reported[-3:]}"
        store = SqliteStore(path)
        found = {int(each.gallery_id[1:]): each for each in store.galleries(after="", limit=1000)}
        assert found.keys() - in_doubt == there - in_doubt, context
        for which, gallery in found.items():
            assert gallery.template_count == len(faces(which)), context
        store.scrub()
        store.close()
        checked = verify(path)
        assert (checked.problems, checked.unfinished) == ((), 0), context
        connection = sqlite3.connect(path)
        (templates,) = connection.execute("SELECT COUNT(*) FROM templates").fetchone()
        connection.close()
        assert templates == sum(each.templates for each in checked.galleries), context
        there = set(found)
