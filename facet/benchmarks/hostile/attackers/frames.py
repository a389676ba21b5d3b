"""Bytes of HTTP/2 and gRPC, prepared in advance, so that an attack costs its sender little."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from hpack.hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_ACK = SettingsFrame(0, flags=["ACK"]).serialize()

CANCEL = 0x8
"""Error code of a stream that its client gives up (RFC 9113, section 7)."""

RECOGNITION = "/facet.v1.RecognitionService/"
GALLERIES = "/facet.v1.GalleryService/"
SERVER_INFO = "/facet.v1.ServerService/GetServerInfo"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"

Header = tuple[str, str]


def request_headers(path: str, token: str = "", extra: Iterable[Header] = ()) -> list[Header]:
    """The headers of a gRPC call.

    Args:
        path: of the method.
        token: bearer token; empty for none.
        extra: further headers.
    """
    authorization = [("authorization", f"Bearer {token}")] if token else []
    return [
        *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "facet")),
        *(("content-type", "application/grpc"), ("te", "trailers")),
        *authorization,
        *extra,
    ]


def greeting(settings: dict[int, int] | None = None) -> bytes:
    """What a client sends first: the preface, its settings, and the confirmation of the server's."""
    return PREFACE + SettingsFrame(0, settings=settings or {}).serialize() + SETTINGS_ACK


def header_block(headers: Iterable[Header]) -> bytes:
    """Headers encoded without the connection's table, so that the block may be sent on any connection."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(headers, huffman=False)


def many_entries(headers: Iterable[Header], number: int) -> bytes:
    """Headers and many entries more, a byte each, that refer to one entry of the connection's table: an HPACK bomb."""
    entry, reference = b"\x40\x01x\x00", b"\xbe"
    return bytes(Encoder().encode(headers, huffman=False)) + entry + reference * number


def headers_frame(stream: int, block: bytes, *, end_stream: bool = False, end_headers: bool = True) -> bytes:
    """A HEADERS frame."""
    flags = [name for name, is_set in (("END_STREAM", end_stream), ("END_HEADERS", end_headers)) if is_set]
    return HeadersFrame(stream, block, flags=flags).serialize()


def continuation_frame(stream: int, block: bytes, *, end_headers: bool = False) -> bytes:
    """A CONTINUATION frame; by default one after which another follows."""
    return ContinuationFrame(stream, block, flags=["END_HEADERS"] if end_headers else []).serialize()


def data_frame(stream: int, data: bytes, *, end_stream: bool = False) -> bytes:
    """A DATA frame."""
    return DataFrame(stream, data, flags=["END_STREAM"] if end_stream else []).serialize()


def reset_frame(stream: int) -> bytes:
    """A RST_STREAM frame: the client gives the stream up."""
    return RstStreamFrame(stream, CANCEL).serialize()


def window_frame(stream: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return WindowUpdateFrame(stream, window_increment=increment).serialize()


def ping_frame() -> bytes:
    """A PING frame."""
    return PingFrame(0, b"hostile!").serialize()


def settings_frame() -> bytes:
    """A SETTINGS frame with one setting."""
    return SettingsFrame(0, settings={SettingsFrame.ENABLE_PUSH: 0}).serialize()


def message(data: bytes, *, claimed: int | None = None, compressed: bool = False) -> bytes:
    """A gRPC message with its prefix.

    Args:
        data: the message.
        claimed: the length that the prefix states, if it is not that of the data.
        compressed: whether the prefix says that it is compressed.
    """
    return struct.pack(">BI", compressed, len(data) if claimed is None else claimed) + data


def streams(count: int, first: int = 1) -> range:
    """The ids of this many streams of a client."""
    return range(first, first + 2 * count, 2)


def unary_call(stream: int, block: bytes, data: bytes = b"") -> bytes:
    """A complete unary call with a small message."""
    return headers_frame(stream, block) + data_frame(stream, message(data), end_stream=True)


def field_header(number: int, length: int) -> bytes:
    """What precedes a field of protobuf that holds a message, a text or bytes.

    Args:
        number: of the field.
        length: of what follows, in bytes.
    """
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
