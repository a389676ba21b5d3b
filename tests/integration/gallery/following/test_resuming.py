"""A server resumes from the index files of its last start: it finds what a server without them finds, and no more."""

from __future__ import annotations

import random
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import GalleryError, StorageUnavailable
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.index.sizes import IndexSizes
from gallery.opened import registry
from gallery.records.migrations import ModelVersion
from gallery.records.subjects import SubjectChange, renaming
from tests.integration.gallery.following.test_hard_conditions import JumpingClock
from tests.unit.gallery.samples import CONTRACT, DIMENSION, Vector, face
from tests.waiting import until

SIZES = IndexSizes(exact_rows=16, segment_rows=64)
PEOPLE = 100
PROBES = 5
MODEL = ModelVersion(CONTRACT, "model", "0" * 64, DIMENSION)
OTHER = ModelVersion("other-contract", "other-model", "f" * 64, DIMENSION)
Open = Callable[..., Galleries]


class Said:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def info(self, event: str, **facts: object) -> None:
        self.events.append({"event": event, **facts})

    error = info


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def start(
    postgres_server: PostgresServer, folder: Path, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Start one more server with files in the folder, unless it is told another folder or none.

    Its indexes have binary codes from 17 templates on, and segments of 64.
    """
    from gallery.stores.postgres.postgres_store import PostgresStore

    monkeypatch.setattr(registry, "MemoryIndex", partial(MemoryIndex, sizes=SIZES))
    schema = f"s{uuid.uuid4().hex}"
    made: list[Galleries] = []

    def make(folder: Path | None = folder, log: Said | None = None) -> Galleries:
        galleries = Galleries(
            PostgresStore(postgres_server.url, schema=schema, timeout=5, clock=clock),
            contract=CONTRACT,
            dimension=DIMENSION,
            max_templates_per_subject=5,
            further={OTHER.contract: OTHER.dimension},
            clock=clock,
            log=log or Said(),
            snapshot_dir=folder,
        )
        galleries.migrations.models = (MODEL, OTHER)
        made.append(galleries)
        return galleries

    yield make
    for galleries in made:
        galleries.close()


def person(number: int) -> Vector:
    vector = np.random.default_rng(number).standard_normal(DIMENSION)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def enroll(galleries: Galleries, number: int, gallery_id: str = "g") -> str:
    asked = face(person(number), name=f"Name {number}", accept_lookalike=True)
    return galleries.enroll(gallery_id, f"s{number}", asked).template.template_id


def filled(galleries: Galleries, count: int = PEOPLE) -> None:
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    for number in range(count):
        enroll(galleries, number)


def index_of(galleries: Galleries, gallery_id: str = "g") -> MemoryIndex:
    index = galleries._registry.find(gallery_id).indexes[CONTRACT]
    assert isinstance(index, MemoryIndex)
    return index


def is_kept(galleries: Galleries) -> bool:
    """Whether all that a start writes is in files: all but the exact rows, and segments of few."""
    segments = index_of(galleries).snapshot.segments
    return all(each.file is not None for each in segments if each.is_coded and each.count >= SIZES.exact_rows)


def restarted(galleries: Galleries, start: Open, log: Said | None = None) -> Galleries:
    galleries.close()
    again = start(log=log)
    until(lambda: is_kept(again), "the segments are not written")
    return again


def content(galleries: Galleries) -> tuple[object, ...]:
    """What all searches can find, with all bits of the similarities."""
    index = index_of(galleries)
    probes = np.array([person(1_000_000 + number) for number in range(PROBES)])
    found = index.search(probes, subjects=10 * PEOPLE, mean_of_best=1, thorough=True)
    subjects = sorted({each.subject_id for each in found[0].candidates})
    return (
        len(index),
        [[(c.subject_id, c.display_name, c.template_id, c.similarity) for c in each.candidates] for each in found],
        [index.template_similarities(subject_id, probes[0]) for subject_id in subjects],
    )


def caught_up(galleries: Galleries) -> Galleries:
    follower = galleries.follower
    assert follower is not None
    until(follower.follow)
    return galleries


def bytes_of(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in sorted(folder.glob("*.index")))


def stored_vector(galleries: Galleries, subject_id: str) -> bytes:
    """The bytes of a subject's only vector in the index."""
    snapshot = index_of(galleries).snapshot
    number = snapshot.subjects.number(subject_id)
    assert number is not None
    found: list[bytes] = [
        segment.vectors[row].tobytes() for segment in snapshot.segments for row in segment.rows_of(number).tolist()
    ]
    (vector,) = found
    return vector


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_and_restarts_it_finds_what_a_fresh_server_finds(
    start: Open, clock: JumpingClock, seed: int
) -> None:
    chance = random.Random(seed)
    one, other = start(), start(folder=None)
    filled(one, 60)
    numbers = iter(range(1000, 10_000))
    for _ in range(4):
        if chance.random() < 0.8:
            one = restarted(one, start)
        is_down = chance.random() < 0.5
        if is_down:
            one.close()
        for _ in range(25):
            change(other if is_down else chance.choice([one, other]), chance, numbers, clock)
        if is_down:
            one = start()
        fresh = start(folder=None)
        assert content(caught_up(one)) == content(fresh)
        fresh.close()


def change(galleries: Galleries, chance: random.Random, numbers: Iterator[int], clock: JumpingClock) -> None:
    """Make a change of any kind; it may be refused."""
    caught_up(galleries)
    known = [each.subject_id for each in galleries.list_subjects("g", page_size=1000).items]
    one, two = chance.sample(known, 2)
    templates = [each.template_id for each in galleries.list_templates("g", one, page_size=10).items]
    kind = chance.choices(
        ("enroll", "again", "delete", "template", "rename", "merge", "move", "expire", "wait", "many"),
        (30, 10, 15, 5, 5, 5, 5, 5, 2, 1),
    )[0]
    with suppress(GalleryError):
        if kind == "enroll":
            enroll(galleries, next(numbers))
        elif kind == "again":
            asked = face(person(next(numbers)), accept_lookalike=True)
            galleries.enroll("g", one, asked)
        elif kind == "delete":
            galleries.delete_subject("g", one)
        elif kind == "template" and templates:
            galleries.delete_template("g", one, templates[0])
        elif kind == "rename":
            galleries.update_subject("g", one, renaming(f"Other {next(numbers)}"))
        elif kind == "merge":
            galleries.corrections.merge("g", one, two)
        elif kind == "move" and templates:
            galleries.corrections.move("g", templates[0], from_id=one, into_id=two)
        elif kind == "expire":
            change = SubjectChange(frozenset({"expire_time"}), expire_time=clock() + timedelta(minutes=1))
            galleries.update_subject("g", one, change)
        elif kind == "wait":
            clock.ahead += timedelta(minutes=2)
        elif kind == "many":
            for subject_id in known[: len(known) // 2]:
                galleries.delete_subject("g", subject_id)


def test_a_deleted_person_is_erased_from_the_files_at_once(start: Open, folder: Path) -> None:
    one = start()
    filled(one)
    one = restarted(one, start)
    vector = stored_vector(one, "s7")
    template_id = one.list_templates("g", "s7", page_size=1).items[0].template_id.encode()
    assert vector in bytes_of(folder)
    assert template_id in bytes_of(folder)
    one.delete_subject("g", "s7")
    assert vector not in bytes_of(folder)
    assert template_id not in bytes_of(folder)
    said = Said()
    one = restarted(one, start, said)
    assert not said.events, "the digests of the other rows are right"
    assert len(index_of(one)) == PEOPLE - 1


def test_whom_another_server_deleted_is_erased_before_a_start_is_over(start: Open, folder: Path) -> None:
    one, other = start(), start(folder=None)
    filled(one)
    one = restarted(one, start)
    vector = stored_vector(one, "s7")
    one.close()
    caught_up(other).delete_subject("g", "s7")
    assert vector in bytes_of(folder)
    one = start()
    assert vector not in bytes_of(folder)
    assert len(index_of(one)) == PEOPLE - 1


def test_who_expires_is_erased_from_the_files(start: Open, folder: Path, clock: JumpingClock) -> None:
    one = start()
    filled(one)
    soon = clock() + timedelta(minutes=1)
    one.update_subject("g", "s7", SubjectChange(frozenset({"expire_time"}), expire_time=soon))
    one = restarted(one, start)
    vector = stored_vector(one, "s7")
    assert vector in bytes_of(folder)
    clock.ahead = timedelta(minutes=2)
    one.search("g", person(3)[None], top_k=1)
    assert vector not in bytes_of(folder)


def test_the_files_of_a_deleted_gallery_are_deleted(start: Open, folder: Path) -> None:
    one = start()
    filled(one)
    one = restarted(one, start)
    assert list(folder.glob("*.index"))
    one.delete_gallery("g", force=True)
    until(lambda: not list(folder.glob("*.index")), "the files are still there")


def test_files_that_became_useless_while_the_server_was_down_are_gone_before_it_writes_others(
    start: Open, folder: Path
) -> None:
    one, other = start(), start(folder=None)
    filled(one)
    one.create_gallery("h", display_name="Hosts", threshold=0.5)
    for number in range(200, 240):
        enroll(one, number, "h")
    one = restarted(one, start)
    until(lambda: len(list(folder.glob("*.index"))) == 3, "the files of the two are not written")
    one.close()
    useless = set(folder.glob("*.index"))
    made_anew(caught_up(other))
    other.delete_gallery("h", force=True)
    one = start()
    assert not useless & set(folder.glob("*.index"))
    until(lambda: is_kept(one), "the segments are not written")
    assert list(folder.glob("*.index"))


def test_a_gallery_that_replaced_another_one_takes_nothing_of_its_files(start: Open, folder: Path) -> None:
    one, other = start(), start(folder=None)
    filled(one)
    one = restarted(one, start)
    one.close()
    caught_up(other).delete_gallery("g", force=True)
    filled(other, 30)
    one = start()
    assert content(one) == content(start(folder=None))
    until(lambda: is_kept(one), "the segments are not written")
    assert len(list(folder.glob("*.index"))) == 1


def test_a_damaged_file_is_dropped_and_its_templates_come_from_the_database(start: Open, folder: Path) -> None:
    one = start()
    filled(one)
    one = restarted(one, start)
    vector = stored_vector(one, "s7")
    one.close()
    (damaged,) = (each for each in folder.glob("*.index") if vector in each.read_bytes())
    assert len(list(folder.glob("*.index"))) > 1
    damaged.write_bytes(damaged.read_bytes().replace(vector, vector[::-1]))
    said = Said()
    one = start(log=said)
    assert [(each["event"], each["file"]) for each in said.events] == [("an index file is not used", str(damaged))]
    assert not damaged.exists()
    assert content(one) == content(start(folder=None))


def test_embeddings_that_a_migration_may_have_made_anew_come_from_the_database(start: Open) -> None:
    one, other = start(), start(folder=None)
    filled(one)
    one = restarted(one, start)
    one.close()
    made_anew(caught_up(other))
    one = start()
    assert content(one) == content(start(folder=None))


def made_anew(galleries: Galleries) -> None:
    """Let a migration begin and end, and give a template another embedding, as one that comes back to a model does."""
    from gallery.stores.postgres.postgres_store import PostgresStore

    galleries.migrations.start("g", "other-model")
    galleries.migrations.cancel("g")
    until(lambda: galleries.migrations.drop("g"), "the migration does not end")
    store = galleries._store
    assert isinstance(store, PostgresStore)
    with store.database.writing() as connection:
        connection.execute(
            "UPDATE embeddings SET embedding = %s WHERE template_key = (SELECT MIN(template_key) FROM embeddings)",
            (person(77).tobytes(),),
        )


def test_servers_of_one_folder_share_their_rows(start: Open, folder: Path) -> None:
    one = start()
    filled(one)
    one = restarted(one, start)
    two = start()
    paths = [
        [each.file.path for each in index_of(server).snapshot.segments if each.file is not None]
        for server in (one, two)
    ]
    assert paths[0] == paths[1] != []
    assert content(one) == content(two)
    two.delete_subject("g", "s7")
    enroll(two, 500)
    assert content(caught_up(one)) == content(two) == content(start(folder=None))
    one.close()
    three = start()
    assert content(three) == content(two)


def test_a_folder_without_room_is_said_once_and_does_no_harm(start: Open, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(disk)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a small disk: {mounted.stderr.strip()}")
    try:
        one = start()
        filled(one)
        said = Said()
        full = start(folder=disk, log=said)
        until(lambda: said.events, "nothing was said")
        (failure,) = said.events
        assert failure["event"] == "an index file cannot be written"
        assert "No space left" in failure["reason"]
        until(lambda: [each.suffix for each in disk.iterdir()] == [".lock", ".lock"], "a part is left")
        assert content(full) == content(one)
        full.close()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_others_can_read_is_refused(start: Open, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    with pytest.raises(StorageUnavailable, match="only this user can read and write: chmod 700"):
        start(folder=shared)
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match=r"snapshot_dir .* cannot be used"):
        start(folder=tmp_path / "file")


def test_each_gallery_has_files_of_its_own(start: Open, folder: Path) -> None:
    one = start()
    filled(one, 30)
    one.create_gallery("h", display_name="Hosts", threshold=0.5)
    for number in range(200, 240):
        enroll(one, number, "h")
    one = restarted(one, start)
    until(lambda: len(list(folder.glob("*.index"))) == 2, "the files of the two are not written")
    one = restarted(one, start)
    assert [len(index_of(one, each)) for each in ("g", "h")] == [30, 40]
    assert all(each.file for name in ("g", "h") for each in index_of(one, name).snapshot.segments)
    one.delete_gallery("h", force=True)
    until(lambda: len(list(folder.glob("*.index"))) == 1, "the files are still there")


def test_small_galleries_have_no_files(start: Open, folder: Path) -> None:
    one = start()
    filled(one, SIZES.exact_rows)
    one = restarted(one, start)
    assert not list(folder.glob("*.index"))
    assert content(one) == content(start(folder=None))


def test_a_template_that_moved_away_and_back_before_another_process_heard_of_it_is_found_there(start: Open) -> None:
    one = start()
    filled(one)
    one = restarted(one, start)
    two = start()
    (template,) = one.list_templates("g", "s7", page_size=10).items
    opened = two._registry.known("g")
    assert opened is not None
    with opened.change_lock:
        one.corrections.move("g", template.template_id, from_id="s7", into_id="s8")
        one.corrections.move("g", template.template_id, from_id="s8", into_id="s7")
    assert content(caught_up(two)) == content(caught_up(one)) == content(start(folder=None))


def test_who_got_more_time_is_found_again_where_another_process_had_not_heard_of_it(
    start: Open, clock: JumpingClock
) -> None:
    one = start()
    filled(one)
    soon = clock() + timedelta(minutes=1)
    one.update_subject("g", "s7", SubjectChange(frozenset({"expire_time"}), expire_time=soon))
    one = restarted(one, start)
    two = start()
    opened = two._registry.known("g")
    assert opened is not None
    later = SubjectChange(frozenset({"expire_time"}), expire_time=soon + timedelta(days=9))
    with opened.change_lock:
        one.update_subject("g", "s7", later)
        with opened.expiry_lock:
            two._registry._drop_known(opened, soon)
    fresh = content(start(folder=None))
    for server in (one, two):
        until(lambda server=server: content(caught_up(server)) == fresh, "s7 is not found again")  # type: ignore[misc]


def test_another_process_writes_once_the_one_that_wrote_is_gone(start: Open, folder: Path) -> None:
    one = start()
    filled(one)
    one = restarted(one, start)
    two = start()
    one.close()
    two.delete_gallery("g", force=True)
    until(lambda: not list(folder.glob("*.index")), "the files are still there")
