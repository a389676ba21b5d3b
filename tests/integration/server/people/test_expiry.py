"""Consents, expiries and retentions over gRPC, on a server whose clock the test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from facet import Client, FailedPrecondition, InvalidArgument, NotFound, consent, policy, stream_frame
from facet.server.app import Server
from facet.server.config import load
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from facet.v1 import types_pb2
from tests.clocks import SetClock
from tests.integration.server.serving_here import serving_here
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures

DAY = timedelta(days=1)
PLAYER = types_pb2.FaceChoice(box=types_pb2.Box(x1=160, y1=405, x2=225, y2=490))
"""A face in the picture of players."""


def serving(folder: Path, clock: SetClock, *flags: str) -> AbstractContextManager[Client]:
    """Serve in this process, with this clock."""
    database = folder / "facet.sqlite3"
    config = load(["--server.port", "0", "--gallery.database", str(database), *flags])
    return serving_here(Server(config, clock=clock))


@pytest.fixture(scope="module")
def clock() -> SetClock:
    return SetClock(datetime.now(UTC))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, clock: SetClock) -> Iterator[Client]:
    """A server that erases only when a test shortens the interval: what has expired stays stored, and is hidden."""
    with serving(tmp_path_factory.mktemp("expiry"), clock) as made:
        yield made


@pytest.fixture
def gallery(client: Client) -> str:
    return client.create_gallery().gallery_id


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def camera(pictures: Pictures) -> bytes:
    """What a camera sees of the players: one face."""
    players = np.asarray(cv2.imdecode(np.frombuffer(pictures.players, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    return cv2.imencode(".jpg", players[300:620, 60:380])[1].tobytes()


def matches(client: Client, gallery: str, pictures: Pictures) -> list[str]:
    found = client.identify(gallery, pictures.players, face=PLAYER).faces[0].identification
    is_match = found.decision == recognition_pb.DECISION_MATCH
    return [found.candidates[0].subject_id] if is_match else []


def test_an_expired_person_is_in_no_answer(client: Client, gallery: str, clock: SetClock, pictures: Pictures) -> None:
    expires = clock.time + DAY
    enrolled = client.enroll(gallery, "left", pictures.players, face=PLAYER, expire_time=expires)
    assert enrolled.subject.expire_time == enrolled.subject.effective_expire_time == stamp(expires)
    assert matches(client, gallery, pictures) == ["left"]
    settings = recognition_pb.StreamSettings(gallery_id=gallery, lossless=True)
    seen: list[set[str]] = []
    events: list[str] = []

    def frames() -> Iterator[recognition_pb.StreamFrame]:
        for number in range(40):
            yield stream_frame(number, camera(pictures), number / 15)
            until(lambda: len(seen) > number)  # noqa: B023 - waits for the answer to this frame
            if "left" in seen[-1]:
                clock.time = expires
                yield stream_frame(100, camera(pictures), (number + 1) / 15)
                return

    for answer in client.identify_stream(settings, frames()):
        assert not answer.status.code
        seen.append({track.subject_id for track in answer.tracks})
        events = [str(event) for event in answer.events]
    assert "left" in seen[-2]
    assert events, "the track changes"
    assert "left" not in "".join(events)
    assert "left" not in seen[-1], "the track keeps the name of somebody who has expired"
    assert matches(client, gallery, pictures) == []
    asked: list[Callable[[], object]] = [
        lambda: client.get_subject(gallery, "left"),
        lambda: client.list_templates(gallery, "left"),
        lambda: client.verify((gallery, "left"), pictures.players, probe_face=PLAYER),
        lambda: client.update_subject(gallery, "left", display_name="x"),
        lambda: list(client.export_subject(gallery, "left")),
        lambda: client.delete_template(gallery, "left", enrolled.template.template_id),
        lambda: client.delete_subject(gallery, "left"),
    ]
    for ask in asked:
        with pytest.raises(NotFound) as refused:
            ask()
        assert refused.value.reason == "SUBJECT_NOT_FOUND"
    assert not client.list_subjects(gallery).subjects
    found = client.get_gallery(gallery)
    assert (found.subject_count, found.template_count) == (0, 0)
    file = b"".join(client.export_gallery(gallery))
    assert client.import_gallery([file], f"copy-{gallery}").subject_count == 0
    again = client.enroll(gallery, "left", pictures.players, face=PLAYER)
    assert not again.already_enrolled
    assert matches(client, gallery, pictures) == ["left"]


def test_nobody_comes_back_when_the_clock_is_set_back(
    client: Client, gallery: str, clock: SetClock, pictures: Pictures
) -> None:
    expires = clock.time + DAY
    first = client.enroll(gallery, "left", pictures.players, face=PLAYER, expire_time=expires, display_name="First")
    clock.time = expires
    assert matches(client, gallery, pictures) == []
    clock.time = expires - DAY / 2
    try:
        assert not client.list_subjects(gallery).subjects
        assert matches(client, gallery, pictures) == []
        again = client.enroll(gallery, "left", pictures.players, face=PLAYER)
        assert not again.already_enrolled
        assert again.subject.display_name == ""
        (template,) = client.list_templates(gallery, "left").templates
        assert template.template_id not in ("", first.template.template_id)
        assert matches(client, gallery, pictures) == ["left"]
    finally:
        clock.time = expires  # for the other tests


def test_times_that_cannot_be_are_refused_by_the_name_of_their_field(
    client: Client, gallery: str, clock: SetClock, pictures: Pictures
) -> None:
    client.enroll(gallery, "left", pictures.players, face=PLAYER)
    now, moment = clock.time, timedelta(microseconds=1)

    def enrollment(**fields: Any) -> pb.EnrollFaceRequest:
        picture = types_pb2.Picture(encoded=pictures.players)
        return pb.EnrollFaceRequest(gallery_id=gallery, subject_id="new", picture=picture, face=PLAYER, **fields)

    def update(path: str, **fields: Any) -> pb.UpdateSubjectRequest:
        subject = pb.Subject(gallery_id=gallery, subject_id="left", **fields)
        return pb.UpdateSubjectRequest(subject=subject, update_mask=FieldMask(paths=[path]))

    dated = [
        (pb.Consent(), "basis"),
        (pb.Consent(basis=99), "basis"),  # type: ignore[arg-type] # a basis of a later version
        (pb.Consent(basis=pb.CONSENT_BASIS_CONSENT, reference="x" * 257), "reference"),
        (pb.Consent(basis=pb.CONSENT_BASIS_CONSENT, reference="a\nb"), "reference"),
        (pb.Consent(basis=pb.CONSENT_BASIS_CONSENT, time=stamp(now + moment)), "time"),
        (pb.Consent(basis=pb.CONSENT_BASIS_CONSENT, time=stamp(datetime(1899, 12, 31, tzinfo=UTC))), "time"),
        (pb.Consent(basis=pb.CONSENT_BASIS_CONSENT, time=Timestamp(seconds=1 << 60)), "time"),
    ]
    times = [stamp(now), stamp(now - DAY), Timestamp(seconds=1 << 60), Timestamp(nanos=-1), Timestamp()]
    refusals: list[tuple[Callable[[], object], str]] = []
    enroll, change = client.galleries.EnrollFace, client.galleries.UpdateSubject
    for given, part in dated:
        refusals.append((partial(enroll, enrollment(consent=given)), f"consent.{part}"))
        refusals.append((partial(change, update("consent", consent=given)), f"subject.consent.{part}"))
    for time in times:
        refusals.append((partial(enroll, enrollment(expire_time=time)), "expire_time"))
        refusals.append((partial(change, update("expire_time", expire_time=time)), "subject.expire_time"))
    for name in ("subject_retention", "template_retention"):
        for duration in (Duration(), Duration(seconds=-1), Duration(nanos=999_999_999), Duration(seconds=1 << 40)):
            kept = pb.GalleryPolicy(**{name: duration})  # type: ignore[arg-type] # fields by name
            refusals.append((partial(client.update_gallery, gallery, policy=kept), f"gallery.policy.{name}"))
            refusals.append((partial(client.create_gallery, policy=kept), f"policy.{name}"))
    for ask, field in refusals:
        with pytest.raises(InvalidArgument) as refused:
            ask()
        assert refused.value.reason == "INVALID_FIELD"
        assert list(refused.value.fields) == [field], refused.value
    assert not client.get_subject(gallery, "left").HasField("consent")


def test_a_gallery_can_require_consents(client: Client, gallery: str, clock: SetClock, pictures: Pictures) -> None:
    client.enroll(gallery, "left", pictures.players, face=PLAYER)
    required = policy(require_consent=True)
    with pytest.raises(FailedPrecondition) as refused:
        client.update_gallery(gallery, policy=required, validate_only=True)
    assert refused.value.reason == "SUBJECTS_WITHOUT_CONSENT"
    given = client.update_subject(gallery, "left", consent=consent("consent", "form 12")).consent
    assert (given.basis, given.reference, given.time) == (pb.CONSENT_BASIS_CONSENT, "form 12", stamp(clock.time))
    assert client.update_gallery(gallery, policy=required).policy == required
    with pytest.raises(FailedPrecondition) as refused:
        client.enroll(gallery, "another", pictures.players, face=PLAYER, accept_lookalike=True)
    assert refused.value.reason == "CONSENT_REQUIRED"
    with pytest.raises(FailedPrecondition) as refused:
        client.update_subject(gallery, "left", clear=["consent"])
    assert refused.value.reason == "CONSENT_REQUIRED"
    contract = consent("contract", time=clock.time - DAY)
    enrolled = client.enroll(gallery, "another", pictures.players, face=PLAYER, accept_lookalike=True, consent=contract)
    assert enrolled.subject.consent == contract
    assert client.get_subject(gallery, "another").consent == contract


def test_a_retention_is_previewed_and_then_applies_to_everybody(
    client: Client, gallery: str, clock: SetClock, pictures: Pictures
) -> None:
    client.enroll(gallery, "left", pictures.players, face=PLAYER)
    clock.time += DAY
    short = pb.UpdateGalleryRequest(
        gallery=pb.Gallery(gallery_id=gallery, policy=policy(subject_retention=DAY)),
        update_mask=FieldMask(paths=["policy"]),
        validate_only=True,
    )
    previewed = client.galleries.UpdateGallery(short)
    assert (previewed.subjects_expiring, previewed.templates_expiring) == (1, 1)
    assert previewed.gallery.policy == short.gallery.policy
    assert matches(client, gallery, pictures) == ["left"]
    assert not client.get_gallery(gallery).HasField("policy")
    short.validate_only = False
    changed = client.galleries.UpdateGallery(short)
    assert (changed.subjects_expiring, changed.templates_expiring, changed.gallery.subject_count) == (1, 1, 0)
    assert matches(client, gallery, pictures) == []


def test_the_server_erases_what_has_expired_by_itself(tmp_path: Path, pictures: Pictures) -> None:
    clock = SetClock(datetime.now(UTC))
    with serving(tmp_path, clock, "--gallery.erase-expired-seconds", "0.05") as client:
        client.create_gallery("g")
        client.enroll("g", "left", pictures.players, face=PLAYER, expire_time=clock.time + DAY, display_name="Läßt")
        files = sorted(tmp_path.glob("facet.sqlite3*"))
        assert any("Läßt".encode() in path.read_bytes() for path in files)
        clock.time += DAY
        until(lambda: not any("Läßt".encode() in path.read_bytes() for path in files), "the name is still in a file")
        assert not client.get_gallery("g").subject_count
