"""A key that is revoked, or loses its rights, ends the calls that it has open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc

from facet import Client
from facet.server.access.callers import callers_file
from facet.server.access.identity import SCOPES as ALL_SCOPES
from tests.faults.server.calls.raw_calls import Ended, RawConnection, framed
from tests.integration.server.trust.beginnings import beginnings
from tests.integration.server.trust.conftest import OPERATOR, admit
from tests.integration.server.trust.rights import SCOPES
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.server.trust.conftest import Guarded

UNAUTHENTICATED = (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
_RECOGNITION, _GALLERY = "/facet.v1.RecognitionService/", "/facet.v1.GalleryService/"


def change(callers: Path, caller_id: str, **fields: object) -> None:
    """Change an entry of the callers file, as the commands do."""
    with callers_file.changing(callers) as entries:
        entries[:] = [each.model_copy(update=fields) if each.id == caller_id else each for each in entries]


def outcome(ended: Ended) -> tuple[grpc.StatusCode | None, str]:
    return ended.code, ended.reason


def test_calls_of_a_revoked_key_end_also_those_whose_request_has_not_arrived(guarded: Guarded) -> None:
    secret = admit(guarded.callers, "soon-revoked", ALL_SCOPES)
    with Client(guarded.address, token=guarded.keys[OPERATOR]) as operator:
        until(lambda: is_known(guarded, secret), "the new key was never known")
        with RawConnection(guarded.address, secret) as connection:
            silent = {path: connection.open(path) for path in SCOPES}
            begun = {path: connection.open(path) for path in beginnings(guarded.mine)}
            for path, stream in begun.items():
                connection.send(stream, framed(beginnings(guarded.mine)[path]))
            named = {path.rpartition("/")[2] for path in begun}
            until(lambda: named <= operator.get_server_info().open_streams.keys(), "the streams were never open")
            change(guarded.callers, "soon-revoked", revoked=datetime.now(UTC))
            calls = [*silent.items(), *begun.items()]
            ended = [(path, outcome(connection.ended(stream))) for path, stream in calls]
    assert ended == [(path, UNAUTHENTICATED) for path, _ in calls]


def test_a_stream_ends_when_its_caller_loses_the_gallery_or_the_scope(guarded: Guarded) -> None:
    paths = (_RECOGNITION + "IdentifyStream", _GALLERY + "EnrollBatch")
    secret = admit(guarded.callers, "soon-limited", ["recognize", "enroll"])
    until(lambda: is_known(guarded, secret), "the new key was never known")
    with RawConnection(guarded.address, secret) as connection:
        streams = [connection.open(path) for path in paths]
        for stream, path in zip(streams, paths, strict=True):
            connection.send(stream, framed(beginnings(guarded.mine)[path]))
        with Client(guarded.address, token=guarded.keys[OPERATOR]) as operator:
            named = {path.rpartition("/")[2] for path in paths}
            until(lambda: named <= operator.get_server_info().open_streams.keys(), "the streams were never open")
        connection.answered(streams[1])
        change(guarded.callers, "soon-limited", scopes=["enroll"], galleries=[guarded.theirs])
        ended = [outcome(connection.ended(stream)) for stream in streams]
    assert ended == [
        (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"),
        (grpc.StatusCode.PERMISSION_DENIED, "GALLERY_NOT_PERMITTED"),
    ]


def is_known(guarded: Guarded, secret: str) -> bool:
    with RawConnection(guarded.address, secret) as connection:
        stream = connection.open("/facet.v1.ServerService/GetServerInfo")
        connection.send(stream, framed(b""), end=True)
        return connection.ended(stream).code is grpc.StatusCode.OK
