"""What reading from PostgreSQL costs: every statement reads its own rows, however large the gallery is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gallery.records.galleries import Gallery
from gallery.records.policies import GalleryPolicy
from gallery.times import now, to_microseconds
from tests.integration.gallery.stores.samples import enroll, new_gallery

if TYPE_CHECKING:
    from gallery.stores.postgres.postgres_store import PostgresStore

SUBJECTS = 50
CENTURY = timedelta(days=36_525)
MOST = 60
"""A page of five templates has five rows of a few tables each; the gallery has some hundred rows."""
_READ = "SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"


@pytest.fixture
def people(store: PostgresStore) -> Gallery:
    """A gallery of many people with two templates each, of which the planner has no statistics."""
    gallery = replace(new_gallery(), policy=GalleryPolicy(False, CENTURY, CENTURY))
    store.create_gallery(gallery)
    for number in range(2 * SUBJECTS):
        enroll(store, gallery, f"s{number % SUBJECTS:02}", picture=f"p{number}", seed=number)
    return gallery


def test_a_statement_reads_its_own_rows_without_statistics(store: PostgresStore, people: Gallery) -> None:
    from gallery.stores.base import EnrollmentQuestion
    from gallery.stores.postgres import enrolling, expiry, rows, template_pages
    from gallery.stores.postgres.keys import gallery_key_of, searching_contract_key

    here, moment = people.gallery_id, to_microseconds(now())
    last = store.embedded_templates(here, after="", limit=50).template_ids[-1]
    middle = ("s20", "")
    with store.database.reading() as connection:
        key = gallery_key_of(connection, here)
        contract = searching_contract_key(connection, key)
        place = template_pages.place_of_template(connection, key, last) or 0
        asked: dict[str, tuple[Callable[[], Any], int]] = {
            "by age": (
                lambda: template_pages.embedded_by_age(connection, key, "", moment, after=place, limit=5),
                5,
            ),
            "copied": (
                lambda: [
                    template_id
                    for _, page in template_pages.copied_by_age(
                        connection, key, "", moment, after=place - 1, limit=5, page=3
                    )
                    for template_id in page.template_ids
                ],
                5,
            ),
            "owners": (
                lambda: [
                    key
                    for _, page in template_pages.owners_by_age(
                        connection, key, "", moment, after=place - 1, limit=5, page=3
                    )
                    for key in page.keys
                ],
                5,
            ),
            "of keys": (
                lambda: template_pages.embedded_of_keys(connection, key, "", moment, range(place, place + 5)),
                5,
            ),
            "by subject": (
                lambda: template_pages.embedded_by_subject(connection, key, "", moment, after=middle, limit=5),
                5,
            ),
            "faces": (lambda: template_pages.faces_by_subject(connection, key, moment, after=middle, limit=5), 5),
            "gallery": (lambda: [rows.find_gallery(connection, here, moment)], 1),
            "subject": (lambda: [rows.find_subject(connection, here, "s20", moment)], 1),
            "state": (
                lambda: (
                    enrolling.enrollment_states(connection, here, [EnrollmentQuestion("s20", "p20", "r")], moment)[
                        0
                    ].templates_of_picture
                ),
                1,
            ),
            "living": (lambda: template_pages.ask_for_living(connection, key, {"s20", "s21"}, moment).fetchall(), 2),
            "embedded": (
                lambda: template_pages.ask_for_embedded(connection, key, {"s20", "s21"}, contract, moment).fetchall(),
                4,
            ),
            "expired": (
                lambda: expiry.find_expired(connection, key, moment, limit=5).subject_ids,
                0,
            ),
            "ahead": (lambda: expiry.find_ahead(connection, key, moment, limit=5).expiries, 10),
        }
        read: dict[str, int] = {}
        for name, (ask, found) in asked.items():
            (before,) = connection.execute(_READ).fetchone() or (0,)
            assert len(ask()) == found
            (after,) = connection.execute(_READ).fetchone() or (0,)
            read[name] = after - before
    assert max(read.values()) <= MOST, read
