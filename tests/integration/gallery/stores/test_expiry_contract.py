"""What every store promises about consents, expiries and policies. What expires lies in the past of the real clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gallery.errors import ExpiryNotStored, SubjectNotFound, SubjectsWithoutConsent, TemplateNotFound
from gallery.galleries import Galleries
from gallery.opened.coming_expiries import ComingExpiries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.enrollments import Enrollment
from gallery.records.expired import NOTHING_AHEAD, Expiry, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import SubjectChange, renaming
from gallery.records.templates import Template
from gallery.stores.base import EnrollmentRequest, Store
from gallery.stores.milvus import schema
from gallery.stores.milvus.milvus_store import MilvusStore
from tests.integration.gallery.stores.samples import (
    NOW,
    add_template,
    enroll,
    enrollment_state,
    new_gallery,
    new_subject,
    new_template,
    template_ids,
    vectors,
)

PAST, FUTURE = datetime(2026, 1, 3, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
CONSENT = Consent(ConsentBasis.EMPLOYMENT, "Nº 1 ☕ \\ ' \"", datetime(1900, 1, 1, tzinfo=UTC))
LONG, SHORT = timedelta(days=36_525), timedelta(microseconds=1)


def add(store: Store, gallery: Gallery, subject_id: str, **fields: datetime | Consent) -> Template:
    """Add a new subject with a template, which the request ``r SUBJECT`` was answered with."""
    template = new_template(gallery, subject_id)
    subject = replace(new_subject(gallery, subject_id), **fields)  # type: ignore[arg-type] # fields by name
    request = EnrollmentRequest(f"r {subject_id}", "d")
    add_template(store, template, vectors(1)[0], new_subject=subject, request=request, crop=None)
    return template


def test_a_policy_a_consent_and_expiries_are_stored(store: Store) -> None:
    policy = GalleryPolicy(True, LONG, LONG - SHORT)
    gallery = replace(new_gallery(), policy=policy)
    here = gallery.gallery_id
    store.create_gallery(gallery)
    assert store.gallery(here).policy == policy
    assert not store.has_terms(here)
    changed = GalleryChange(policy=GalleryPolicy())
    assert store.update_gallery(here, changed, etag="", new_etag="e", time=NOW).policy == GalleryPolicy()
    add(store, gallery, "ann", consent=CONSENT, expire_time=FUTURE)
    ann = store.subject(here, "ann")
    assert (ann.consent, ann.expire_time) == (CONSENT, FUTURE)
    assert store.has_terms(here)
    cleared = SubjectChange(frozenset({"consent", "expire_time"}))
    after = store.update_subject(here, "ann", cleared, etag=ann.etag, new_etag="e2", time=NOW)
    assert (after.consent, after.expire_time, after.etag, after.template_count) == (None, None, "e2", 1)
    assert store.subject(here, "ann") == after
    assert store.subjects(here, after="", limit=5) == [after]
    assert not store.has_terms(here)


def test_what_has_expired_is_as_if_it_did_not_exist(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    gone = add(store, gallery, "ann", expire_time=PAST)
    add(store, gallery, "bob", expire_time=FUTURE)
    short = replace(new_template(gallery, "bob", picture="short"), expire_time=PAST)
    add_template(store, short, vectors(1, 1)[0], new_subject=None, request=None, crop=b"crop")
    bob = store.subject(here, "bob")
    assert bob.template_count == 1
    assert store.subjects(here, after="", limit=5) == [bob]
    found = store.gallery(here)
    assert (found.subject_count, found.template_count) == (1, 1)
    assert len(store.templates(here, "bob", after="", limit=5)) == 1
    assert not store.templates_of_picture(here, "bob", "short")
    assert list(store.embedded_templates(here, after="", limit=5).subject_ids) == ["bob"]
    assert [each.subject.subject_id for each in store.faces(here, after=("", ""), limit=5)] == ["bob"]
    state = enrollment_state(store, here, "ann", picture_sha256="picture", request_id="r ann")
    assert (state.subject, list(state.templates_of_picture), state.answered) == (None, [], None)
    assert store.template_of_request(here, "r ann") is None
    for ask in (
        lambda: store.subject(here, "ann"),
        lambda: store.templates(here, "ann", after="", limit=5),
        lambda: store.update_subject(here, "ann", renaming("x"), etag="", new_etag="x", time=NOW),
        lambda: store.delete_subject(here, "ann", etag=""),
        lambda: store.delete_template(here, "ann", gone.template_id),
    ):
        with pytest.raises(SubjectNotFound):
            ask()
    with pytest.raises(TemplateNotFound):
        store.delete_template(here, "bob", short.template_id)
    if (index := store.index(gallery, dimension=32)) is not None:
        (result,) = index.search(vectors(1), subjects=5, mean_of_best=1)
        assert [each.subject_id for each in result.candidates] == ["bob"]
        assert index.similarity("ann", vectors(1)[0], mean_of_best=1) is None


def test_what_has_expired_is_listed_and_deleted(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    for subject_id in ("ann", "bob", "cid"):
        add(store, gallery, subject_id, expire_time=PAST if subject_id != "cid" else FUTURE)
    short = replace(new_template(gallery, "cid", picture="short"), expire_time=PAST)
    add_template(store, short, vectors(1, 1)[0], new_subject=None, request=None, crop=b"crop")
    assert len(store.expired(here, limit=1).subject_ids) == 1
    expired = store.expired(here, limit=9)
    assert sorted(expired.subject_ids) == ["ann", "bob"]
    assert list(expired.templates) == [("cid", short.template_id)]
    store.delete_expired(here, expired)
    store.scrub()
    assert not store.expired(here, limit=9)
    found = store.gallery(here)
    assert (found.subject_count, found.template_count) == (1, 1)
    store.delete_expired(here, expired)


def test_a_store_that_keeps_no_index_tells_what_expires_next(store: Store, gallery: Gallery) -> None:
    here, soon = gallery.gallery_id, datetime(9998, 1, 1, tzinfo=UTC)
    for subject_id, expiry in (("ann", PAST), ("bob", FUTURE), ("cid", soon)):
        add(store, gallery, subject_id, expire_time=expiry)
    dan = add(store, gallery, "dan")
    short = replace(new_template(gallery, "dan", picture="short"), expire_time=soon - LONG)
    add_template(store, short, vectors(1, 1)[0], new_subject=None, request=None, crop=None)
    if store.index(gallery, dimension=32) is not None:
        assert (store.expiries_ahead(here, limit=1), store.expiries_of(here, ["bob"])) == (NOTHING_AHEAD, ())
        return
    bob, cid = Expiry(FUTURE, "bob", ""), Expiry(soon, "cid", "")
    of_dan = Expiry(soon - LONG, "dan", short.template_id)
    assert sorted(store.expiries_ahead(here, limit=3).expiries) == [of_dan, cid, bob]
    assert store.expiries_ahead(here, limit=3).until is None
    assert store.expiries_ahead(here, limit=2).until == FUTURE
    assert store.expiries_ahead(here, limit=1).until == soon - LONG
    assert sorted(store.expiries_of(here, ["bob", "dan", "nobody"])) == [of_dan, bob]
    policy = GalleryChange(policy=GalleryPolicy(False, LONG, LONG / 2))
    store.update_gallery(here, policy, etag="", new_etag="e", time=NOW)
    ahead = store.expiries_ahead(here, limit=9)
    found = ComingExpiries(ahead).due(FUTURE)
    assert (sorted(found.subject_ids), len(found.templates)) == (["ann", "bob", "cid", "dan"], 5)
    by_age = dan.create_time + LONG / 2
    assert sorted(each.time for each in store.expiries_of(here, ["dan"])) == [by_age, by_age, NOW + LONG]
    assert Expiry(by_age, "dan", dan.template_id) in ahead.expiries


def test_the_id_of_an_expired_subject_is_free(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    add(store, gallery, "ann", expire_time=PAST)
    new = enroll(store, gallery, "ann", request=EnrollmentRequest("r ann", "another"))
    ann = store.subject(here, "ann")
    assert (ann.expire_time, ann.template_count) == (None, 1)
    assert template_ids(store.templates(here, "ann", after="", limit=5)) == [new.template_id]
    answered = store.template_of_request(here, "r ann")
    assert answered is not None
    assert (answered[0].template_id, answered[1]) == (new.template_id, "another")
    found = store.gallery(here)
    assert (found.subject_count, found.template_count) == (1, 1)
    assert not store.expired(here, limit=9).subject_ids


def test_a_policy_counts_by_age_and_says_before_what_it_does(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    add(store, gallery, "ann")
    add(store, gallery, "bob", consent=replace(CONSENT, time=datetime.now(UTC)))
    add(store, gallery, "cid", expire_time=PAST)
    by_age = GalleryPolicy(subject_retention=timedelta(days=1))
    assert store.effect_of(here, by_age) == PolicyEffect(1, 1, 1)
    assert store.effect_of(here, GalleryPolicy(template_retention=SHORT)) == PolicyEffect(0, 2, 1)
    assert store.effect_of(here, GalleryPolicy(subject_retention=LONG)) == PolicyEffect(0, 0, 1)
    store.update_gallery(here, GalleryChange(policy=by_age), etag="", new_etag="e", time=NOW)
    assert [each.subject_id for each in store.subjects(here, after="", limit=5)] == ["bob"]
    assert store.gallery(here).template_count == 1
    assert store.effect_of(here, GalleryPolicy(subject_retention=LONG)).subjects == 0
    assert sorted(store.expired(here, limit=5).subject_ids) == ["ann", "cid"]


def test_galleries_hide_and_erase_in_any_store(store: Store) -> None:
    galleries = Galleries(store, contract="contract", dimension=32, max_templates_per_subject=5)
    here = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    ann, bob = vectors(2)
    for subject_id, embedding in (("ann", ann), ("bob", bob)):
        picture = subject_id * 8
        galleries.enroll(here, subject_id, Enrollment(embedding, "contract", picture, (0, 0, 1, 1), 1.0))
    given = replace(CONSENT, time=datetime.now(UTC))
    galleries.update_subject(here, "bob", SubjectChange(frozenset({"consent"}), consent=given))
    with pytest.raises(SubjectsWithoutConsent):
        galleries.change_gallery(here, GalleryChange(policy=GalleryPolicy(require_consent=True)))
    _, effect = galleries.change_gallery(here, GalleryChange(policy=GalleryPolicy(template_retention=SHORT)))
    assert (effect.subjects, effect.templates) == (0, 2)
    assert galleries.search(here, ann[None], top_k=1)[0].candidates == ()
    assert galleries.get_subject(here, "ann").template_count == 0
    galleries.retention.erase()
    assert not store.expired(here, limit=5)
    assert galleries.get_gallery(here).subject_count == 2


def test_a_consent_given_with_a_known_face_counts_for_the_policy(store: Store) -> None:
    galleries = Galleries(store, contract="contract", dimension=32, max_templates_per_subject=5)
    gallery = galleries.create_gallery("", display_name="", threshold=0.5)
    here = gallery.gallery_id
    known = add(store, gallery, "ann")
    add(store, gallery, "bob")
    hours_ago = Consent(ConsentBasis.CONSENT, "form 1", datetime.now(UTC) - timedelta(hours=2))
    again = Enrollment(vectors(1)[0], "contract", known.picture_sha256, known.box, 1.0, consent=hours_ago)
    assert galleries.enroll(here, "ann", again).already_enrolled
    galleries.change_gallery(here, GalleryChange(policy=GalleryPolicy(subject_retention=timedelta(days=1))))
    assert [each.subject_id for each in galleries.list_subjects(here, page_size=5).items] == ["ann"]
    galleries.change_gallery(here, GalleryChange(policy=GalleryPolicy(subject_retention=timedelta(hours=1))))
    assert not galleries.list_subjects(here, page_size=5).items
    assert galleries.search(here, vectors(1), top_k=1)[0].candidates == ()
    galleries.retention.erase()
    assert not store.expired(here, limit=5)
    assert galleries.get_gallery(here).subject_count == 0


@pytest.fixture
def old(milvus_lite: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MilvusStore]:
    """A store whose collections were created by a version without consents and expiries."""
    with monkeypatch.context() as before:
        before.setattr(schema, "VERSION", 2)
        before.setattr(schema.Collections, "fields", _fields_of_version_2)
        MilvusStore(str(tmp_path / "old.db")).close()
    store = MilvusStore(str(tmp_path / "old.db"))
    yield store
    store.close()


def _fields_of_version_2(_: schema.Collections, kind: str) -> tuple[str, ...]:
    later = schema._SINCE_VERSION_3.get(kind, frozenset())
    return tuple(name for name in schema.fields_of(kind) if name not in later)


def test_collections_that_cannot_store_an_expiry_refuse_it_and_work_as_before(old: MilvusStore) -> None:
    gallery = new_gallery()
    here = gallery.gallery_id
    old.create_gallery(gallery)
    enroll(old, gallery)
    for refuse in (
        lambda: old.create_gallery(replace(new_gallery(), policy=GalleryPolicy(True))),
        lambda: old.update_gallery(here, GalleryChange(policy=GalleryPolicy(True)), etag="", new_etag="e", time=NOW),
        lambda: old.effect_of(here, GalleryPolicy(True)),
        lambda: add(old, gallery, "bob", consent=CONSENT),
        lambda: add(old, gallery, "bob", expire_time=FUTURE),
        lambda: old.update_subject(
            here, "ann", SubjectChange(frozenset({"expire_time"})), etag="", new_etag="e", time=NOW
        ),
    ):
        with pytest.raises(ExpiryNotStored):
            refuse()
    assert old.update_subject(here, "ann", renaming("Zoë"), etag="", new_etag="e", time=NOW).display_name == "Zoë"
    assert [each.subject_id for each in old.subjects(here, after="", limit=5)] == ["ann"]
    assert (old.gallery(here).template_count, old.has_terms(here)) == (1, False)
    assert not old.expired(here, limit=5)
