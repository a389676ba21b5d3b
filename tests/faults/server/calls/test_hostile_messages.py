"""Messages that are small to send and large to hold: they are refused before anything is made of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
import pytest

from facet import Client
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.faults.server.calls.raw_calls import DETECT, IDENTIFY, Ended, RawConnection, framed

if TYPE_CHECKING:
    from tests.conftest import Serving, Start

UPDATE_GALLERY = "/facet.v1.GalleryService/UpdateGallery"
SIZE = 16 * 2**20 - 64
MAX_GROWTH = 150 * 2**20
"""Bytes. Two messages of 16 MB in three forms. Parsed, one of them would take 500 MB."""


@pytest.fixture(scope="module")
def serving(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("messages"), "--models.objects", "none")
    with Client(serving.address) as client:  # whatever is imported or allocated only once
        client.server.GetServerInfo(GetServerInfoRequest())
    yield serving
    serving.stop()


def varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return encoded + bytes((value,))


def field(number: int, content: bytes) -> bytes:
    """A field that is delimited by its length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


EMPTY_POINTS = field(1, field(11, field(18, b"") * (SIZE // 3)))
"""Gallery, Calibration, and its curve of empty points."""
EMPTY_NAMES = field(2, b"") * (SIZE // 2)
UNKNOWN = field(15, b"") * (SIZE // 2)
FOR_EVER = b"\x80" * SIZE


def refused(serving: Serving, path: str, message: bytes) -> Ended:
    with RawConnection(serving.address) as connection:
        stream = connection.open(path)
        connection.send(stream, framed(message), end=True)
        return connection.ended(stream)


@pytest.mark.parametrize(
    ("path", "message", "reason"),
    [
        (UPDATE_GALLERY, EMPTY_POINTS, "MESSAGE_TOO_COMPLEX"),
        (DETECT, EMPTY_NAMES, "MESSAGE_TOO_COMPLEX"),
        (IDENTIFY, UNKNOWN, "MESSAGE_TOO_COMPLEX"),
        (IDENTIFY, FOR_EVER, "INVALID_MESSAGE"),
    ],
    ids=["empty messages", "empty strings", "unknown fields", "an endless number"],
)
def test_millions_of_elements_are_refused_and_leave_nothing(
    serving: Serving, path: str, message: bytes, reason: str
) -> None:
    idle = serving.resident_bytes()
    for _ in range(6):
        ended = refused(serving, path, message)
        assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert serving.resident_bytes() - idle < MAX_GROWTH


def test_a_compressed_message_that_inflates_beyond_the_limit_is_refused(serving: Serving) -> None:
    idle = serving.resident_bytes()
    packer, zeros = zlib.compressobj(1, wbits=31), bytes(2**20)
    bomb = b"".join([*(packer.compress(zeros) for _ in range(512)), packer.flush()])
    with RawConnection(serving.address) as connection:
        stream = connection.open(IDENTIFY, ("grpc-encoding", "gzip"))
        connection.send(stream, struct.pack(">BI", 1, len(bomb)) + bomb, end=True)
        ended = connection.ended(stream)
    assert serving.resident_bytes() - idle < MAX_GROWTH
    assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED
