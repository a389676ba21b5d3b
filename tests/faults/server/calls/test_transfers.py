"""Imports and calibrations whose clients trickle or take all places."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from facet import Client, DeadlineExceeded, FacetError, ResourceExhausted, Unavailable
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.gallery_service_pb2_grpc import GalleryServiceStub
from facet.v1.types_pb2 import Picture

if TYPE_CHECKING:
    from tests.conftest import Serve

PAUSE = 0.2
PATIENCE = 60.0
METHODS = ("ImportGallery", "CalibrateGallery")
NO_PLACE = ("TOO_MANY_TRANSFERS", "CALIBRATION_UNDER_WAY")
START: dict[str, Any] = {
    "ImportGallery": pb.ImportGalleryRequest(target=pb.ImportTarget(gallery_id="new")),
    "CalibrateGallery": pb.CalibrateGalleryRequest(settings=pb.CalibrationSettings(gallery_id="g", target_fpir=0.01)),
}
PART: dict[str, Any] = {
    "ImportGallery": pb.ImportGalleryRequest(chunk=b"P"),
    "CalibrateGallery": pb.CalibrateGalleryRequest(
        probe=pb.CalibrationProbe(subject_id="x", picture=Picture(encoded=b"no picture"))
    ),
}


@contextmanager
def end_of_test() -> Iterator[threading.Event]:
    """An event that ends what trickles."""
    until = threading.Event()
    try:
        yield until
    finally:
        until.set()


def trickling(client: Client, method: str, until: threading.Event) -> Any:
    """An upload of small parts without an end."""

    def messages() -> Iterator[Any]:
        yield START[method]
        while not until.wait(PAUSE):
            yield PART[method]

    return getattr(client.galleries, method).future(messages())


def in_progress(client: Client, method: str, until: threading.Event) -> Any:
    """The same, once it has the last place."""
    while True:
        call = trickling(client, method, until)
        while not call.done():  # an upload that asks for a place may have been first
            with pytest.raises(FacetError) as caught:
                getattr(client.galleries, method)(iter([START[method]]))
            if caught.value.reason in NO_PLACE:
                return call


def all_places(client: Client, until: threading.Event) -> list[Any]:
    """Imports that have both places."""
    while True:
        imports = [trickling(client, "ImportGallery", until) for _ in range(2)]
        while not any(each.done() for each in imports):  # an upload that asks for a place may have been first
            with pytest.raises(FacetError) as caught:
                client.galleries.ImportGallery(iter([START["ImportGallery"]]))
            if caught.value.reason in NO_PLACE:
                return imports
        for each in imports:
            each.cancel()


def test_an_upload_that_trickles_ends(serve: Serve) -> None:
    serving = serve("--server.stall-seconds", "0.5", "--models.objects", "none")
    with Client(serving.address) as client, end_of_test() as until:
        client.create_gallery("g")
        for call in [trickling(client, method, until) for method in METHODS]:
            with pytest.raises(DeadlineExceeded) as caught:
                call.result(PATIENCE)
            assert caught.value.reason == "TRANSFER_STALLED"


def test_a_server_that_shuts_down_does_not_wait_for_uploads_that_trickle(serve: Serve) -> None:
    serving = serve("--server.drain-seconds", "600", "--gallery.max-transfers", "1", "--models.objects", "none")
    with Client(serving.address) as client, end_of_test() as until:
        client.create_gallery("g")
        calls = [in_progress(client, method, until) for method in METHODS]
        serving.process.terminate()
        for call in calls:
            with pytest.raises(Unavailable) as caught:
                call.result(PATIENCE)
            assert caught.value.reason == "SHUTTING_DOWN"
        assert serving.stop() == 0


def test_a_client_that_takes_all_places_loses_its_newest_import_to_another(serve: Serve) -> None:
    serving = serve("--models.objects", "none")
    own_connection = [("grpc.use_local_subchannel_pool", 1)]  # channels of one process share connections otherwise
    with (
        Client(serving.address) as client,
        grpc.insecure_channel(serving.address, own_connection) as channel,
        end_of_test() as until,
    ):
        imports = all_places(client, until)
        with pytest.raises(grpc.RpcError) as refused:
            GalleryServiceStub(channel).ImportGallery(iter([START["ImportGallery"]]), timeout=PATIENCE)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, "it had a place, and sent no file"
        while not any(each.done() for each in imports):
            until.wait(PAUSE)
        (displaced,) = [each for each in imports if each.done()]
        with pytest.raises(ResourceExhausted) as caught:
            displaced.result(PATIENCE)
        assert (caught.value.reason, caught.value.retry_after) == ("TOO_MANY_TRANSFERS", 1.0)
