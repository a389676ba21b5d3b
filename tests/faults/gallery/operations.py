"""Every kind of write to the files of a database, on a small prepared one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.errors import ChangeUndone, GalleryExists, GalleryNotFound, SubjectNotFound, TemplateNotFound
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.erasures import Erasure, ErasureOutcome
from gallery.records.galleries import GalleryChange
from gallery.records.subjects import Subject, renaming
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.copies import backup, compact, restore
from gallery.stores.sqlite.erasure_records.byte_search import ByteSearch
from gallery.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify
from gallery.times import EARLIEST
from gallery.transfer.parquet.schema import PNG_SIGNATURE
from tests.faults.gallery.samples import new_gallery
from tests.waiting import until

DIMENSION = 32
SMALL, LARGE = 110, 600
"""Subjects of the galleries "small" and "large": enough to calibrate, and enough for several transactions."""
DATABASE, EXPORTED, COPY = "facet.db", "large.parquet", "copy.db"
NOW, LATER = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
EXPIRING = range(20, 30)
"""Subjects of the small gallery that expire later."""
CROP = PNG_SIGNATURE + bytes(3000)

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Operation:
    """A write, in steps that are acknowledged one by one.

    Attributes:
        name: the name.
        prepare: make the files in an empty folder.
        run: carry out some steps in a folder. It calls the first function once everything before the operation is
            done, and the second one after each step.
        steps: the number of steps.
        repeat: carry out all steps again, after a kill.
        state: open the files as a server does, check that they are sound, and return what they hold.
    """

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path, int, Step, Step], None]
    steps: int
    repeat: Callable[[Path], object]
    state: Callable[[Path], Any]


def opened(path: Path, time: datetime = NOW) -> tuple[Galleries, SqliteStore]:
    """Open a database as a server does at a time."""

    def clock() -> datetime:
        return time

    store = SqliteStore(path, clock=clock)
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=5, clock=clock), store


@cache
def vector(number: int) -> NDArray[np.float32]:
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def picture(number: int) -> str:
    """Return the digest of the picture of a face."""
    return f"{number:064}"


def faces(gallery_id: str, count: int) -> list[StoredFace]:
    return [
        StoredFace(
            Subject(
                "",
                f"subject-{number:04}",
                f"Name {number:04}",
                0,
                NOW,
                NOW,
                f"etag of {gallery_id}",
                expire_time=LATER if gallery_id == "small" and number in EXPIRING else None,
            ),
            Template(f"t{number:04}", "", f"subject-{number:04}", picture(number), (0, 0, 9, 9), 1.0, NOW),
            vector(number),
            CROP if number % 50 == 0 else None,
        )
        for number in range(count)
    ]


def prepare(folder: Path) -> None:
    """A database with a small and a large gallery, an export of the large one, and an older backup."""
    galleries, store = opened(folder / DATABASE)
    for gallery_id, count in (("small", SMALL), ("large", LARGE)):
        importing = store.begin_import(new_gallery(gallery_id))
        importing.add(faces(gallery_id, count))
        importing.commit()
    galleries.close()
    backup(folder / DATABASE, folder / COPY)
    galleries, _ = opened(folder / DATABASE)
    galleries.update_subject("small", "subject-0001", renaming("Name 9001"))
    with (folder / EXPORTED).open("wb") as file:
        file.writelines(piece.data for piece in galleries.transfer.export_gallery("large"))
    galleries.close()


def prepare_old(folder: Path) -> None:
    """A database as the first version wrote it."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO galleries VALUES (1, 'small', '', 0.5, 'c', 0, 0, 'etag')")
        for number in range(SMALL):
            row = (number + 1, f"subject-{number:04}", f"Name {number:04}")
            connection.execute("INSERT INTO subjects VALUES (?, 1, ?, ?, 0, 0, 'etag')", row)
            template = (
                number + 1,
                number + 1,
                f"t{number:04}",
                picture(number),
                vector(number).astype("<f4").tobytes(),
            )
            connection.execute("INSERT INTO templates VALUES (?, 1, ?, ?, ?, 0, 0, 9, 9, 1, 0, ?)", template)


def state(folder: Path) -> dict[str, Any]:
    """Return what a database holds, after checking that it is sound and that searches find exactly what it holds."""
    path = folder / DATABASE
    galleries, store = opened(path)
    store.scrub()
    found = {each.gallery_id: gallery_state(galleries, store, each.gallery_id) for each in listed(store)}
    until(lambda: all(each.gone_time for each in records(galleries)), "a record stays incomplete")
    recorded = sorted((each.cause.value, each.subjects, each.templates) for each in records(galleries))
    assert {each.outcome for each in records(galleries)} <= {ErasureOutcome.NOT_FOUND, ErasureOutcome.NOT_SEARCHED}
    galleries.close()
    checked = verify(path)
    assert (checked.problems, checked.unfinished) == ((), 0)
    with closing(sqlite3.connect(path)) as connection:
        for table, of in (("templates", 4), ("subjects", 3)):
            (rows,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            assert rows == sum(each[of] for each in found.values())
    files = [file.read_bytes() for file in folder.glob(f"{DATABASE}*")]
    kept = {text for each in found.values() for face in each["faces"] for text in face[:2]}
    readable = {text.decode() for data in files for text in PERSON.findall(data)}
    with closing(sqlite3.connect(path)) as connection:
        changes = [text.encode() for (text,) in connection.execute("SELECT text FROM changes")]
    kept |= {text.decode() for change in changes for text in PERSON.findall(change)}
    assert readable == kept, "names or ids that were forgotten"
    embeddings = {int(face[2]) for each in found.values() for face in each["faces"] if face[2]}
    readable_embeddings = {NUMBERS[each] for data in files for each in EMBEDDINGS.in_bytes(data)}
    assert readable_embeddings == embeddings, "embeddings that were forgotten"
    return {"galleries": found, "erasures": recorded}


PERSON = re.compile(rb"Name \d{4}|subject-\d{4}")
"""Names and ids of people."""


NUMBERS = (*range(LARGE), 9000)
EMBEDDINGS = ByteSearch([vector(number).astype("<f4").tobytes() for number in NUMBERS])
"""Finds the embeddings of all numbered faces."""


def records(galleries: Galleries) -> tuple[Erasure, ...]:
    return galleries.erasures.list("", "", since=EARLIEST, page_size=1000).items


def listed(store: SqliteStore) -> list[Any]:
    return list(store.galleries(after="", limit=1000))


def gallery_state(galleries: Galleries, store: SqliteStore, gallery_id: str) -> Mapping[Any, Any]:
    gallery = store.gallery(gallery_id)
    rows = store.faces(gallery_id, after=("", ""), limit=10_000)
    held = [
        (each.subject.subject_id, each.subject.display_name, each.template.picture_sha256 if each.template else "")
        for each in rows
    ]
    embedded = [(each.embedding, each.template) for each in rows if each.embedding is not None and each.template]
    expected = [vector(int(template.picture_sha256)) for _, template in embedded]
    assert np.allclose([embedding for embedding, _ in embedded], expected, atol=1e-6)
    numbers = sorted({*range(15), *range(15, len(held), 7), 9000})
    answers = galleries.search(gallery_id, np.stack([vector(number) for number in numbers]), top_k=1)
    by_search = {
        (answer.candidates[0].subject_id, answer.candidates[0].display_name, picture(number))
        for number, answer in zip(numbers, answers, strict=True)
        if answer.candidates and answer.candidates[0].similarity > 0.999
    }
    searched = {each for each in held if each[2] in {picture(number) for number in numbers}}
    assert by_search == searched, "searches find something else than what is stored"
    subjects, templates = len({each[0] for each in held}), len(embedded)
    assert {answer.templates_compared for answer in answers} == {templates}
    assert (gallery.subject_count, gallery.template_count) == (subjects, templates)
    calibration = gallery.calibration
    return {
        "settings": (gallery.display_name, gallery.threshold, gallery.mean_of_best, gallery.threshold_source),
        "calibration": calibration and (calibration.threshold, calibration.searches, calibration.curve),
        "faces": sorted(held),
        3: subjects,
        4: templates,
    }


def on_galleries(name: str, *changes: Callable[[Galleries, Path], object]) -> Operation:
    """Changes that a server makes one after the other."""

    def run(folder: Path, steps: int, ready: Step, acknowledge: Step) -> None:
        galleries, _ = opened(folder / DATABASE)
        ready()
        for change in changes[:steps]:
            change(galleries, folder)
            acknowledge()
        galleries.close()

    def repeat(folder: Path) -> None:
        galleries, _ = opened(folder / DATABASE)
        for change in changes:
            # It was complete.
            with suppress(ChangeUndone, GalleryExists, GalleryNotFound, SubjectNotFound, TemplateNotFound):
                change(galleries, folder)
        galleries.close()

    return Operation(name, prepare, run, len(changes), repeat, state)


def on_files(
    name: str,
    act: Callable[[Path], object],
    state_of: Callable[[Path], Any] = state,
    prepared: Callable[[Path], None] = prepare,
) -> Operation:
    """What a command does to files."""

    def run(folder: Path, steps: int, ready: Step, acknowledge: Step) -> None:
        ready()
        if steps:
            act(folder)
            acknowledge()

    return Operation(name, prepared, run, 1, act, state_of)


def enroll(galleries: Galleries, subject_id: str, number: int) -> str:
    enrollment = Enrollment(
        vector(number),
        "c",
        picture(number),
        (0, 0, 9, 9),
        1.0,
        f"Name {number:04}",
        request_id=f"request {number}",
        request_digest="d",
        crop=CROP,
    )
    return galleries.enroll("small", subject_id, enrollment).template.template_id


def enroll_again(galleries: Galleries, _: Path) -> None:
    """Repeat an enrolment with the same request id."""
    (stored,) = galleries.list_templates("small", "subject-9000", page_size=9).items
    assert enroll(galleries, "subject-9000", 9000) == stored.template_id


def merge(galleries: Galleries, _: Path) -> str:
    """Merge two people; the same request id gets the same change."""
    merged = galleries.corrections.merge("small", "subject-0006", "subject-0007", request_id="merge")
    return merged.change.change_id


def unmerge(galleries: Galleries, folder: Path) -> None:
    galleries.corrections.undo("small", merge(galleries, folder))


def forget(number: int) -> Callable[[Galleries, Path], object]:
    return lambda galleries, _: galleries.delete_subject("small", f"subject-{number:04}")


def expire(folder: Path) -> None:
    """Erase what has expired, as a server does later."""
    galleries, _ = opened(folder / DATABASE, LATER)
    galleries.retention.erase()
    galleries.close()


def calibrate(galleries: Galleries, _: Path) -> None:
    gallery = galleries.calibrator.begin("small")
    evidence = galleries.calibrator.search_cross_subject(gallery, "", check=lambda: None)
    galleries.calibrator.calibrate(gallery, evidence, target_fpir=0.05)


def import_large(galleries: Galleries, folder: Path) -> None:
    with (folder / EXPORTED).open("rb") as file:
        galleries.transfer.import_gallery(file, "imported", check=lambda: None)


def copied(folder: Path) -> Any:
    """The state of a database and of its backup."""
    copy = folder / "of the copy"
    copy.mkdir(exist_ok=True)
    checked = verify(folder / COPY)
    assert checked.problems == ()
    assert not (folder / COPY).with_name(f"{COPY}-wal").exists()
    (copy / DATABASE).write_bytes((folder / COPY).read_bytes())
    return state(folder), state(copy)


ALL = (
    on_galleries("enrol", lambda galleries, _: enroll(galleries, "subject-9000", 9000), enroll_again),
    on_galleries("add a template", lambda galleries, _: enroll(galleries, "subject-0005", 9000)),
    on_galleries(
        "rename", lambda galleries, _: galleries.update_subject("small", "subject-0002", renaming("Name 9002"))
    ),
    on_galleries("merge", merge, unmerge),
    on_galleries("forget", forget(3)),
    on_galleries("forget many", *(forget(number) for number in range(10, 14))),
    on_files("expire", expire),
    on_galleries("delete a template", lambda galleries, _: galleries.delete_template("small", "subject-0004", "t0004")),
    on_galleries("create a gallery", lambda galleries, _: galleries.create_gallery("new", display_name="New")),
    on_galleries("delete a gallery", lambda galleries, _: galleries.delete_gallery("large", force=True)),
    on_galleries(
        "set a threshold", lambda galleries, _: galleries.update_gallery("small", GalleryChange(threshold=0.75))
    ),
    on_galleries("calibrate", calibrate),
    on_galleries("import", import_large),
    on_files("back up", lambda folder: backup(folder / DATABASE, folder / COPY, replace=True), copied),
    on_files("restore", lambda folder: restore(folder / COPY, folder / DATABASE, replace=True)),
    on_files("compact", lambda folder: compact(folder / DATABASE)),
    on_files("migrate", lambda folder: SqliteStore(folder / DATABASE).close(), prepared=prepare_old),
)
OPERATIONS: Mapping[str, Operation] = {each.name: each for each in ALL}
