"""What a real server counts of its searches, and tells about it."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, InvalidArgument, NotFound, stream_frame
from facet.server.app import Server
from facet.server.config import load
from facet.v1 import observations_pb2 as pb
from facet.v1.recognition_service_pb2 import DECISION_MATCH, StreamSettings
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import EARLIEST, LATEST
from tests.integration.server.serving_here import serving_here

if TYPE_CHECKING:
    from tests.conftest import Pictures

GALLERY = "entrance"


def serving(folder: Path) -> AbstractContextManager[Client]:
    """Serve in this process."""
    return serving_here(Server(load(["--server.port", "0", "--gallery.database", str(folder / "facet.sqlite3")])))


def sums(observation: pb.Observation) -> dict[str, int]:
    return {each.quantity: sum(each.counts) for each in observation.histograms}


def test_what_was_counted_is_read_and_stored_when_the_server_stops(tmp_path: Path, pictures: Pictures) -> None:
    with serving(tmp_path) as client:
        client.create_gallery(GALLERY)
        client.enroll(GALLERY, "yao", pictures.yaoming)
        players = client.identify(GALLERY, pictures.players).faces
        client.identify(GALLERY, pictures.yaoming)
        read = list(client.iter_observations(GALLERY, page_size=1))
        assessed = client.assess_gallery(GALLERY)
        client.identify(GALLERY, pictures.yaoming)
    faces = len(players) + 1
    matches = sum(each.identification.decision == DECISION_MATCH for each in players) + 1
    assert {each.source for each in read} == {"caller:anonymous"}
    assert sum(each.matches + each.unknown for each in read) == faces
    assert sum(each.matches for each in read) == matches
    assert sum(each.templates_compared for each in read) == faces
    assert sum(sums(each)["faces_per_picture"] for each in read) == 2
    assert sum(sums(each)["best_similarity"] for each in read) == faces
    (source,) = assessed.sources
    assert (source.source, source.faces, source.matches) == ("caller:anonymous", faces, matches)
    assert source.no_estimate == "not calibrated"
    assert source.drift.not_compared == "too little reference"
    with closing(SqliteStore(tmp_path / "facet.sqlite3")) as store:
        stored = store.observations.find(GALLERY, since=EARLIEST, until=LATEST, limit=10)
        assert sum(each.counts.faces for each in stored) == faces + 1


def test_pictures_and_frames_that_cannot_be_decoded_are_counted(tmp_path: Path, pictures: Pictures) -> None:
    broken = pictures.yaoming[:1000]
    with serving(tmp_path) as client:
        client.create_gallery(GALLERY)
        with pytest.raises(InvalidArgument):
            client.identify(GALLERY, broken)
        settings = StreamSettings(gallery_id=GALLERY, camera="door")
        (answer,) = client.identify_stream(settings, [stream_frame(1, broken)])
        assert answer.status.code
        found = {each.source: (each.faces, each.undecoded) for each in client.assess_gallery(GALLERY).sources}
        assert found == {"caller:anonymous": (0, 2)}, "a camera without a face is counted for its caller"
        assert sum(each.undecoded for each in client.iter_observations(GALLERY)) == 2


def test_a_new_reference_period_is_begun_for_a_source_that_has_faces(tmp_path: Path, pictures: Pictures) -> None:
    with serving(tmp_path) as client:
        client.create_gallery(GALLERY)
        client.enroll(GALLERY, "yao", pictures.yaoming)
        client.identify(GALLERY, pictures.yaoming)
        (before,) = client.assess_gallery(GALLERY).sources
        assert before.drift.reference_faces == 1
        begun = client.begin_reference_period(GALLERY, "caller:anonymous")
        assert begun <= datetime.now(UTC)
        (after,) = client.assess_gallery(GALLERY).sources
        assert (after.faces, after.drift.reference_faces) == (1, 0), "the hour that is under way is not in it"
        client.begin_reference_period(GALLERY, start_time=datetime(2020, 1, 1, tzinfo=UTC))
        (again,) = client.assess_gallery(GALLERY).sources
        assert again.drift.reference_faces == 1, "all sources begin again, so that the other time is forgotten"
        with pytest.raises(InvalidArgument, match="'camera:door' has no faces"):
            client.begin_reference_period(GALLERY, "camera:door")
        with pytest.raises(InvalidArgument, match="future"):
            client.begin_reference_period(GALLERY, start_time=datetime.now(UTC) + timedelta(days=1))
        with pytest.raises(NotFound):
            client.begin_reference_period("missing")


@pytest.mark.parametrize("page_token", ["?", "WyJhIiwiYiJd"], ids=["no token", "another list"])
def test_a_token_of_another_list_is_refused(client: Client, gallery: str, page_token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        client.list_observations(gallery, page_token=page_token)
    assert refused.value.reason == "INVALID_PAGE_TOKEN"


def test_a_period_must_begin_before_it_ends(client: Client, gallery: str) -> None:
    one_sided = pb.AssessGalleryRequest(gallery_id=gallery)
    one_sided.reference_since.FromSeconds(1)
    turned = pb.AssessGalleryRequest(gallery_id=gallery)
    turned.since.FromSeconds(2)
    turned.until.FromSeconds(1)
    too_early = pb.AssessGalleryRequest(gallery_id=gallery)
    too_early.until.FromJsonString("0001-01-01T00:30:00Z")
    for request in (one_sided, turned, too_early):
        with pytest.raises(InvalidArgument):
            client.galleries.AssessGallery(request)


def test_observations_of_a_missing_gallery_are_not_found(client: Client) -> None:
    for call in (client.list_observations, client.assess_gallery):
        with pytest.raises(NotFound):
            call("missing")
