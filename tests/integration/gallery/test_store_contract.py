"""What every store must do, asked of each: SQLite, Milvus Lite, and a Milvus server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import uuid_utils
from numpy.typing import NDArray

from gallery.errors import (
    EtagMismatch,
    GalleryExists,
    GalleryNotEmpty,
    GalleryNotFound,
    StorageUnavailable,
    SubjectNotFound,
    TemplateNotFound,
)
from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.records import Gallery, StoredFace, Subject, Template
from gallery.stores.base import Request, Store
from gallery.stores.milvus.store import MilvusStore
from gallery.stores.sqlite.store import SqliteStore

DIMENSION = 32
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ODD_IDS = ("Zoë", "a", 'a"b', "a'b", "a\\", "a\\b", "b%c_d", "z{0}", "ÿ", "人", "\uff41", "😀")
"""In code point order; 😀 comes last there, but not in UTF-16."""

CALIBRATION = Calibration(
    target_fpir=0.01,
    threshold=float(np.float32(0.3)),
    fpir=0.1 + 0.2,
    fpir_low=0.0,
    fpir_high=1 / 3,
    model="generalised Pareto",
    source=CalibrationSource.PROBES,
    data_set='Gäste ☕ "quoted" \\ \' {}',
    data_set_sha256="a" * 64,
    searches=1000,
    identities=900,
    failures=3,
    templates=500,
    for_templates=1 << 40,
    contract="contract",
    mean_of_best=2,
    create_time=NOW,
    curve=tuple((i / 40, 1 / (i + 1)) for i in range(40)),
)

Vector = NDArray[np.float32]


@pytest.fixture(scope="module", params=["sqlite", "milvus-lite", "milvus-server"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("stores")
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(folder / "facet.db")
    elif request.param == "milvus-lite":
        request.getfixturevalue("milvus_lite")
        made = MilvusStore(str(folder / "facet.db"))
    else:
        server = request.getfixturevalue("milvus_server")
        made = MilvusStore(server.uri, token=server.token, prefix="contract")
    yield made
    made.close()


@pytest.fixture
def gallery(store: Store) -> Gallery:
    made = a_gallery()
    store.create_gallery(made)
    return made


def a_gallery(gallery_id: str = "") -> Gallery:
    return Gallery(
        gallery_id or f"g{uuid.uuid4().hex}",
        "Guests ☕",
        float(np.float32(0.4)),
        2,
        "contract",
        0,
        0,
        NOW,
        NOW,
        "etag-1",
    )


def a_subject(gallery: Gallery, subject_id: str = "ann", name: str = "Ann") -> Subject:
    return Subject(gallery.gallery_id, subject_id, name, 0, NOW, NOW, f"etag of {subject_id}")


def a_template(gallery: Gallery, subject_id: str = "ann", *, picture: str = "picture", crop: bool = False) -> Template:
    return Template(
        str(uuid_utils.uuid7()),
        gallery.gallery_id,
        subject_id,
        picture,
        (1.5, -2.25, 1e3 / 3, 4096.0),
        0.1 + 0.2,
        NOW + timedelta(microseconds=1),
        "f" * 64,
        "e" * 64,
        crop,
    )


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def enrolled(
    store: Store,
    gallery: Gallery,
    subject_id: str = "ann",
    *,
    picture: str = "picture",
    request: Request | None = None,
    crop: bytes | None = None,
    seed: int = 0,
) -> Template:
    template = a_template(gallery, subject_id, picture=picture, crop=crop is not None)
    known = store.known(gallery.gallery_id, subject_id, picture_sha256=picture, request_id="")
    new = None if known.subject else a_subject(gallery, subject_id)
    store.add_template(template, vectors(1, seed)[0], new_subject=new, request=request, crop=crop)
    return template


def ids(found: Sequence[Template]) -> list[str]:
    return [template.template_id for template in found]


def paged(page: Callable[[str], Sequence[str]]) -> list[str]:
    """All of a list, page after page."""
    found: list[str] = []
    while some := page(found[-1] if found else ""):
        found += some
    return found


def test_a_gallery_is_answered_as_it_was_created(store: Store, gallery: Gallery) -> None:
    assert store.gallery(gallery.gallery_id) == gallery


def test_an_id_that_is_taken_is_refused_and_the_gallery_stays(store: Store, gallery: Gallery) -> None:
    with pytest.raises(GalleryExists):
        store.create_gallery(replace(gallery, display_name="another"))
    with pytest.raises(GalleryExists):
        store.begin_import(replace(gallery, display_name="another"))
    assert store.gallery(gallery.gallery_id).display_name == "Guests ☕"


def test_galleries_are_listed_by_id_page_by_page(store: Store) -> None:
    first = f"g{uuid.uuid4().hex}"
    wanted = [f"{first}{end}" for end in ("", "-x", ".a", "0", "_y", "a", "aa", "b")]
    for gallery_id in reversed(wanted):
        store.create_gallery(a_gallery(gallery_id))

    def page(after: str) -> list[str]:
        found = store.galleries(after=after or first[:-1], limit=3)
        return [each.gallery_id for each in found if each.gallery_id.startswith(first)]

    assert paged(page) == wanted


def test_an_update_changes_what_it_names_and_the_etag(store: Store, gallery: Gallery) -> None:
    at = NOW + timedelta(days=1)
    changed = store.update_gallery(
        gallery.gallery_id,
        display_name=None,
        threshold=-0.5,
        mean_of_best=None,
        etag="etag-1",
        new_etag="etag-2",
        at=at,
    )
    assert changed == replace(gallery, threshold=-0.5, etag="etag-2", update_time=at)
    with pytest.raises(EtagMismatch) as refused:
        store.update_gallery(
            gallery.gallery_id, display_name="no", threshold=None, mean_of_best=1, etag="etag-1", new_etag="x", at=at
        )
    assert (refused.value.expected, refused.value.found) == ("etag-2", "etag-1")
    assert store.gallery(gallery.gallery_id) == changed
    again = store.update_gallery(
        gallery.gallery_id, display_name="", threshold=None, mean_of_best=3, etag="", new_etag="etag-3", at=at
    )
    assert (again.display_name, again.mean_of_best, again.threshold) == ("", 3, -0.5)


def test_a_calibration_is_kept_as_it_is_until_there_is_another(store: Store, gallery: Gallery) -> None:
    def update(threshold: float | None, calibration: Calibration | None) -> Gallery:
        return store.update_gallery(
            gallery.gallery_id,
            display_name=None,
            threshold=threshold,
            mean_of_best=None,
            calibration=calibration,
            etag="",
            new_etag="e",
            at=NOW,
        )

    first = update(0.25, CALIBRATION)
    assert (first.threshold, first.calibration) == (0.25, CALIBRATION)
    assert store.gallery(gallery.gallery_id) == first
    assert update(0.5, None).calibration == CALIBRATION
    another = replace(CALIBRATION, failures=4)
    assert update(None, another).calibration == another


def test_a_gallery_is_imported_with_its_calibration(store: Store) -> None:
    wanted = replace(a_gallery(), calibration=CALIBRATION)
    importing = store.begin_import(wanted)
    assert importing.commit().calibration == CALIBRATION
    assert store.gallery(wanted.gallery_id).calibration == CALIBRATION


def test_a_gallery_with_subjects_is_deleted_only_by_force(store: Store, gallery: Gallery) -> None:
    enrolled(store, gallery)
    with pytest.raises(EtagMismatch):
        store.delete_gallery(gallery.gallery_id, force=True, etag="another")
    with pytest.raises(GalleryNotEmpty) as refused:
        store.delete_gallery(gallery.gallery_id, force=False, etag="etag-1")
    assert refused.value.subject_count == 1
    store.delete_gallery(gallery.gallery_id, force=True, etag="etag-1")
    store.scrub()
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)


def test_a_gallery_that_is_created_anew_shows_nothing_of_the_one_before(store: Store, gallery: Gallery) -> None:
    enrolled(store, gallery, request=Request("r", "d"))
    store.delete_gallery(gallery.gallery_id, force=True, etag="")
    store.create_gallery(gallery)
    assert store.gallery(gallery.gallery_id) == gallery
    assert not store.subjects(gallery.gallery_id, after="", limit=10)
    assert not len(store.embedded_templates(gallery.gallery_id, after="", limit=10))
    assert store.template_of_request(gallery.gallery_id, "r") is None
    store.scrub()
    enrolled(store, gallery)
    assert store.gallery(gallery.gallery_id).template_count == 1


def test_whatever_is_asked_of_a_gallery_that_is_not_there_says_so(store: Store) -> None:
    missing = a_gallery()
    gone = missing.gallery_id
    template = a_template(missing)
    asked: list[Callable[[], object]] = [
        lambda: store.gallery(gone),
        lambda: store.update_gallery(
            gone, display_name="", threshold=None, mean_of_best=None, etag="", new_etag="x", at=NOW
        ),
        lambda: store.delete_gallery(gone, force=True, etag=""),
        lambda: store.subject(gone, "ann"),
        lambda: store.subjects(gone, after="", limit=1),
        lambda: store.rename_subject(gone, "ann", display_name="", etag="", new_etag="x", at=NOW),
        lambda: store.delete_subject(gone, "ann", etag=""),
        lambda: store.templates(gone, "ann", after="", limit=1),
        lambda: store.templates_of_picture(gone, "ann", "p"),
        lambda: store.known(gone, "ann", picture_sha256="p", request_id="r"),
        lambda: store.template_of_request(gone, "r"),
        lambda: store.add_template(template, vectors(1)[0], new_subject=a_subject(missing), request=None, crop=None),
        lambda: store.add_request(template, Request("r", "d")),
        lambda: store.delete_template(gone, "ann", "t"),
        lambda: store.embedded_templates(gone, after="", limit=1),
        lambda: store.faces(gone, after=("", ""), limit=1),
    ]
    for ask in asked:
        with pytest.raises(GalleryNotFound):
            ask()


def test_whatever_is_asked_of_a_subject_that_is_not_there_says_so(store: Store, gallery: Gallery) -> None:
    enrolled(store, gallery, "another")
    here = gallery.gallery_id
    asked: list[Callable[[], object]] = [
        lambda: store.subject(here, "ann"),
        lambda: store.rename_subject(here, "ann", display_name="", etag="", new_etag="x", at=NOW),
        lambda: store.delete_subject(here, "ann", etag=""),
        lambda: store.templates(here, "ann", after="", limit=1),
        lambda: store.templates_of_picture(here, "ann", "p"),
        lambda: store.add_template(a_template(gallery), vectors(1)[0], new_subject=None, request=None, crop=None),
        lambda: store.delete_template(here, "ann", "t"),
    ]
    for ask in asked:
        with pytest.raises(SubjectNotFound):
            ask()
    assert store.known(here, "ann", picture_sha256="p", request_id="r").subject is None


def test_a_template_is_kept_whole_with_its_subject_and_its_crop(store: Store, gallery: Gallery) -> None:
    crop = bytes(np.random.default_rng(1).integers(0, 256, 38_000, dtype=np.uint8))
    template = enrolled(store, gallery, crop=crop)
    assert store.templates(gallery.gallery_id, "ann", after="", limit=10) == [template]
    assert store.subject(gallery.gallery_id, "ann") == replace(a_subject(gallery), template_count=1)
    (face,) = store.faces(gallery.gallery_id, after=("", ""), limit=10)
    assert (replace(face.subject, template_count=1), face.template, face.crop) == (
        store.subject(gallery.gallery_id, "ann"),
        template,
        crop,
    )
    assert face.embedding is not None
    assert face.embedding.tobytes() == vectors(1)[0].tobytes()
    counted = store.gallery(gallery.gallery_id)
    assert (counted.subject_count, counted.template_count) == (1, 1)


def test_ids_of_any_characters_come_in_code_point_order_page_by_page(store: Store, gallery: Gallery) -> None:
    for seed, subject_id in enumerate(sorted(ODD_IDS, key=lambda each: each[::-1])):
        enrolled(store, gallery, subject_id, seed=seed)
    here = gallery.gallery_id

    def page(after: str) -> list[str]:
        return [each.subject_id for each in store.subjects(here, after=after, limit=5)]

    assert paged(page) == sorted(ODD_IDS) == list(ODD_IDS)
    for subject_id in ODD_IDS:
        assert store.subject(here, subject_id) == replace(a_subject(gallery, subject_id), template_count=1)
        assert len(store.templates(here, subject_id, after="", limit=5)) == 1


def test_templates_of_a_subject_are_listed_by_id_page_by_page(store: Store, gallery: Gallery) -> None:
    made = [enrolled(store, gallery, picture=f"p{number}", seed=number) for number in range(7)]
    enrolled(store, gallery, "bob")

    def page(after: str) -> list[str]:
        return ids(store.templates(gallery.gallery_id, "ann", after=after, limit=3))

    assert paged(page) == ids(made)
    assert [each.template_count for each in store.subjects(gallery.gallery_id, after="", limit=5)] == [7, 1]


def test_templates_are_found_by_their_subject_and_picture(store: Store, gallery: Gallery) -> None:
    one, other = (enrolled(store, gallery, picture="p", seed=seed) for seed in range(2))
    enrolled(store, gallery, picture="another")
    enrolled(store, gallery, "bob", picture="p")
    assert ids(store.templates_of_picture(gallery.gallery_id, "ann", "p")) == ids([one, other])
    known = store.known(gallery.gallery_id, "ann", picture_sha256="p", request_id="")
    assert (known.subject, ids(known.templates_of_picture)) == (
        store.subject(gallery.gallery_id, "ann"),
        ids([one, other]),
    )
    assert known.answered is None


def test_a_request_is_remembered_for_as_long_as_its_template_lives(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    template = enrolled(store, gallery, request=Request('r "1"', "digest"))
    store.add_request(template, Request("r2", "other digest"))
    for request_id, digest in (('r "1"', "digest"), ("r2", "other digest")):
        assert store.template_of_request(here, request_id) == (template, digest)
        assert store.known(here, "ann", picture_sha256="", request_id=request_id).answered == (template, digest)
        assert store.known(here, "bob", picture_sha256="", request_id=request_id).answered == (template, digest)
    assert store.template_of_request(here, "r3") is None
    with pytest.raises(TemplateNotFound):
        store.add_request(a_template(gallery), Request("r4", "d"))
    store.delete_template(here, "ann", template.template_id)
    assert store.template_of_request(here, 'r "1"') is None
    assert store.template_of_request(here, "r2") is None


def test_a_request_is_one_galleries_alone(store: Store, gallery: Gallery) -> None:
    other = a_gallery()
    store.create_gallery(other)
    enrolled(store, gallery, request=Request("r", "d"))
    assert store.template_of_request(other.gallery_id, "r") is None
    assert not store.subjects(other.gallery_id, after="", limit=1)


def test_a_subject_is_renamed(store: Store, gallery: Gallery) -> None:
    enrolled(store, gallery)
    before = store.subject(gallery.gallery_id, "ann")
    at = NOW + timedelta(hours=1)
    renamed = store.rename_subject(
        gallery.gallery_id, "ann", display_name='Ann "A" 🎉', etag=before.etag, new_etag="e2", at=at
    )
    assert renamed == replace(before, display_name='Ann "A" 🎉', etag="e2", update_time=at)
    with pytest.raises(EtagMismatch):
        store.rename_subject(gallery.gallery_id, "ann", display_name="no", etag=before.etag, new_etag="e3", at=at)
    assert store.subject(gallery.gallery_id, "ann") == renamed


def test_a_subject_is_deleted_with_all_that_it_had(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    enrolled(store, gallery, request=Request("r", "d"), crop=b"crop")
    enrolled(store, gallery, picture="second", seed=1)
    kept = enrolled(store, gallery, "bob")
    with pytest.raises(EtagMismatch):
        store.delete_subject(here, "ann", etag="another")
    assert store.delete_subject(here, "ann", etag="etag of ann") == 2
    store.scrub()
    with pytest.raises(SubjectNotFound):
        store.subject(here, "ann")
    assert store.template_of_request(here, "r") is None
    assert [face.template for face in store.faces(here, after=("", ""), limit=9)] == [kept]
    counted = store.gallery(here)
    assert (counted.subject_count, counted.template_count) == (1, 1)
    enrolled(store, gallery)
    assert store.subject(here, "ann").template_count == 1


def test_a_template_is_deleted_and_its_subject_stays(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    template = enrolled(store, gallery, crop=b"crop")
    bobs = enrolled(store, gallery, "bob")
    for subject_id, template_id in (("ann", bobs.template_id), ("ann", "none")):
        with pytest.raises(TemplateNotFound):
            store.delete_template(here, subject_id, template_id)
    store.delete_template(here, "ann", template.template_id)
    store.scrub()
    with pytest.raises(TemplateNotFound):
        store.delete_template(here, "ann", template.template_id)
    assert store.subject(here, "ann").template_count == 0
    assert not store.templates(here, "ann", after="", limit=1)
    lines = [(face.subject.subject_id, face.template) for face in store.faces(here, after=("", ""), limit=9)]
    assert lines == [("ann", None), ("bob", bobs)]


def test_all_templates_are_listed_once_with_their_embeddings(store: Store, gallery: Gallery) -> None:
    made = {
        enrolled(store, gallery, f"s{number % 3}", picture=f"p{number}", seed=number).template_id: number
        for number in range(8)
    }
    found: dict[str, tuple[str, str, bytes]] = {}
    after = ""
    while len(some := store.embedded_templates(gallery.gallery_id, after=after, limit=3)):
        assert len(some) <= 3
        assert some.embeddings.dtype == np.float32
        for row, template_id in enumerate(some.template_ids):
            assert template_id not in found
            found[template_id] = (some.subject_ids[row], some.display_names[row], some.embeddings[row].tobytes())
        after = some.template_ids[-1]
    assert found == {
        template_id: (f"s{number % 3}", "Ann", vectors(1, number)[0].tobytes()) for template_id, number in made.items()
    }


def test_faces_come_by_subject_then_template_in_pages_of_any_length(store: Store, gallery: Gallery) -> None:
    rng = np.random.default_rng(4)
    wanted = []
    for number, subject_id in enumerate(ODD_IDS):
        count = int(rng.integers(0, 4))
        made = [enrolled(store, gallery, subject_id, picture=f"{number} {each}", seed=each) for each in range(count)]
        if not count:
            gone = enrolled(store, gallery, subject_id)
            store.delete_template(gallery.gallery_id, subject_id, gone.template_id)
        wanted += [(subject_id, each.template_id) for each in made] or [(subject_id, "")]
    for limit in (1, 4, 100):
        found: list[tuple[str, str]] = []
        while some := store.faces(gallery.gallery_id, after=found[-1] if found else ("", ""), limit=limit):
            assert len(some) <= limit
            found += [(face.subject.subject_id, face.template.template_id if face.template else "") for face in some]
        assert found == wanted


def imported(gallery: Gallery, count: int, *, start: int = 0) -> list[StoredFace]:
    """Faces as a file brings them, three of a subject, the last subject without any."""
    faces = [
        StoredFace(
            a_subject(gallery, f"s{number // 3:05}", f"name {number // 3}"),
            replace(a_template(gallery, f"s{number // 3:05}", crop=number % 5 == 0), template_id=f"t{number:06}"),
            vectors(1, number)[0],
            b"png %d" % number if number % 5 == 0 else None,
        )
        for number in range(start, start + count)
    ]
    return [*faces, StoredFace(a_subject(gallery, f"without {start}"), None, None, None)]


def test_an_import_is_seen_when_it_is_committed_and_not_before(store: Store) -> None:
    gallery = replace(a_gallery(), subject_count=9, template_count=99)
    faces = imported(gallery, 20) + imported(gallery, 10, start=20)[1:]
    importing = store.begin_import(gallery)
    importing.add(faces[:13])
    importing.add(faces[13:])
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)
    made = importing.commit()
    assert made == store.gallery(gallery.gallery_id)
    assert (made.subject_count, made.template_count, made.etag) == (12, 29, "etag-1")
    importing.abort()
    kept = store.faces(gallery.gallery_id, after=("", ""), limit=100)
    assert len(kept) == len(faces)
    for one, other in zip(kept, sorted(faces, key=_line), strict=True):
        assert (replace(one.subject, template_count=0), one.template, one.crop) == (
            other.subject,
            other.template,
            other.crop,
        )
        assert (one.embedding is None) == (other.embedding is None)
        if one.embedding is not None and other.embedding is not None:
            assert one.embedding.tobytes() == other.embedding.tobytes()


def _line(face: StoredFace) -> tuple[str, str]:
    return face.subject.subject_id, face.template.template_id if face.template else ""


def test_an_import_that_is_aborted_leaves_nothing(store: Store) -> None:
    gallery = a_gallery()
    importing = store.begin_import(gallery)
    importing.add(imported(gallery, 5))
    importing.abort()
    importing.abort()
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)
    store.create_gallery(gallery)
    assert not store.faces(gallery.gallery_id, after=("", ""), limit=10)
    assert store.gallery(gallery.gallery_id).template_count == 0


def test_an_import_whose_id_is_taken_meanwhile_is_refused(store: Store) -> None:
    gallery = a_gallery()
    importing = store.begin_import(gallery)
    importing.add(imported(gallery, 3))
    store.create_gallery(replace(gallery, display_name="the first"))
    with pytest.raises(GalleryExists):
        importing.commit()
    importing.abort()
    kept = store.gallery(gallery.gallery_id)
    assert (kept.display_name, kept.template_count) == ("the first", 0)


def test_one_gallery_may_hold_the_template_ids_of_another(store: Store) -> None:
    for _ in range(2):
        gallery = a_gallery()
        importing = store.begin_import(gallery)
        importing.add(imported(gallery, 4))
        importing.commit()
        assert store.gallery(gallery.gallery_id).template_count == 4
        found = store.embedded_templates(gallery.gallery_id, after="", limit=9)
        assert sorted(found.template_ids) == [f"t{number:06}" for number in range(4)]


def test_threads_may_enrol_side_by_side(store: Store, gallery: Gallery) -> None:
    def enrol(number: int) -> str:
        return enrolled(store, gallery, f"s{number}", picture=f"p{number}", seed=number).template_id

    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(enrol, range(12)))
    found = store.embedded_templates(gallery.gallery_id, after="", limit=50)
    assert set(found.template_ids) == made
    assert store.gallery(gallery.gallery_id).subject_count == 12


def test_a_store_that_is_closed_says_so(tmp_path: Path, request: pytest.FixtureRequest, store: Store) -> None:
    closed: Store
    if isinstance(store, SqliteStore):
        closed = SqliteStore(tmp_path / "facet.db")
    elif "server" in request.node.name:
        server = request.getfixturevalue("milvus_server")
        closed = MilvusStore(server.uri, token=server.token, prefix="contract")
    else:
        closed = MilvusStore(str(tmp_path / "facet.db"))
    closed.close()
    closed.close()
    with pytest.raises(StorageUnavailable):
        closed.galleries(after="", limit=1)
    assert store.galleries(after="", limit=1) is not None
