"""Processes that are killed at random moments while they enrol, delete and import, a hundred times in all."""

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
from gallery.records.records import Enrollment, Gallery, StoredFace, Subject, Template
from gallery.stores.sqlite.store import SqliteStore
from gallery.stores.sqlite.verify import verify

DIMENSION = 64
KILLS_OF_A_DATABASE = 20
NOW = datetime(2024, 1, 1, tzinfo=UTC)

# Forks a process that has imported all of this already, which takes milliseconds where a new one takes a second.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["gallery.galleries", "gallery.stores.sqlite.store"])

Said = tuple[str, int, str]


def opened(path: Path) -> tuple[Galleries, SqliteStore]:
    store = SqliteStore(path)
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20), store


def vector(number: int) -> NDArray[np.float32]:
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def subject_of(number: int) -> str:
    """Every third face is another one of the subject of the face before it."""
    return f"s{number - 1 if number % 3 == 2 else number}"


def enroll_and_delete(path: Path, first: int, say: Connection) -> None:
    """Enrol faces from a number on, and forget some subjects; say what is begun, and what is done."""
    galleries, _ = opened(path)
    number = first
    while True:
        say.send(("enrolling", number, ""))
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
        say.send(("enrolled", number, enrolled.template.template_id))
        gone = number - 3
        if number % 7 == 6 and gone > first:
            say.send(("deleting", gone, ""))
            galleries.delete_subject("g", subject_of(gone))
            say.send(("deleted", gone, ""))
        number += 1


def faces(number: int) -> list[StoredFace]:
    """What an import brings: so many that the store needs several transactions."""
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


def import_and_delete(path: Path, first: int, say: Connection) -> None:
    """Import galleries from a number on, and delete some; say what is begun, and what is done."""
    store = SqliteStore(path)
    number = first
    while True:
        say.send(("importing", number, ""))
        importing = store.begin_import(Gallery(f"g{number}", "", 0.5, 1, "c", 0, 0, NOW, NOW, "e"))
        some = faces(number)
        for start in range(0, len(some), 200):
            importing.add(some[start : start + 200])
        if number % 4 == 3:
            importing.abort()
            say.send(("aborted", number, ""))
        else:
            importing.commit()
            say.send(("imported", number, ""))
        if number % 4 == 1 and number > first:
            say.send(("removing", number - 1, ""))
            store.delete_gallery(f"g{number - 1}", force=True, etag="")
            say.send(("removed", number - 1, ""))
            store.scrub()
        number += 1


def run_and_kill(
    work: Callable[[Path, int, Connection], None], path: Path, first: int, moment: random.Random, most: int
) -> list[Said]:
    """Let a process work until some moment; all that it said before."""
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(path, first, theirs))
    process.start()
    theirs.close()
    heard: list[Said] = []
    try:
        heard += [ours.recv() for _ in range(moment.randrange(most))]
        ours.poll(moment.uniform(0, 0.02))
    finally:
        process.kill()
    try:
        while True:
            heard.append(ours.recv())
    except EOFError:
        pass
    process.join()
    assert process.exitcode == -9
    process.close()
    ours.close()
    return heard


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_acknowledged_survives_and_nothing_is_half_there(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "facet.db"
    moment = random.Random(seed)
    galleries, _ = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    galleries.close()
    there: dict[int, str] = {}
    number = 0
    for kill in range(KILLS_OF_A_DATABASE):
        heard = run_and_kill(enroll_and_delete, path, number, moment, most=30)
        maybe_there: set[int] = set()
        maybe_gone: set[str] = set()
        for what, which, template_id in heard:
            if what == "enrolling":
                maybe_there, number = {which}, which + 1
            elif what == "enrolled":
                maybe_there, there[which] = set(), template_id
            elif what == "deleting":
                maybe_gone = {subject_of(which)}
            elif what == "deleted":
                there = {each: kept for each, kept in there.items() if subject_of(each) not in maybe_gone}
                maybe_gone = set()
        found = look_at(path, number)
        told = f"seed {seed}, kill {kill}, after {heard[-3:]}"
        in_doubt = {each for each in there if subject_of(each) in maybe_gone}
        assert {each: found.get(each) for each in there if each not in in_doubt} == {
            each: kept for each, kept in there.items() if each not in in_doubt
        }, told
        assert found.keys() <= there.keys() | maybe_there, told
        # A subject is forgotten with all of its faces, or with none.
        assert in_doubt & found.keys() in (set(), in_doubt), told
        there = found


def look_at(path: Path, count: int) -> dict[int, str]:
    """The faces in a database by number, each whole, found by a search, and with its subject; nothing else."""
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
def test_an_import_is_there_whole_or_not_at_all(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "facet.db"
    moment = random.Random(seed)
    SqliteStore(path).close()
    there: set[int] = set()
    number = 0
    for kill in range(KILLS_OF_A_DATABASE):
        heard = run_and_kill(import_and_delete, path, number, moment, most=8)
        in_doubt: set[int] = set()
        for what, which, _ in heard:
            in_doubt = {which} if what in ("importing", "removing") else set()
            number = max(number, which + 1)
            if what == "imported":
                there.add(which)
            there.discard(which if what == "removed" else -1)
        told = f"seed {seed}, kill {kill}, after {heard[-3:]}"
        store = SqliteStore(path)
        found = {int(each.gallery_id[1:]): each for each in store.galleries(after="", limit=1000)}
        assert found.keys() - in_doubt == there - in_doubt, told
        for which, gallery in found.items():
            assert gallery.template_count == len(faces(which)), told
        store.scrub()
        store.close()
        checked = verify(path)
        assert (checked.problems, checked.unfinished) == ((), 0), told
        connection = sqlite3.connect(path)
        (templates,) = connection.execute("SELECT COUNT(*) FROM templates").fetchone()
        connection.close()
        assert templates == sum(each.templates for each in checked.galleries), told
        there = set(found)
