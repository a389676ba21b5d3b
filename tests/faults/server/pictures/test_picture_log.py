"""What image libraries say about broken pictures is in the server's log, and nothing else is on standard error."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from facet import Client, InvalidArgument, picture
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(before: bytes = b"", pixels: bytes | None = None) -> bytes:
    rows = zlib.compress((b"\0" + bytes(30)) * 10) if pixels is None else pixels
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_libraries_write_nothing_to_standard_error(serve: Serve, pictures: Pictures) -> None:
    jpeg = pictures.yaoming
    middle = (jpeg.rindex(b"\xff\xda") + len(jpeg)) // 2
    sources = {
        "a JPEG with damaged data": jpeg[:middle] + b"\xff\xd8" + jpeg[middle:],
        "a JPEG that is cut off": jpeg[:middle],
        "a JPEG with bytes between its segments": jpeg[:2] + jpeg[2:20] + b"\0" * 100 + jpeg[20:],
        "a PNG with a thousand broken texts": png(chunk(b"tEXt", b"") * 1000),
        "a PNG with a broken profile": png(chunk(b"iCCP", b"a\0\0" + zlib.compress(b"broken"))),
        "a PNG with damaged pixels": png(pixels=b"broken"),
        "a PNG with other pixels": png(pixels=zlib.compress(bytes(10))),
        "a WebP with damaged pixels": b"RIFF\x1e\0\0\0WEBPVP8L\x12\0\0\0\x2f" + bytes(17),
        "a BMP that is cut off": b"BM" + bytes(8) + struct.pack("<IIiiHHI", 54, 40, 9, 9, 1, 24, 0) + bytes(40),
    }
    serving = serve("--models.objects", "none", "--log.level", "debug")
    with Client(serving.address, timeout=60) as client:
        for source in sources.values():
            with suppress(InvalidArgument):
                client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(source)))
    assert serving.stop() == 0
    lines = [json.loads(line) for line in serving.log.read_text("utf-8").splitlines()]
    said = [line["lines"] for line in lines if line["event"] == "a library wrote about a picture"]
    assert any("Corrupt JPEG data" in text for text in said)
    assert all(len(text) <= 1000 for text in said)
