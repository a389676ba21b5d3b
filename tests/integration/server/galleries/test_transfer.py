"""ExportGallery and ImportGallery over gRPC: all or nothing, limits, and clients that stall."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from facet import (
    AlreadyExists,
    AsyncClient,
    Cancelled,
    Client,
    DeadlineExceeded,
    FacetError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from tests.answers import faces_of
from tests.integration.crowds import lines
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Exported, Pictures, Serve, Serving

MANY = 6000
TIMEOUT = 60.0


def contract_of(client: Client) -> str:
    return client.server.GetServerInfo(server_pb.GetServerInfoRequest()).contract


def crowd(exported: Exported, contract: str, count: int) -> bytes:
    """An exported gallery of ``count`` subjects with one template each, about 2 KB per subject."""
    return exported(lines(count, display_name="Somebody"), contract=contract)


@pytest.fixture
def team(client: Client, gallery: str, pictures: Pictures) -> str:
    """The id of a gallery with two people, one of them without templates."""
    client.enroll(gallery, "yao", pictures.yaoming, display_name="姚明")
    client.enroll(gallery, "yao", pictures.yaoming + b"\0", display_name="姚明")
    gone = client.enroll(gallery, "gone", pictures.yaoming, accept_lookalike=True).template
    client.galleries.DeleteTemplate(
        pb.DeleteTemplateRequest(gallery_id=gallery, subject_id="gone", template_id=gone.template_id)
    )
    wanted = pb.Gallery(gallery_id=gallery, display_name="The team", threshold=0.4, mean_of_best=2)
    paths = ["display_name", "threshold", "mean_of_best"]
    client.galleries.UpdateGallery(pb.UpdateGalleryRequest(gallery=wanted, update_mask=FieldMask(paths=paths)))
    return gallery


def contents(client: Client, gallery: str) -> list[Any]:
    """Everything that can be listed of a gallery, without etags and its id."""
    found: list[Any] = []
    for subject in client.subjects(gallery):
        request = pb.ListTemplatesRequest(gallery_id=gallery, subject_id=subject.subject_id)
        templates = client.galleries.ListTemplates(request).templates
        subject.ClearField("etag")
        for each in (subject, *templates):
            each.ClearField("gallery_id")
        found.append((subject, list(templates)))
    return found


def test_an_exported_gallery_is_imported_unchanged(client: Client, team: str, pictures: Pictures) -> None:
    data = b"".join(client.export_gallery(team))
    before, searched = contents(client, team), faces_of(client.identify(team, pictures.players))
    client.galleries.DeleteGallery(pb.DeleteGalleryRequest(gallery_id=team, force=True))
    imported = client.import_gallery(io.BytesIO(data))
    assert imported == client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=team)).gallery
    assert (imported.display_name, imported.threshold, imported.mean_of_best) == ("The team", float(np.float32(0.4)), 2)
    assert contents(client, team) == before
    assert faces_of(client.identify(team, pictures.players)) == searched
    assert client.enroll(team, "yao", pictures.yaoming).already_enrolled


async def test_the_asyncio_client_exports_and_imports(server: Serving, client: Client, team: str) -> None:
    counted: list[int] = []
    async with AsyncClient(server.address) as others:
        pieces = [piece async for piece in others.export_gallery(team, progress=counted.append)]
        imported = await others.import_gallery(iter(pieces), f"{team}-2", validate_only=True)
        assert (imported.subject_count, imported.template_count) == (2, 2)
        imported = await others.import_gallery(pieces, f"{team}-2")
        with pytest.raises(AlreadyExists):
            await others.import_gallery(pieces, f"{team}-2")
        with pytest.raises(OSError, match="unreadable"):
            await others.import_gallery(unreadable(pieces[0]), f"{team}-3")
    assert counted[-1] == 2
    assert contents(client, imported.gallery_id) == contents(client, team)


def unreadable(first: bytes) -> Iterator[bytes]:
    yield first
    raise OSError("unreadable")


def test_a_missing_file_raises_file_not_found(client: Client, team: str) -> None:
    with pytest.raises(OSError, match="unreadable"):
        client.import_gallery(unreadable(b"PAR1"), f"{team}-2")
    with pytest.raises(FileNotFoundError):
        client.import_gallery("no such file")


def test_exporting_an_unknown_gallery_is_refused(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        list(client.export_gallery("nobody"))
    assert caught.value.reason == "GALLERY_NOT_FOUND"


def test_importing_into_an_existing_gallery_is_refused_before_the_upload(client: Client, team: str) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield bytes(1 << 20)

    with pytest.raises(AlreadyExists) as caught:
        client.import_gallery(pieces(), team)
    assert caught.value.reason == "GALLERY_EXISTS"
    assert sent < 100


def test_an_invalid_line_is_named_and_nothing_is_imported(client: Client, team: str, exported: Exported) -> None:
    lines = pq.read_table(io.BytesIO(b"".join(client.export_gallery(team))))
    place = lines.schema.get_field_index("quality")
    changed = lines.set_column(place, lines.schema.field("quality"), pa.array([None, 0.5, 7.0]))
    with pytest.raises(InvalidArgument) as caught:
        client.import_gallery(iter([exported(changed, contract=contract_of(client))]), f"{team}-2")
    assert caught.value.reason == "INVALID_IMPORT"
    assert caught.value.metadata == {"line": "3", "field": "quality"}
    assert "line 3" in caught.value.message
    assert_free(client, f"{team}-2")


def assert_free(client: Client, gallery_id: str) -> None:
    with pytest.raises(NotFound):
        client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery_id))


def test_a_file_of_another_contract_is_refused(client: Client, team: str, exported: Exported) -> None:
    lines = pq.read_table(io.BytesIO(b"".join(client.export_gallery(team))))
    with pytest.raises(FailedPrecondition) as caught:
        client.import_gallery(iter([exported(lines, contract="other")]), f"{team}-2")
    assert caught.value.reason == "CONTRACT_MISMATCH"
    assert caught.value.metadata == {
        "expected": "other",
        "found": contract_of(client),
        "expected_model": "another model, of the contract 'other'",
        "found_model": "w600k_mbf",
    }
    assert_free(client, f"{team}-2")


def import_messages(client: Client, *messages: pb.ImportGalleryRequest) -> pb.Gallery:
    return client.galleries.ImportGallery(iter(messages)).gallery


TARGET = pb.ImportGalleryRequest(target=pb.ImportTarget(gallery_id="never"))
CHUNK = pb.ImportGalleryRequest(chunk=b"PAR1")


@pytest.mark.parametrize(
    ("messages", "reason", "field"),
    [
        ([], "INVALID_FIELD", "target"),
        ([CHUNK], "INVALID_FIELD", "target"),
        ([TARGET, TARGET], "INVALID_FIELD", "chunk"),
        ([TARGET, pb.ImportGalleryRequest()], "INVALID_FIELD", "chunk"),
        (
            [pb.ImportGalleryRequest(target=pb.ImportTarget(gallery_id="UPPER"))],
            "INVALID_FIELD",
            "target.gallery_id",
        ),
        ([TARGET], "INVALID_IMPORT", "chunk"),
        ([TARGET, CHUNK], "INVALID_IMPORT", "chunk"),
        (
            [TARGET, CHUNK, pb.ImportGalleryRequest(digest=pb.FileDigest(sha256="0" * 64, size=4))],
            "INVALID_IMPORT",
            "chunk",
        ),
    ],
)
def test_messages_out_of_order_are_refused(
    client: Client, messages: list[pb.ImportGalleryRequest], reason: str, field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        import_messages(client, *messages)
    assert (caught.value.reason, list(caught.value.fields)) == (reason, [field])


def test_an_interrupted_import_leaves_nothing_behind(serve: Serve, exported: Exported) -> None:
    serving = serve()
    with Client(serving.address) as client:
        data = crowd(exported, contract_of(client), MANY)
        taken = threading.Event()

        def messages() -> Iterator[pb.ImportGalleryRequest]:
            yield pb.ImportGalleryRequest(target=pb.ImportTarget(gallery_id="crowd"))
            for start in range(0, len(data) // 2, 1 << 20):
                yield pb.ImportGalleryRequest(chunk=data[start : start + (1 << 20)])
            taken.set()
            threading.Event().wait(TIMEOUT)

        with grpc.insecure_channel(serving.address) as channel:
            call = channel.stream_unary(
                "/facet.v1.GalleryService/ImportGallery",
                request_serializer=pb.ImportGalleryRequest.SerializeToString,
                response_deserializer=pb.ImportGalleryResponse.FromString,
            ).future(messages())
            assert taken.wait(TIMEOUT)
            call.cancel()
        until(lambda: "CANCELLED" in [line.get("code") for line in serving.log_lines()])
        assert_free(client, "crowd")
        assert client.import_gallery(iter([data]), "crowd").template_count == MANY
    left = {path.suffix for path in serving.log.parent.iterdir()}
    assert left <= {".log", ".sqlite3", ".lock", ".sqlite3-wal", ".sqlite3-shm"}


def test_the_log_contains_no_contents_of_a_transfer(serve: Serve, exported: Exported) -> None:
    serving = serve()
    with Client(serving.address) as client:
        client.import_gallery(iter([crowd(exported, contract_of(client), 3)]), "crowd")
        list(client.export_gallery("crowd"))
    log = serving.log.read_text("utf-8")
    assert "ExportGallery" in log
    assert "ImportGallery" in log
    assert not any(word in log for word in ("s000001", "Somebody", "PAR1"))


def test_the_number_of_concurrent_transfers_is_limited(serve: Serve, exported: Exported) -> None:
    serving = serve("--gallery.max-transfers", "1")
    with Client(serving.address) as client:
        client.import_gallery(iter([crowd(exported, contract_of(client), MANY)]), "crowd")
        first = client.galleries.ExportGallery(pb.ExportGalleryRequest(gallery_id="crowd"))
        next(first)
        with pytest.raises(ResourceExhausted) as caught:
            list(client.export_gallery("crowd"))
        assert (caught.value.reason, caught.value.retry_after) == ("TOO_MANY_TRANSFERS", 1.0)
        first.cancel()
        until(lambda: exports(client, "crowd"))

        ends = threading.Event()

        def messages() -> Iterator[pb.ImportGalleryRequest]:
            yield pb.ImportGalleryRequest(target=pb.ImportTarget(gallery_id="other"))
            ends.wait(TIMEOUT)

        def hold() -> None:
            # The imports that probe the limit may take the slot first.
            while not ends.is_set():
                with suppress(ResourceExhausted, InvalidArgument):
                    client.galleries.ImportGallery(messages())

        held = threading.Thread(target=hold)
        held.start()
        until(lambda: reason_of_import(client) == "TOO_MANY_TRANSFERS")
        ends.set()
        held.join(TIMEOUT)
        until(lambda: reason_of_import(client) == "INVALID_IMPORT")


def exports(client: Client, gallery_id: str) -> bool:
    try:
        return bool(list(client.export_gallery(gallery_id)))
    except ResourceExhausted:
        return False


def reason_of_import(client: Client) -> str:
    try:
        client.import_gallery(iter([b"PAR1"]), "another")
    except FacetError as error:
        return error.reason
    return ""


def test_a_file_above_the_size_limit_is_refused(serve: Serve) -> None:
    serving = serve("--gallery.max-import-bytes", str(1 << 20))
    with Client(serving.address) as client:
        with pytest.raises(ResourceExhausted) as caught:
            client.import_gallery(iter([bytes(1 << 20), b"x"]), "large")
        assert caught.value.reason == "IMPORT_TOO_LARGE"


def test_a_client_that_stalls_is_cut_off(serve: Serve, exported: Exported) -> None:
    serving = serve("--server.stall-seconds", "0.5", "--gallery.max-transfers", "1")
    with Client(serving.address) as client:
        client.import_gallery(iter([crowd(exported, contract_of(client), MANY)]), "crowd")
        waits = threading.Event()

        def messages() -> Iterator[pb.ImportGalleryRequest]:
            yield pb.ImportGalleryRequest(target=pb.ImportTarget(gallery_id="other"))
            waits.wait(TIMEOUT)

        with pytest.raises(DeadlineExceeded) as caught:
            client.galleries.ImportGallery(messages())
        waits.set()
        assert caught.value.reason == "TRANSFER_STALLED"

        export = client.galleries.ExportGallery(pb.ExportGalleryRequest(gallery_id="crowd"))
        next(export)
        until(lambda: exports(client, "crowd"))
        with pytest.raises((DeadlineExceeded, Cancelled)):  # who reads too late finds the call reset
            list(export)
