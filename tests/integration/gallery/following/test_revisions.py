"""Who has changed a gallery through one server searches it at another with that change, however far that is behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gallery.errors import GalleryNotFound, InvalidRevision, RevisionNotFound
from gallery.galleries import Galleries
from gallery.stores.postgres.postgres_store import PostgresStore
from tests.integration.gallery.following.conftest import Open
from tests.unit.gallery.samples import axis, best_match, face, opened

Change = Callable[[Galleries], object]


@pytest.fixture
def behind(servers: tuple[Galleries, Galleries]) -> tuple[Galleries, Galleries]:
    """Two servers of which the second one hears of nothing."""
    one, other = servers
    one.enroll("g", "ann", face(axis(1)))
    other.revisions.reach("g", one.revisions.current("g"))
    assert other.follower is not None
    other.follower.close()
    return one, other


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda one: one.enroll("g", "bob", face(axis(2))), ("ann", "bob"), id="enrolled"),
        pytest.param(lambda one: one.delete_subject("g", "ann"), ("", ""), id="deleted"),
        pytest.param(
            lambda one: (one.enroll("g", "bob", face(axis(2))), one.corrections.merge("g", "ann", "bob")),
            ("bob", "bob"),
            id="merged",
        ),
    ],
)
def test_a_change_is_noticed_by_the_first_search_that_asks_for_its_revision(
    behind: tuple[Galleries, Galleries], change: Change, expected: tuple[str, str]
) -> None:
    one, other = behind
    before = one.revisions.current("g")
    change(one)
    other.revisions.reach("g", before)
    assert (best_match(other, axis(1)), best_match(other, axis(2))) == ("ann", ""), (
        "the old revision is reached already"
    )
    other.revisions.reach("g", one.revisions.current("g"))
    assert (best_match(other, axis(1)), best_match(other, axis(2))) == expected
    assert other.revisions.current("g") == one.revisions.current("g")


def test_a_revision_of_a_gallery_that_was_replaced_is_one_of_the_new_gallery(
    behind: tuple[Galleries, Galleries],
) -> None:
    one, other = behind
    old = one.revisions.current("g")
    one.delete_gallery("g", force=True)
    one.create_gallery("g", display_name="", threshold=0.5)
    one.enroll("g", "bob", face(axis(2)))
    other.revisions.reach("g", one.revisions.current("g"))
    assert best_match(other, axis(2)) == "bob"
    one.revisions.reach("g", old)
    one.delete_gallery("g", force=True)
    assert one.revisions.current("g") == ""
    with pytest.raises(GalleryNotFound):
        other.revisions.reach("g", "ffffffffffffff.1.")


def test_a_revision_that_the_database_has_lost_is_refused(
    behind: tuple[Galleries, Galleries], open_server: Open
) -> None:
    one, other = behind
    one.enroll("g", "bob", face(axis(2)))
    lost = one.revisions.current("g")
    store: PostgresStore = one._store  # type: ignore[assignment]
    with store.database.writing() as connection:
        connection.execute("DELETE FROM subjects WHERE subject_id = 'bob'")
        connection.execute("DELETE FROM revisions WHERE subject_ids = '{bob}'")
    for server in (other, open_server()):
        with pytest.raises(RevisionNotFound):
            server.revisions.reach("g", lost)
        assert best_match(server, axis(2)) == ""


def test_a_lost_revision_is_not_taken_for_another_one_of_its_number(behind: tuple[Galleries, Galleries]) -> None:
    one, other = behind
    one.enroll("g", "bob", face(axis(2)))
    lost = one.revisions.current("g")
    store: PostgresStore = one._store  # type: ignore[assignment]
    with store.database.writing() as connection:
        connection.execute("DELETE FROM subjects WHERE subject_id = 'bob'")
        connection.execute("UPDATE revisions SET token = gen_random_uuid() WHERE subject_ids = '{bob}'")
    with pytest.raises(RevisionNotFound):
        other.revisions.reach("g", lost)


@pytest.mark.parametrize(
    "revision",
    [
        "x",
        "1",
        "1.",
        ".1",
        "1.z",
        "1.2",
        "1.2.3.4",
        "1.-2.",
        " 1.2.",
        "0x1.2.",
        "1_0.1.",
        "\u0661.1.",
        "\x00",
        "f" * 99,
    ],
)
def test_what_is_no_revision_is_refused(tmp_path: Path, revision: str) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    with pytest.raises(InvalidRevision):
        galleries.revisions.reach("g", revision)
    galleries.close()


def test_a_server_that_is_alone_has_every_revision_of_its_own(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.revisions.reach("g", galleries.revisions.current("g"))
    assert galleries.revisions.current("g")
    galleries.close()
