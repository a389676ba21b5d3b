"""CalibrateGallery over gRPC: thresholds, their evidence, refusals and interruptions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from facet import (
    Aborted,
    AsyncClient,
    Client,
    FacetError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    picture,
)
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from facet.v1 import types_pb2

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

Crowd = Callable[..., bytes]

PEOPLE = 400
TIMEOUT = 60.0


@pytest.fixture
def team(client: Client, gallery: str, crowd: Crowd) -> str:
    """The id of a gallery with 400 people."""
    return client.import_gallery(iter([crowd(PEOPLE)]), f"{gallery}-team").gallery_id


@pytest.fixture(scope="module")
def faces(client: Client, pictures: Pictures) -> list[pb.CalibrationProbe]:
    """A nonmated probe of each face of two pictures."""
    found = []
    for name, data in (("player", pictures.players), ("six", pictures.six)):
        analyzed = client.recognition.AnalyzeFaces(recognition_pb.AnalyzeFacesRequest(picture=picture(data))).faces
        for number, each in enumerate(analyzed):
            choice = types_pb2.FaceChoice(box=each.face.box)
            found.append(pb.CalibrationProbe(subject_id=f"{name}-{number}", picture=picture(data), face=choice))
    return found


def repeated(probes: list[pb.CalibrationProbe], times: int) -> list[pb.CalibrationProbe]:
    """The same pictures several times, each time with new subject ids."""
    return [
        pb.CalibrationProbe(subject_id=f"{each.subject_id}-{turn}", picture=each.picture, face=each.face)
        for turn in range(times)
        for each in probes
    ]


def get(client: Client, gallery: str) -> pb.Gallery:
    return client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery


def test_a_gallery_is_calibrated_against_itself(client: Client, team: str, pictures: Pictures) -> None:
    before = get(client, team)
    assert before.calibration_state == types_pb2.CALIBRATION_STATE_NOT_CALIBRATED
    assert not before.HasField("calibration")
    response = client.calibrate(team, 0.05)
    chosen = response.gallery.calibration
    assert get(client, team) == response.gallery
    assert response.threshold_before == before.threshold
    assert response.gallery.threshold == chosen.threshold
    assert response.gallery.calibration_state == types_pb2.CALIBRATION_STATE_CURRENT
    assert (chosen.search_count, chosen.identity_count, chosen.template_count) == (PEOPLE, PEOPLE, PEOPLE)
    assert (chosen.source, chosen.target_fpir) == (pb.CALIBRATION_SOURCE_ITSELF, 0.05)
    assert chosen.fpir_low < 0.05 < chosen.fpir_high
    assert len(chosen.data_set_sha256) == 64
    assert [point.similarity for point in chosen.curve] == sorted(point.similarity for point in chosen.curve)

    (face,) = client.identify(team, pictures.yaoming).faces
    assert face.identification.calibration == types_pb2.CALIBRATION_STATE_CURRENT
    assert 0 < face.identification.false_positive_rate <= 1
    wanted = pb.Gallery(gallery_id=team, threshold=0.9)
    client.galleries.UpdateGallery(pb.UpdateGalleryRequest(gallery=wanted, update_mask=FieldMask(paths=["threshold"])))
    now = get(client, team)
    assert now.calibration == chosen
    assert now.calibration_state == types_pb2.CALIBRATION_STATE_STALE
    assert list(now.stale_reasons) == [pb.STALE_REASON_THRESHOLD_CHANGED]
    (face,) = client.identify(team, pictures.yaoming).faces
    assert face.identification.calibration == types_pb2.CALIBRATION_STATE_STALE


def test_a_search_by_embedding_has_a_false_positive_rate(client: Client, team: str) -> None:
    contract = get(client, team).contract

    def search(values: Any) -> recognition_pb.Identification:
        embedding = types_pb2.Embedding(values=values, contract=contract)
        request = pb.SearchEmbeddingRequest(gallery_id=team, embedding=embedding)
        return client.galleries.SearchEmbedding(request).identification

    values = np.random.default_rng(3).standard_normal(512)
    assert not search(values).HasField("false_positive_rate")
    client.calibrate(team, 0.05)
    assert search(values).HasField("false_positive_rate")


def test_an_uncalibrated_gallery_has_no_false_positive_rate(client: Client, gallery: str, pictures: Pictures) -> None:
    (face,) = client.identify(gallery, pictures.yaoming).faces
    assert face.identification.calibration == types_pb2.CALIBRATION_STATE_NOT_CALIBRATED
    assert not face.identification.HasField("false_positive_rate")


async def test_probes_are_searched_and_those_without_a_face_are_counted(
    server: Serving, client: Client, team: str, faces: list[pb.CalibrationProbe], pictures: Pictures
) -> None:
    enrolled = client.enroll(team, "yao", pictures.yaoming).template
    probes: list[Any] = [
        *repeated(faces, 4),
        *[("yao", pictures.yaoming)] * 2,
        ("broken", b"no picture"),
        ("squad", pictures.players),
        ("stranger", pictures.yaoming),
    ]
    sent: list[int] = []
    fields: dict[str, Any] = {"data_set": "squads", "for_template_count": 2 * PEOPLE, "validate_only": True}
    response = client.calibrate(team, 0.1, probes, progress=sent.append, **fields)
    chosen = response.gallery.calibration
    assert sent[-1] == len(probes)
    assert dict(response.failures) == {"INVALID_PICTURE": 1, "SEVERAL_FACES": 1}
    assert list(response.unreadable_probes) == [len(probes) - 3]
    # A picture with several faces is a search without a match; an unreadable picture is not a search.
    assert (chosen.search_count, chosen.failure_count) == (len(probes) - 1, 2)
    assert chosen.identity_count == 4 * len(faces) + 3
    assert (chosen.source, chosen.data_set) == (pb.CALIBRATION_SOURCE_PROBES, "squads")
    assert (chosen.template_count, chosen.for_template_count) == (PEOPLE + 1, 2 * PEOPLE)
    assert chosen.fpir < 0.06
    # His own template is left out of the search, and nobody else is similar. The stranger is the same man.
    assert all(suspect.subject_id != "yao" for suspect in response.suspects)
    suspect = response.suspects[0]
    assert (suspect.subject_id, suspect.other_subject_id, suspect.probe) == ("stranger", "yao", len(probes) - 1)
    assert (suspect.template_id, suspect.other_template_id) == ("", enrolled.template_id)
    assert not get(client, team).HasField("calibration")
    async with AsyncClient(server.address) as others:
        again = await others.calibrate(team, 0.1, probes, **fields)
    for each in (response, again):
        assert each.calibration == each.gallery.calibration
        for calibration in (each.calibration, each.gallery.calibration):
            calibration.ClearField("create_time")
    assert again == response


def test_faces_below_the_quality_limits_match_nobody(
    serve: Serve, crowd: Crowd, pictures: Pictures, faces: list[pb.CalibrationProbe]
) -> None:
    strict = serve("--identification.min-face-size", "60", "--models.objects", "none")
    with Client(strict.address) as connected:
        connected.import_gallery(iter([crowd(PEOPLE)]), "team")
        probes: list[Any] = [*faces, *((f"yao-{number}", pictures.yaoming) for number in range(120))]
        response = connected.calibrate("team", 0.1, probes)
    assert response.failures["FACE_TOO_SMALL"] > 10
    assert response.gallery.calibration.failure_count == sum(response.failures.values())


def test_a_cohort_is_pooled_with_the_gallery(client: Client, team: str, crowd: Crowd) -> None:
    cohort = f"{team}-cohort"
    client.import_gallery(iter([crowd(150, seed=8, name="visitor")]), cohort)
    chosen = client.calibrate(team, 0.02, cohort_gallery_id=cohort).gallery.calibration
    assert chosen.source == pb.CALIBRATION_SOURCE_ITSELF_AND_COHORT
    assert (chosen.search_count, chosen.data_set) == (PEOPLE + 150, cohort)
    with pytest.raises(InvalidArgument):
        client.calibrate(team, 0.02, cohort_gallery_id=team)
    with pytest.raises(NotFound):
        client.calibrate(team, 0.02, cohort_gallery_id="nobody")


def test_people_enrolled_twice_are_reported_as_suspects(client: Client, team: str, crowd: Crowd) -> None:
    twice = f"{team}-twice"
    client.import_gallery(iter([crowd(PEOPLE, twice=3)]), twice)
    response = client.calibrate(twice, 0.05)
    assert response.suspect_count == 3
    assert sorted(each.subject_id[-1] for each in response.suspects) == ["0", "1", "2"]
    assert all(each.similarity > 0.9 for each in response.suspects)
    for each in response.suspects:
        assert not each.HasField("probe")
        for subject, template in (
            (each.subject_id, each.template_id),
            (each.other_subject_id, each.other_template_id),
        ):
            assert [kept.template_id for kept in client.list_templates(twice, subject).templates] == [template]


def test_a_forecast_says_how_many_own_pictures_would_be_missed(client: Client, team: str, crowd: Crowd) -> None:
    pairs = client.import_gallery(iter([crowd(120, pictures=2)]), f"{team}-pairs").gallery_id
    forecast = client.calibrate(pairs, 0.05).forecast
    assert not forecast.unreliable_reasons
    assert (forecast.own_search_count, forecast.own_missed_count, forecast.own_missed_subject_count) == (240, 0, 0)
    assert forecast.fnir == forecast.fnir_low == 0 < forecast.fnir_high < 0.1
    assert forecast.fpir_low < 0.05 < forecast.fpir_high
    assert forecast.contamination < 0.02
    alone = client.calibrate(team, 0.05).forecast
    assert alone.own_search_count == 0
    assert not alone.HasField("fnir")


def test_a_poisoned_gallery_gets_no_threshold_unless_the_caller_insists(
    client: Client, team: str, crowd: Crowd
) -> None:
    poisoned = client.import_gallery(iter([crowd(120, pictures=2, twice=110)]), f"{team}-poisoned").gallery_id
    before = get(client, poisoned)
    with pytest.raises(FailedPrecondition) as refused:
        client.calibrate(poisoned, 0.01)
    assert refused.value.reason == "CALIBRATION_UNRELIABLE"
    assert get(client, poisoned) == before
    tried = client.calibrate(poisoned, 0.01, validate_only=True)
    assert get(client, poisoned) == before
    names = [pb.UnreliableReason.Name(each) for each in tried.forecast.unreliable_reasons]
    told = refused.value.metadata
    assert [f"UNRELIABLE_REASON_{each}" for each in told["reasons"].split()] == names
    assert float(told["threshold"]) == pytest.approx(tried.gallery.threshold, abs=1e-4)
    assert float(told["contamination"]) == pytest.approx(tried.forecast.contamination, rel=1e-3)
    assert told["own_search_count"] == str(tried.forecast.own_search_count) == "240"
    assert client.calibrate(poisoned, 0.01, insist=True).gallery.threshold == tried.gallery.threshold
    assert get(client, poisoned).threshold == tried.gallery.threshold


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"target_fpir": 0.0}, "settings.target_fpir"),
        ({"target_fpir": 0.51}, "settings.target_fpir"),
        ({"target_fpir": float("nan")}, "settings.target_fpir"),
        ({"for_template_count": 0}, "settings.for_template_count"),
        ({"for_template_count": PEOPLE - 1}, "settings.for_template_count"),
        ({"data_set": "a\nb"}, "settings.data_set"),
        ({"cohort_gallery_id": "NO"}, "settings.cohort_gallery_id"),
        ({"cohort_gallery_id": "other"}, "settings.cohort_gallery_id"),
        ({"data_set": "set", "against_itself": True}, "settings.data_set"),
        ({"probe_count": 3, "against_itself": True}, "settings.probe_count"),
        ({"gallery_id": ""}, "settings.gallery_id"),
    ],
)
def test_an_invalid_setting_is_named(client: Client, team: str, fields: dict[str, Any], field: str) -> None:
    wanted: dict[str, Any] = {"gallery_id": team, "target_fpir": 0.1} | fields
    settings = pb.CalibrationSettings(**wanted)
    with pytest.raises(InvalidArgument) as refused:
        client.galleries.CalibrateGallery(iter([pb.CalibrateGalleryRequest(settings=settings)]))
    assert refused.value.reason == "INVALID_FIELD"
    assert list(refused.value.fields) == [field]


def test_messages_out_of_order_are_refused(client: Client, team: str, faces: list[pb.CalibrationProbe]) -> None:
    settings = pb.CalibrateGalleryRequest(settings=pb.CalibrationSettings(gallery_id=team, target_fpir=0.1))
    itself = pb.CalibrationSettings(gallery_id=team, target_fpir=0.1, against_itself=True)
    fewer = pb.CalibrationSettings(gallery_id=team, target_fpir=0.1, probe_count=2)
    probe = pb.CalibrateGalleryRequest(probe=faces[0])
    nobody = pb.CalibrateGalleryRequest(probe=pb.CalibrationProbe(picture=faces[0].picture))
    nothing = pb.CalibrateGalleryRequest(probe=pb.CalibrationProbe(subject_id="x"))
    for messages, field in (
        ([], "settings"),
        ([probe], "settings"),
        ([settings], "probe"),
        ([settings, settings], "probe"),
        ([settings, probe, nobody], "probe.subject_id"),
        ([settings, nothing], "probe.picture"),
        ([pb.CalibrateGalleryRequest(settings=itself), probe], "settings.against_itself"),
        ([pb.CalibrateGalleryRequest(settings=fewer), probe], "settings.probe_count"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            client.galleries.CalibrateGallery(iter(messages))
        assert list(refused.value.fields) == [field]
    assert not get(client, team).HasField("calibration")


async def test_an_empty_list_of_probes_is_an_error(server: Serving, client: Client, team: str) -> None:
    nothing: tuple[Iterable[Any], ...] = ([], iter([]))
    for probes in nothing:
        with pytest.raises(ValueError, match="no probes"):
            client.calibrate(team, 0.1, probes)
    async with AsyncClient(server.address) as others:
        with pytest.raises(ValueError, match="no probes"):
            await others.calibrate(team, 0.1, [])
    assert not get(client, team).HasField("calibration")


def test_invalid_settings_are_refused_before_the_probes_are_read(
    client: Client, team: str, faces: list[pb.CalibrationProbe]
) -> None:
    taken: list[int] = []
    with pytest.raises(InvalidArgument, match="against_itself"):
        client.calibrate(team, 0.1, faces * 1000, cohort_gallery_id="other", progress=taken.append)
    assert len(taken) < 1000 * len(faces)


def test_the_number_of_concurrent_calibrations_is_limited(
    serve: Serve, crowd: Crowd, faces: list[pb.CalibrationProbe]
) -> None:
    one = serve("--gallery.max-transfers", "1", "--models.objects", "none")
    may_end = threading.Event()

    def probes() -> Iterator[pb.CalibrationProbe]:
        yield faces[0]
        may_end.wait(TIMEOUT)

    def until_ended(connected: Client) -> None:
        while True:
            with suppress(ResourceExhausted):  # the other thread's attempt came first
                connected.calibrate("team", 0.1, probes())

    def occupy(connected: Client) -> None:
        with pytest.raises(FailedPrecondition, match="1 unknown people"):
            until_ended(connected)

    with Client(one.address) as connected:
        for name in ("team", "other"):
            connected.import_gallery(iter([crowd(PEOPLE)]), name)
        thread = threading.Thread(target=occupy, args=(connected,))
        thread.start()
        try:
            assert until_refused(connected, "other").reason == "CALIBRATION_UNDER_WAY"
        finally:
            may_end.set()
            thread.join()
        assert until_accepted(connected, "other")


def test_a_gallery_that_cannot_be_calibrated_is_refused_with_a_reason(client: Client, gallery: str, team: str) -> None:
    with pytest.raises(NotFound):
        client.calibrate("no-such-gallery", 0.1)
    with pytest.raises(Aborted):
        client.calibrate(team, 0.1, etag="another")
    with pytest.raises(FailedPrecondition) as refused:
        client.calibrate(team, 1e-4)
    assert refused.value.reason == "TOO_FEW_SEARCHES"
    people = {"people": str(PEOPLE), "people_needed": "50"}
    assert refused.value.metadata == {"found": str(PEOPLE), "needed": "5000"} | people


def test_a_gallery_has_one_calibration_at_a_time_and_a_cancelled_one_changes_nothing(
    client: Client, team: str, faces: list[pb.CalibrationProbe]
) -> None:
    before = get(client, team)
    may_end = threading.Event()

    def messages() -> Iterator[pb.CalibrateGalleryRequest]:
        yield pb.CalibrateGalleryRequest(settings=pb.CalibrationSettings(gallery_id=team, target_fpir=0.1))
        for probe in faces * 4:
            yield pb.CalibrateGalleryRequest(probe=probe)
        may_end.wait(TIMEOUT)

    call = client.galleries.CalibrateGallery.future(messages())
    try:
        refused = until_refused(client, team)
        assert refused.reason == "CALIBRATION_UNDER_WAY"
        assert refused.retry_after is not None
    finally:
        call.cancel()
        may_end.set()
    response = until_accepted(client, team)
    assert response.gallery.calibration.source == pb.CALIBRATION_SOURCE_ITSELF
    assert get(client, team) == before


def until_refused(client: Client, gallery: str) -> ResourceExhausted:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            client.calibrate(gallery, 0.1, validate_only=True)
        except ResourceExhausted as refused:
            return refused
    raise AssertionError("the other calibration did not start")


def until_accepted(client: Client, gallery: str) -> pb.CalibrateGalleryResponse:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return client.calibrate(gallery, 0.1, validate_only=True)
        except ResourceExhausted:
            assert time.monotonic() < deadline


def test_a_calibration_that_expires_changes_nothing(
    client: Client, team: str, faces: list[pb.CalibrationProbe]
) -> None:
    def messages() -> Iterator[pb.CalibrateGalleryRequest]:
        yield pb.CalibrateGalleryRequest(settings=pb.CalibrationSettings(gallery_id=team, target_fpir=0.1))
        for probe in faces:
            yield pb.CalibrateGalleryRequest(probe=probe)
        expired.wait(TIMEOUT)

    before, expired = get(client, team), threading.Event()
    with pytest.raises(FacetError) as ended:
        client.galleries.CalibrateGallery(messages(), timeout=1.0)
    expired.set()
    assert ended.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    until_accepted(client, team)
    assert get(client, team) == before


def test_a_server_killed_during_a_calibration_has_changed_nothing(
    serve: Serve, tmp_path: Path, crowd: Crowd, faces: list[pb.CalibrationProbe]
) -> None:
    database = ("--gallery.database", str(tmp_path / "killed.sqlite3"), "--models.objects", "none")
    first = serve(*database)
    with Client(first.address) as connected:
        connected.import_gallery(iter([crowd(PEOPLE)]), "team")
        before = get(connected, "team")
        sent = 0

        def probes() -> Iterator[pb.CalibrationProbe]:
            nonlocal sent
            for sent, probe in enumerate(faces * 10):
                if sent == 100:
                    first.process.kill()
                yield probe

        with pytest.raises(FacetError):
            connected.calibrate("team", 0.1, probes())
        assert sent >= 100
    again = serve(*database)
    with Client(again.address) as connected:
        assert get(connected, "team") == before


def test_a_missing_picture_file_raises_file_not_found(client: Client, team: str) -> None:
    with pytest.raises(FileNotFoundError):
        client.calibrate(team, 0.1, [("somebody", "no such file")])
    assert not get(client, team).HasField("calibration")
    assert until_accepted(client, team)
