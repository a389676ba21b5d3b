"""A server with a callers file: what each caller may do, and how soon a change is in effect."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facet import Client, FacetError, picture, stream_frame
from facet.server.access.callers.callers_file import CallerEntry, changing
from facet.server.access.callers.key import key_of
from facet.server.access.callers.last_used import read as last_used
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from tests.unit.server.access.entries import entry
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve, Serving, Start

FLAGS = ("--models.objects", "none", "--metrics.port", "0")
GALLERIES = [f"{site}-{number}" for site in ("a", "b") for number in range(3)]


class Callers:
    """The callers file of a server, which tests change while it runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "facet.callers.json"

    def put(self, caller_id: str, **fields: Any) -> str:
        """Add or replace a caller; returns its key."""
        with changing(self.path) as callers:
            callers[:] = [each for each in callers if each.id != caller_id]
            callers.append(entry(caller_id, caller_id, **fields))
        return key_of(caller_id, caller_id)

    def change(self, caller_id: str, change: Callable[[CallerEntry], CallerEntry]) -> None:
        """Change a caller."""
        with changing(self.path) as callers:
            callers[:] = [change(each) if each.id == caller_id else each for each in callers]


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Code and reason of a call that is refused."""
    with pytest.raises(FacetError) as refused:
        call()
    return refused.value.code.name, refused.value.reason


@contextmanager
def watch(address: str, key: str) -> Iterator[Any]:
    """A health watch that has begun."""
    with grpc.insecure_channel(address) as channel:
        call = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), metadata=(("authorization", f"Bearer {key}"),), timeout=PATIENCE
        )
        next(call)
        yield call


@contextmanager
def camera(address: str, key: str, gallery_id: str, encoded: bytes) -> Iterator[Any]:
    """A stream of a camera that has answered its first frame, and stays open."""
    requests: queue.SimpleQueue[pb.IdentifyStreamRequest | None] = queue.SimpleQueue()
    requests.put(pb.IdentifyStreamRequest(settings=pb.StreamSettings(gallery_id=gallery_id)))
    requests.put(pb.IdentifyStreamRequest(frame=stream_frame(1, encoded)))
    with grpc.insecure_channel(address) as channel:
        call = RecognitionServiceStub(channel).IdentifyStream(
            iter(requests.get, None), metadata=(("authorization", f"Bearer {key}"),), timeout=PATIENCE
        )
        next(call)
        yield call
        requests.put(None)


def ending(call: Any) -> str:
    """The code that an open call ends with."""
    with pytest.raises(grpc.RpcError):
        list(call)
    code: grpc.StatusCode = call.code()
    return code.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callers")


@pytest.fixture(scope="module")
def callers(folder: Path) -> Callers:
    return Callers(folder)


@pytest.fixture(scope="module")
def admin(callers: Callers) -> str:
    return callers.put("admin", scopes=["admin"])


@pytest.fixture(scope="module")
def serving(start: Start, folder: Path, admin: str) -> Iterator[Serving]:
    serving = start(folder, *FLAGS)
    with Client(serving.address, token=admin) as client:
        for gallery_id in GALLERIES:
            client.create_gallery(gallery_id)
    yield serving
    serving.stop()


@pytest.fixture
def known(serving: Serving, callers: Callers) -> Callable[..., str]:
    """Add a caller, and wait until the server knows it."""

    def add(caller_id: str, **fields: Any) -> str:
        key = callers.put(caller_id, **fields)
        with Client(serving.address, token=key) as client:
            until(lambda: is_in(client))
        return key

    return add


def is_in(client: Client) -> bool:
    try:
        client.get_server_info()
    except FacetError:
        return False
    return True


def test_a_caller_is_told_who_it_is_and_when_it_was_last_here_is_written_down(
    serving: Serving, callers: Callers, known: Callable[..., str]
) -> None:
    end = datetime(2100, 1, 1, tzinfo=UTC)
    key = known("lobby", label="Lobby camera", scopes=["enroll", "recognize"], galleries=["a-*"], expires=end)
    with Client(serving.address, token=key) as client:
        told = client.get_server_info().caller
    expected = server_pb.CallerInfo(id="key:lobby", label="Lobby camera", scopes=["recognize", "enroll"])
    expected.galleries.append("a-*")
    expected.expire_time.FromDatetime(end)
    assert told == expected
    until(lambda: "key:admin" in last_used(callers.path))


def test_a_caller_with_some_galleries_neither_sees_nor_uses_others(serving: Serving, known: Callable[..., str]) -> None:
    key = known("site-a", scopes=["admin"], galleries=["a-*"])
    with Client(serving.address, token=key) as client:
        assert [each.gallery_id for each in client.iter_galleries(page_size=1)] == GALLERIES[:3]
        assert client.list_galleries(page_size=3).next_page_token == ""
        refused = [
            refusal(lambda gallery_id=gallery_id: client.get_gallery(gallery_id))  # type: ignore[misc]
            for gallery_id in ("b-0", "b-none", "no-such-gallery")
        ]
        assert set(refused) == {("PERMISSION_DENIED", "GALLERY_NOT_PERMITTED")}
        assert refusal(lambda: client.create_gallery("b-9")) == ("PERMISSION_DENIED", "GALLERY_NOT_PERMITTED")
        assert refusal(client.create_gallery) == ("PERMISSION_DENIED", "GALLERY_NOT_PERMITTED")
        assert refusal(lambda: client.get_gallery("a-none")) == ("NOT_FOUND", "GALLERY_NOT_FOUND")
        created = client.create_gallery("a-9")
        client.delete_gallery(created.gallery_id)


def test_an_item_of_a_batch_for_a_gallery_of_others_ends_the_batch(
    serving: Serving, known: Callable[..., str], pictures: Pictures
) -> None:
    key = known("batch", galleries=["a-0"])
    requests = [
        pb.IdentifyBatchRequest(
            item_id=gallery_id,
            identification=pb.IdentifyRequest(gallery_id=gallery_id, picture=picture(pictures.yaoming)),
        )
        for gallery_id in ("a-0", "b-0")
    ]
    with Client(serving.address, token=key) as client:
        answers = client.recognition.IdentifyBatch(iter(requests))
        assert next(answers).item_id == "a-0"
        assert refusal(lambda: next(answers)) == ("PERMISSION_DENIED", "GALLERY_NOT_PERMITTED")


@pytest.mark.parametrize("way", ["revoked", "expired", "rotated", "removed"])
def test_open_calls_end_when_the_caller_is_not_let_in_any_more(
    serving: Serving, callers: Callers, known: Callable[..., str], pictures: Pictures, way: str
) -> None:
    key, other = known(way), known("stays")
    with (
        watch(serving.address, other) as another,
        watch(serving.address, key) as watching,
        camera(serving.address, key, "a-0", pictures.yaoming) as stream,
    ):
        now = datetime.now(UTC)
        match way:
            case "revoked":
                callers.change(way, lambda each: each.model_copy(update={"revoked": now}))
            case "expired":
                callers.change(way, lambda each: each.model_copy(update={"expires": now + timedelta(seconds=1)}))
            case "rotated":
                callers.change(way, lambda each: each.model_copy(update={"sha256": "0" * 64}))
            case "removed":
                with changing(callers.path) as entries:
                    entries[:] = [each for each in entries if each.id != way]
        assert ending(watching) == "UNAUTHENTICATED"
        assert ending(stream) == "UNAUTHENTICATED"
        assert another.is_active()
    with Client(serving.address, token=key) as client:
        assert refusal(client.get_server_info) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


def test_open_calls_end_when_the_caller_loses_what_they_use(
    serving: Serving, callers: Callers, known: Callable[..., str], pictures: Pictures
) -> None:
    key = known("narrowed")
    with (
        watch(serving.address, key) as watching,
        camera(serving.address, key, "a-0", pictures.yaoming) as of_a,
        camera(serving.address, key, "b-0", pictures.yaoming) as of_b,
    ):
        callers.change("narrowed", lambda each: each.model_copy(update={"galleries": ["b-*"]}))
        assert ending(of_a) == "PERMISSION_DENIED"
        assert of_b.is_active()
        callers.change("narrowed", lambda each: each.model_copy(update={"scopes": ["audit"]}))
        assert ending(of_b) == "PERMISSION_DENIED"
        assert watching.is_active(), "every caller may watch"


def test_a_server_without_callers_serves_everybody_until_it_has_some_and_nobody_once_they_are_gone(
    serve: Serve, tmp_path: Path
) -> None:
    serving, callers = serve(*FLAGS), Callers(tmp_path)
    with Client(serving.address) as anybody, watch(serving.address, "anything") as watching:
        assert anybody.get_server_info().caller.id == "anonymous"
        key = callers.put("first")
        assert ending(watching) == "UNAUTHENTICATED"
        assert refusal(anybody.get_server_info) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    with Client(serving.address, token=key) as client:
        assert client.get_server_info().caller.id == "key:first"
        with watch(serving.address, key) as watching:
            callers.path.write_text("{", "utf-8")
            until(lambda: "the changed callers file is not used" in serving.log.read_text("utf-8"))
            assert client.get_server_info().caller.id == "key:first"
            callers.path.unlink()
            assert ending(watching) == "UNAUTHENTICATED"
        assert refusal(client.get_server_info) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        callers.put("first")
        until(lambda: is_in(client))


def test_a_server_does_not_start_with_a_callers_file_that_cannot_be_used(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "who.json"
    path.write_text('{"version": 1, "callers": [{"id": "cam"}]}', "utf-8")
    result = refused("--access.callers", str(path))
    assert result.returncode == 1
    assert f"{path} cannot be used: caller 1 (cam): kind: Field required" in result.stderr


def test_scopes_are_told_apart(serving: Serving, known: Callable[..., str]) -> None:
    with Client(serving.address, token=known("reader")) as client:
        assert client.get_gallery("a-0").gallery_id == "a-0"
        denied = ("PERMISSION_DENIED", "SCOPE_MISSING")
        assert refusal(lambda: client.create_gallery("c")) == denied
        assert refusal(lambda: client.list_subjects("a-0")) == denied
        assert refusal(lambda: client.galleries.ImportGallery(iter([gallery_pb.ImportGalleryRequest()]))) == denied
