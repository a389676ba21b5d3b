"""The bytes of attackers are what they claim to be: a real decoder of HTTP/2 and of pictures reads them."""

from __future__ import annotations

import zlib

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, PingReceived, RequestReceived, StreamEnded, StreamReset

from facet.benchmarks.hostile.attackers import frames
from facet.benchmarks.hostile.attackers.attacker import Target
from facet.benchmarks.hostile.attackers.bombs import BOMBS, deflated_zeros
from facet.benchmarks.hostile.attackers.catalogue import all_attackers
from facet.benchmarks.hostile.attackers.messages import ManyElements, ManyStrings
from facet.benchmarks.hostile.attackers.streams import UnreadLossless
from facet.benchmarks.hostile.hostile import tokens
from facet.v1.gallery_service_pb2 import UpdateGalleryRequest
from facet.v1.recognition_service_pb2 import DetectRequest, IdentifyStreamRequest

MAX_MESSAGE_BYTES = 16 << 20
PREFIX = 5
"""Bytes before a message of gRPC."""


@pytest.fixture
def server() -> H2Connection:
    made = H2Connection(H2Configuration(client_side=False))
    made.initiate_connection()
    return made


def test_prepared_calls_are_valid_http2(server: H2Connection) -> None:
    block = frames.header_block(frames.request_headers(frames.HEALTH_CHECK, "secret"))
    events = server.receive_data(
        frames.greeting() + frames.unary_call(1, block, b"abc") + frames.headers_frame(3, block) + frames.reset_frame(3)
    )
    request = next(event for event in events if isinstance(event, RequestReceived))
    headers = dict(request.headers)
    assert headers[b":path"] == frames.HEALTH_CHECK.encode()
    assert headers[b"authorization"] == b"Bearer secret"
    assert [event.data for event in events if isinstance(event, DataReceived)] == [b"\0\0\0\0\3abc"]
    assert [event.stream_id for event in events if isinstance(event, StreamEnded)] == [1]
    assert [event.stream_id for event in events if isinstance(event, StreamReset)] == [3]


def test_a_header_block_may_be_repeated_on_one_connection(server: H2Connection) -> None:
    block = frames.header_block(frames.request_headers(frames.HEALTH_CHECK))
    data = frames.greeting() + b"".join(frames.unary_call(stream, block) for stream in frames.streams(3))
    assert sum(isinstance(event, RequestReceived) for event in server.receive_data(data)) == 3


def test_floods_are_valid_frames(server: H2Connection) -> None:
    flood = frames.ping_frame() * 3 + frames.settings_frame() + frames.window_frame(0, 1)
    events = server.receive_data(frames.greeting() + flood)
    assert sum(isinstance(event, PingReceived) for event in events) == 3


def test_attackers_have_different_names_and_say_what_they_do() -> None:
    attackers = all_attackers()
    names = [attacker.name for attacker in attackers]
    assert len(set(names)) == len(names)
    assert all(attacker.what and "\n" not in attacker.what for attacker in attackers)


def test_an_attacker_that_needs_the_token_always_has_it_and_some_run_twice() -> None:
    runs = {each.name: tokens(each, authenticated=False) for each in all_attackers()}
    assert runs["one-caller"] == (True,)
    assert runs["silent-connections"] == (False,)
    assert runs["headers-only"] == (False, True)
    assert all(tokens(each, authenticated=True) == (True,) for each in all_attackers())


@pytest.mark.parametrize("name", sorted(set(BOMBS) - {"webp-animation"}))
def test_a_bomb_fits_into_a_message_and_looks_like_its_format(name: str) -> None:
    data = BOMBS[name][1]()
    assert len(data) < MAX_MESSAGE_BYTES
    assert data.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF", b"BM"))


def test_zeros_inflate_to_what_they_claim() -> None:
    assert zlib.decompress(deflated_zeros(3)) == bytes(3 << 20)
    assert zlib.decompress(deflated_zeros(3, gzip=True), wbits=31) == bytes(3 << 20)
    assert len(deflated_zeros(100)) < 200_000


def test_messages_of_many_elements_are_read_as_such() -> None:
    data = ManyElements().data()
    assert len(data) - PREFIX <= MAX_MESSAGE_BYTES
    few = UpdateGalleryRequest.FromString(_shortened(ManyElements, 300))
    assert len(few.gallery.calibration.curve) > 70
    assert len(DetectRequest.FromString(_shortened(ManyStrings, 300)).class_names) > 100


def test_a_frame_is_read_with_the_number_behind_it() -> None:
    target = Target("127.0.0.1", 1, 2, "", "team", b"a picture")
    attacker = UnreadLossless()
    attacker.prepare(target)
    data = b"".join(attacker.numbered(attacker.item(target), 300))
    assert int.from_bytes(data[1:PREFIX], "big") == len(data) - PREFIX
    frame = IdentifyStreamRequest.FromString(data[PREFIX:]).frame
    assert frame.frame_id == 300
    assert frame.picture.encoded.startswith(b"a picture\0")


def _shortened(attacker: type[ManyElements | ManyStrings], limit: int) -> bytes:
    return attacker().data(limit)[PREFIX:]
