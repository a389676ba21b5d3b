"""What one server writes, another one that has the same database finds; and they do not get in each other's way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.errors import (
    GalleryError,
    GalleryExists,
    GalleryNotFound,
    LooksLikeAnotherSubject,
    StorageError,
    TooManyTemplates,
)
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.records.galleries import GalleryChange
from gallery.records.subjects import SubjectChange
from tests.integration.gallery.following.conftest import MAX_TEMPLATES, Open
from tests.unit.gallery.samples import DIMENSION, axis, best_match, between, face
from tests.waiting import until

Two = tuple[Galleries, Galleries]


def name_of(galleries: Galleries, number: int) -> str:
    """Return the name of the best candidate for an axis; empty if there is none."""
    (found,) = galleries.search("g", axis(number)[None], top_k=1)
    return found.candidates[0].display_name if found.candidates else ""


def exists(galleries: Galleries, gallery_id: str) -> bool:
    try:
        galleries.threshold(gallery_id)
    except GalleryNotFound:
        return False
    return True


def test_a_face_that_one_server_enrols_is_found_by_the_other(servers: Two) -> None:
    one, other = servers
    one.enroll("g", "ann", face(axis(1), name="Ann"))
    other.enroll("g", "bob", face(axis(2), name="Bob"))
    for server in servers:
        until(lambda server=server: best_match(server, axis(1)) == "ann", "Ann is not found")  # type: ignore[misc]
        until(lambda server=server: best_match(server, axis(2)) == "bob", "Bob is not found")  # type: ignore[misc]


def test_what_no_memory_was_left_for_is_found_a_moment_later(servers: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = servers
    failing_once(monkeypatch, "add")
    failing_once(monkeypatch, "replace_subjects")
    with pytest.raises(MemoryError):
        one.enroll("g", "ann", face(axis(1)))
    for server in servers:
        until(lambda server=server: best_match(server, axis(1)) == "ann", "who is stored is not found")  # type: ignore[misc]
    with pytest.raises(LooksLikeAnotherSubject):
        one.enroll("g", "bob", face(axis(1)))


def failing_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the next call of a method of indexes find no memory."""
    works, has_failed = getattr(MemoryIndex, name), threading.Event()

    def fail(*arguments: object) -> object:
        if not has_failed.is_set():
            has_failed.set()
            raise MemoryError
        return works(*arguments)

    monkeypatch.setattr(MemoryIndex, name, fail)


def test_what_one_server_corrects_and_deletes_the_other_no_longer_answers(servers: Two) -> None:
    one, other = servers
    one.enroll("g", "ann", face(axis(1), name="Ann"))
    extra = one.enroll("g", "ann", face(between(axis(1), axis(2), 0.8))).template
    one.enroll("g", "bob", face(axis(3), name="Bob"))
    until(lambda: best_match(other, axis(3)) == "bob")
    other.update_subject("g", "ann", SubjectChange(frozenset({"display_name"}), display_name="Anna"))
    until(lambda: name_of(one, 1) == "Anna", "the new name did not arrive")
    one.delete_template("g", "ann", extra.template_id)
    until(lambda: best_match(other, axis(2)) == "", "the deleted template is still found")
    other.delete_subject("g", "bob")
    until(lambda: best_match(one, axis(3)) == "", "the deleted subject is still found")
    one.update_gallery("g", GalleryChange(threshold=0.9))
    until(lambda: other.threshold("g") == pytest.approx(0.9), "the new threshold did not arrive")


def test_a_merge_on_one_server_reaches_the_other_and_so_does_its_undoing(servers: Two) -> None:
    one, other = servers
    one.enroll("g", "ann", face(axis(1), name="Ann"))
    one.enroll("g", "anna", face(axis(2), name="Anna"))
    until(lambda: best_match(other, axis(2)) == "anna")
    change = one.corrections.merge("g", "anna", "ann").change
    until(lambda: best_match(other, axis(2)) == "ann", "the merge did not arrive")
    other.corrections.undo("g", change.change_id)
    until(lambda: best_match(one, axis(2)) == "anna", "the undoing did not arrive")


def test_galleries_that_one_server_creates_and_deletes_are_those_of_the_other(servers: Two) -> None:
    one, other = servers
    one.create_gallery("h", display_name="Staff", threshold=0.5)
    one.enroll("h", "ann", face(axis(1)))
    until(lambda: exists(other, "h") and best_match(other, axis(1), "h") == "ann", "the new gallery is not there")
    with pytest.raises(GalleryExists):
        other.create_gallery("h", display_name="Staff")
    other.delete_gallery("h", force=True)
    until(lambda: not exists(one, "h"), "the deleted gallery is still there")
    one.create_gallery("h", display_name="Staff", threshold=0.5)
    one.enroll("h", "bob", face(axis(1)))
    until(lambda: exists(other, "h") and best_match(other, axis(1), "h") == "bob", "the new gallery is the old one")


def test_two_servers_cannot_enrol_one_person_under_two_ids_at_the_same_moment(servers: Two) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            starting = threading.Barrier(2)

            def enroll(
                server: Galleries, subject_id: str, number: int = number, start: threading.Barrier = starting
            ) -> bool:
                start.wait()
                try:
                    server.enroll("g", subject_id, face(axis(number), picture=subject_id))
                except LooksLikeAnotherSubject:
                    return False
                return True

            tries = [pool.submit(enroll, server, f"{number}-{which}") for which, server in enumerate(servers)]
            assert sorted(each.result() for each in tries) == [False, True]


def test_two_servers_do_not_give_a_subject_too_many_templates(servers: Two) -> None:
    def enroll(server: Galleries, number: int) -> bool:
        try:
            server.enroll("g", "ann", face(between(axis(0), axis(number), 0.9)))
        except TooManyTemplates:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(enroll, servers[number % 2], number) for number in range(1, 13)]
        assert sum(each.result() for each in tries) == MAX_TEMPLATES
    assert servers[0].get_subject("g", "ann").template_count == MAX_TEMPLATES


def test_a_server_that_was_away_for_long_loads_the_gallery_anew(servers: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = servers
    assert one.follower is not None
    one.follower.close()
    other.enroll("g", "ann", face(axis(1)))
    other.enroll("g", "bob", face(axis(2)))
    other.delete_subject("g", "ann")
    monkeypatch.setattr("gallery.stores.postgres.feed.KEEP_CHANGES", timedelta(hours=-1))
    other._store.feed.prune()  # type: ignore[union-attr]
    one.follower.follow()
    assert (best_match(one, axis(1)), best_match(one, axis(2))) == ("", "bob")


def test_searches_go_on_while_the_database_is_away_and_writers_are_told(
    servers: Two, postgres_server: PostgresServer
) -> None:
    one, other = servers
    one.enroll("g", "ann", face(axis(1)))
    until(lambda: best_match(other, axis(1)) == "ann")
    postgres_server.kill()
    try:
        for server in servers:
            assert best_match(server, axis(1)) == "ann"
            with pytest.raises(StorageError):
                server.enroll("g", "bob", face(axis(2)))
            assert best_match(server, axis(2)) == ""
    finally:
        postgres_server.start()
    until(lambda: enrolled(one, "bob", 2), "the database is not used again")
    until(lambda: best_match(other, axis(2)) == "bob", "the other server does not follow again")


def enrolled(server: Galleries, subject_id: str, number: int) -> bool:
    try:
        server.enroll("g", subject_id, face(axis(number)))
    except StorageError:
        return False
    return True


@pytest.mark.parametrize("seed", range(3))
def test_servers_that_change_one_gallery_in_any_order_find_the_same_in_the_end(
    servers: Two, open_server: Open, seed: int
) -> None:
    def act(server: Galleries, rng: np.random.Generator) -> None:
        subject, number = f"s{rng.integers(6)}", int(rng.integers(DIMENSION))
        actions: tuple[Callable[[], object], ...] = (
            lambda: server.enroll("g", subject, face(axis(number), accept_lookalike=True)),
            lambda: server.enroll("g", subject, face(axis(number), accept_lookalike=True, name=f"{number}")),
            lambda: server.delete_subject("g", subject),
            lambda: server.update_subject(
                "g", subject, SubjectChange(frozenset({"display_name"}), display_name=f"{number}")
            ),
            lambda: server.corrections.merge("g", subject, f"s{(number + 1) % 6}"),
            lambda: server.delete_template(
                "g", subject, server.list_templates("g", subject, page_size=1).items[0].template_id
            ),
        )
        # There is no such subject now, or it has too many templates.
        with suppress(GalleryError, IndexError):
            actions[rng.integers(len(actions))]()

    def run(which: int) -> None:
        rng = np.random.default_rng([seed, which])
        for _ in range(25):
            act(servers[which % 2], rng)

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(run, which) for which in range(4)]:
            each.result()
    truth = everything(open_server())
    for server in servers:
        until(lambda server=server: everything(server) == truth, "a server finds something else")  # type: ignore[misc]


def everything(galleries: Galleries) -> list[object]:
    """Return what the searches for all axes find, with names and templates."""
    answers = galleries.search("g", np.eye(DIMENSION, dtype=np.float32), top_k=10)
    return [
        (
            each.templates_compared,
            [(c.subject_id, c.display_name, c.template_id, c.similarity) for c in each.candidates],
        )
        for each in answers
    ]


def test_a_gallery_is_listed_to_its_end_although_another_server_deletes_the_last_template_that_was_read(
    servers: Two,
) -> None:
    one, other = servers
    ids = [one.enroll("g", f"s{number}", face(axis(number))).template.template_id for number in range(4)]
    page = one._store.embedded_templates("g", after="", limit=2)
    assert list(page.template_ids) == ids[:2]
    other.delete_template("g", "s1", ids[1])
    assert list(one._store.embedded_templates("g", after=ids[1], limit=9).template_ids) == ids[2:]
