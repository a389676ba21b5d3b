"""What clients said about answers, in the SQLite store: kept, replaced, bounded, and about nobody who is gone."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyFile
from gallery.errors import GalleryNotFound, InvalidPageToken, SubjectNotFound
from gallery.galleries import Galleries
from gallery.opened.mismatches import ModelNames
from gallery.records.identifications import Decision
from gallery.records.migrations import ModelVersion
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.records.subjects import SubjectChange
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import now
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face, opened
from tests.waiting import until

LATER = timedelta(days=3)
SOURCE = "entrance of the north wing"


@pytest.fixture(params=["plain", "encrypted"])
def galleries(request: pytest.FixtureRequest, tmp_path: Path, key_file: KeyFile) -> Iterator[Galleries]:
    """The gallery g with Ann and Bob, once in a plain and once in an encrypted database."""
    store = SqliteStore(tmp_path / "facet.db", master_keys=key_file if request.param == "encrypted" else None)
    opened_galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5)
    opened_galleries.create_gallery("g", display_name="", threshold=0.5)
    for number, subject_id in enumerate(("ann", "bob")):
        opened_galleries.enroll("g", subject_id, face(axis(number)))
    yield opened_galleries
    opened_galleries.close()


def outcome(
    number: int = 0,
    *,
    subject_id: str = "ann",
    is_right: bool = True,
    truth: Truth = Truth.UNSAID,
    truth_subject_id: str = "",
) -> Outcome:
    answered = now() + LATER
    answer = GivenAnswer(
        bytes([number] * 12), answered, Decision.MATCH, subject_id, 0.75, 0.25, 0.5, SOURCE, 0.125, CONTRACT
    )
    return Outcome("", answer, is_right, truth, truth_subject_id, answered + LATER)


def unmarked(number: int) -> Outcome:
    """An outcome of an answer that was not marked for review."""
    said = outcome(number)
    return replace(said, answer=replace(said.answer, review_share=None))


def listed(galleries: Galleries) -> list[Outcome]:
    return list(galleries.outcomes.list("g", page_size=100).items)


def test_an_outcome_is_kept_as_it_was_reported(galleries: Galleries) -> None:
    said = outcome(is_right=False, truth=Truth.SUBJECT, truth_subject_id="bob")
    kept = galleries.outcomes.report("g", said, most=10)
    assert kept == replace(said, outcome_id=kept.outcome_id)
    assert listed(galleries) == [kept]


def test_the_same_answer_counts_once_and_the_last_word_stands(galleries: Galleries) -> None:
    galleries.outcomes.report("g", outcome(1, is_right=False, truth=Truth.SUBJECT, truth_subject_id="bob"), most=10)
    galleries.outcomes.report("g", outcome(2), most=10)
    galleries.outcomes.report("g", outcome(1), most=10)
    assert [(each.answer.nonce[0], each.is_right, each.truth) for each in listed(galleries)] == [
        (2, True, Truth.UNSAID),
        (1, True, Truth.UNSAID),
    ]
    assert not any(each.is_forgotten for each in listed(galleries))


def test_the_oldest_outcomes_go_when_there_are_too_many(galleries: Galleries) -> None:
    for number in range(5):
        galleries.outcomes.report("g", outcome(number), most=3)
    assert [each.answer.nonce[0] for each in listed(galleries)] == [2, 3, 4]


def test_a_caller_displaces_its_own_reports_and_those_of_the_review_last(galleries: Galleries) -> None:
    for number in range(3):
        galleries.outcomes.report("g", unmarked(number), reporter="key:honest", most=6)
    galleries.outcomes.report("g", outcome(3), reporter="key:flooding", most=6)
    for number in range(4, 30):
        galleries.outcomes.report("g", unmarked(number), reporter="key:flooding", most=6)
    assert [each.answer.nonce[0] for each in listed(galleries)] == [0, 1, 2, 3, 28, 29]
    for number in range(30, 35):
        galleries.outcomes.report("g", outcome(number), reporter="key:flooding", most=6)
    assert [each.answer.nonce[0] for each in listed(galleries)] == [3, 30, 31, 32, 33, 34]


def test_many_reports_beyond_the_limit_leave_each_caller_the_same_share(galleries: Galleries) -> None:
    for number in range(12):
        galleries.outcomes.report("g", unmarked(number), reporter=f"key:{number % 4 == 0}", most=100)
    galleries.outcomes.report("g", unmarked(12), reporter="key:third", most=7)
    assert [each.answer.nonce[0] for each in listed(galleries)] == [0, 4, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("last", ["x", "1e5", "9" * 30, "9" * 20, "-1", "\u0663" * 20, "1"], ids=range(7))
def test_a_token_whose_end_is_no_outcome_is_refused(galleries: Galleries, last: str) -> None:
    token = base64.urlsafe_b64encode(json.dumps(["outcomes", "g", last]).encode()).decode()
    with pytest.raises(InvalidPageToken):
        galleries.outcomes.list("g", page_size=2, page_token=token)


def test_pages_follow_each_other(galleries: Galleries) -> None:
    for number in range(5):
        galleries.outcomes.report("g", outcome(number), most=10)
    found, token = [], ""
    while True:
        page = galleries.outcomes.list("g", page_size=2, page_token=token)
        found += [each.answer.nonce[0] for each in page.items]
        token = page.next_page_token
        if not token:
            break
    assert found == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("gone", ["ann", "bob"])
def test_an_outcome_names_nobody_once_somebody_in_it_is_forgotten(galleries: Galleries, gone: str) -> None:
    said = outcome(is_right=False, truth=Truth.SUBJECT, truth_subject_id="bob")
    galleries.outcomes.report("g", said, most=10)
    galleries.delete_subject("g", gone)
    (kept,) = listed(galleries)
    assert (kept.is_right, kept.truth, kept.answer.source) == (False, Truth.SUBJECT, SOURCE)
    month = said.answer.time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert (kept.is_forgotten, kept.answer.time) == (True, month)
    assert (kept.answer.subject_id, kept.truth_subject_id) == ("", "")
    assert (kept.answer.similarity, kept.answer.margin) == (None, None)


def test_an_expired_subject_is_named_no_more_although_it_is_not_erased_yet(tmp_path: Path) -> None:
    moment = [datetime(2026, 5, 20, tzinfo=UTC)]
    galleries = opened(tmp_path / "facet.db", clock=lambda: moment[0])
    galleries.create_gallery("g", display_name="", threshold=0.5)
    galleries.enroll("g", "ann", face(axis(0)))
    expiry = moment[0] + timedelta(days=1)
    galleries.update_subject("g", "ann", SubjectChange(frozenset({"expire_time"}), expire_time=expiry))
    said = outcome()
    said = replace(said, answer=replace(said.answer, time=moment[0]), report_time=moment[0])
    galleries.outcomes.report("g", said, most=10)
    assert listed(galleries)[0].answer.subject_id == "ann"
    moment[0] = expiry
    (kept,) = listed(galleries)
    assert (kept.is_forgotten, kept.answer.subject_id, kept.answer.similarity) == (True, "", None)
    galleries.close()


def test_an_answer_that_does_not_tell_its_model_is_of_the_gallery_s_if_that_was_not_switched_since(
    tmp_path: Path,
) -> None:
    moment = [datetime(2026, 5, 20, tzinfo=UTC)]
    galleries = Galleries(
        SqliteStore(tmp_path / "facet.db"),
        contract=CONTRACT,
        dimension=DIMENSION,
        max_templates_per_subject=5,
        further={"new": 4},
        clock=lambda: moment[0],
    )
    galleries.migrations.models = (
        ModelVersion(CONTRACT, "old", "a" * 64, DIMENSION),
        ModelVersion("new", "new", "b" * 64, 4),
    )
    galleries.create_gallery("g", display_name="", threshold=0.5)
    early, late = (
        replace(
            outcome(number, subject_id=""),
            answer=replace(outcome(number).answer, subject_id="", contract="", time=each),
        )
        for number, each in enumerate((moment[0], moment[0] + LATER))
    )
    assert galleries.outcomes.report("g", early, most=10).answer.contract == CONTRACT
    galleries.migrations.start("g", "new")
    galleries.migrations.update("g", threshold=0.25)
    moment[0] += timedelta(days=1)
    galleries.migrations.switch("g")
    assert [each.answer.contract for each in listed(galleries)] == [CONTRACT]
    assert galleries.outcomes.report("g", replace(early, answer=replace(early.answer, nonce=b"2" * 12)), most=10)
    assert galleries.outcomes.report("g", late, most=10).answer.contract == "new"
    galleries.migrations.finish("g")
    while not galleries.migrations.drop("g"):
        pass
    assert [each.answer.contract for each in listed(galleries)] == [CONTRACT, "", "new"]
    assert [galleries.outcomes.model_name("g", each) for each in (CONTRACT, "", "new")] == ["", "", ""]
    galleries.name_models(ModelNames(galleries.migrations.models))
    assert [galleries.outcomes.model_name("g", each) for each in (CONTRACT, "", "new")] == ["old", "", "new"]
    galleries.close()


def test_an_answer_about_somebody_forgotten_is_only_counted_when_it_is_reported(galleries: Galleries) -> None:
    galleries.delete_subject("g", "ann")
    kept = galleries.outcomes.report("g", outcome(), most=10)
    assert (kept.is_forgotten, kept.answer.subject_id, kept.answer.similarity) == (True, "", None)


def test_whoever_gets_the_id_of_somebody_forgotten_gets_none_of_the_outcomes(galleries: Galleries) -> None:
    galleries.delete_subject("g", "ann")
    galleries.enroll("g", "ann", face(axis(2)))
    said = outcome()
    before = replace(said.answer, time=now() - LATER)
    assert galleries.outcomes.report("g", replace(said, answer=before), most=10).is_forgotten


def test_an_outcome_about_somebody_who_does_not_exist_changes_nothing(galleries: Galleries) -> None:
    galleries.outcomes.report("g", outcome(), most=10)
    with pytest.raises(SubjectNotFound):
        galleries.outcomes.report("g", outcome(truth=Truth.SUBJECT, truth_subject_id="carol"), most=10)
    assert [each.truth for each in listed(galleries)] == [Truth.UNSAID]


def test_outcomes_and_the_key_go_with_their_gallery(galleries: Galleries, tmp_path: Path) -> None:
    galleries.outcomes.report("g", outcome(), most=10)
    key = galleries.outcomes.opening_keys("g")[0]
    galleries.delete_gallery("g", force=True)
    with pytest.raises(GalleryNotFound):
        galleries.outcomes.sealing_key("g")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    assert (listed(galleries), galleries.outcomes.sealing_key("g") == key) == ([], False)
    with closing(sqlite3.connect(f"file:{tmp_path / 'facet.db'}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM outcomes").fetchone() == (0,)


def test_each_gallery_has_a_key_that_stays(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    first = galleries.outcomes.sealing_key("g")
    assert first is not None
    assert (len(first), galleries.outcomes.opening_keys("g")[0]) == (32, first)
    assert galleries.outcomes.sealing_key("h") != first


def test_an_encrypted_database_tells_neither_the_key_nor_the_source(tmp_path: Path, key_file: KeyFile) -> None:
    plain = opened(tmp_path / "facet.db")
    plain.create_gallery("g", display_name="", threshold=0.5)
    plain.enroll("g", "ann", face(axis(0)))
    key = plain.outcomes.opening_keys("g")[0]
    plain.outcomes.report("g", outcome(), most=10)
    plain.close()
    assert found(tmp_path, SOURCE, key.hex())

    store = SqliteStore(tmp_path / "facet.db", master_keys=key_file)
    store.close()  # stops the thread that seals; the next one begins where it stopped
    store = SqliteStore(tmp_path / "facet.db", master_keys=key_file)
    until(lambda: not found(tmp_path, SOURCE, key.hex()))
    assert store.outcomes.answer_keys("g") == (key,)
    assert [each.answer.source for each in store.outcomes.outcomes("g", after="", limit=9)] == [SOURCE]
    store.close()


def found(folder: Path, *wanted: str) -> bool:
    """Tell whether any file of a database holds any of these texts."""
    files = [each.read_bytes() for each in folder.iterdir() if each.name.startswith("facet.db")]
    return any(text.encode() in content for text in wanted for content in files)
