"""Hostile and unusual pictures: each is answered or refused with a reason, and the server keeps serving."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet import Client, InvalidArgument, ResourceExhausted, picture
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import types_pb2
from tests.unit.runtime.pictures.samples import encode

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

ORIENTATION = 0x0112
SIGNATURE = b"\x89PNG\r\n\x1a\n"
FORTY_MEGAPIXELS = (8000, 5000)
WORKERS = 2
MAX_GROWTH = WORKERS * 10 * FORTY_MEGAPIXELS[0] * FORTY_MEGAPIXELS[1]
"""Bytes: ten for each pixel that a worker decodes. Decoding all sixteen at once would add 1,900 MB."""
BOMB_GROWTH = 100_000_000
"""Bytes. Decoding the bomb before its size is checked would add 1,200 MB."""


def analyze(client: Client, source: bytes | NDArray[np.uint8] | types_pb2.Picture) -> pb.AnalyzeFacesResponse:
    return client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(source)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def flat_png(width: int, height: int, *, before: bytes = b"", behind: bytes = b"", rows: int | None = None) -> bytes:
    """A grey RGB picture in few bytes; ``rows`` is the number of rows it really has."""
    compressor = zlib.compressobj(9)
    row = b"\0" + b"\x7f" * (3 * width)
    pixels = b"".join(compressor.compress(row) for _ in range(height if rows is None else rows)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + before + chunk(b"IDAT", pixels) + behind + chunk(b"IEND", b"")


def bomb(kind: bytes) -> bytes:
    """A chunk that decompresses to 100 MB of zeros."""
    return chunk(kind, b"a\0\0" + zlib.compress(bytes(10**8), 9))


def with_segment(jpeg: bytes, marker: int, payload: bytes, times: int = 1) -> bytes:
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload
    return jpeg[:2] + times * segment + jpeg[2:]


@pytest.fixture(scope="module")
def image(pictures: Pictures) -> Image.Image:
    return Image.open(io.BytesIO(pictures.yaoming)).convert("RGB")


@pytest.fixture
def alive(client: Client, pictures: Pictures) -> Iterator[None]:
    """After the test the server must still find a face."""
    yield
    assert len(analyze(client, pictures.yaoming).faces) == 1


def refusal(client: Client, source: bytes | types_pb2.Picture) -> tuple[str, list[str]]:
    with pytest.raises(InvalidArgument) as caught:
        analyze(client, source)
    assert caught.value.message
    return caught.value.reason, list(caught.value.fields)


BROKEN: dict[str, Callable[[Image.Image], bytes]] = {
    "empty": lambda _: b"",
    "no picture": lambda _: b"this is no picture at all",
    "zeros": lambda _: bytes(1000),
    "half a JPEG": lambda image: half(encode("JPEG", image)),
    "half a progressive JPEG": lambda image: half(encode("JPEG", image, progressive=True)),
    "half a PNG": lambda image: half(encode("PNG", image)),
    "half a WebP": lambda image: half(encode("WEBP", image)),
    "half a BMP": lambda image: half(encode("BMP", image)),
    "a JPEG's first bytes": lambda image: encode("JPEG", image)[:20],
    "half a GIF": lambda image: half(encode("GIF", image)),
    "half a TIFF": lambda image: half(encode("TIFF", image)),
    "a format that is not taken": lambda image: encode("PPM", image),
    "0x0": lambda _: flat_png(0, 0),
    "corrupt pixels": lambda _: (
        SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"?")
    ),
    "fewer rows than promised": lambda _: flat_png(100, 100, rows=50),
}


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.usefixtures("alive")
def test_a_broken_picture_is_refused(client: Client, image: Image.Image, name: str) -> None:
    assert refusal(client, BROKEN[name](image)) == ("INVALID_PICTURE", ["picture"])


@pytest.mark.usefixtures("alive")
def test_a_truncated_decompression_bomb_is_refused_by_its_header(client: Client) -> None:
    assert refusal(client, flat_png(20_000, 20_000, rows=0)) == ("PICTURE_TOO_LARGE", ["picture"])
    assert refusal(client, flat_png(20_000, 20_000, rows=2000)) == ("PICTURE_TOO_LARGE", ["picture"])


def test_sixteen_pictures_of_40_megapixels_at_once_use_bounded_memory(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--server.workers", str(WORKERS))
    huge = flat_png(*FORTY_MEGAPIXELS)
    with Client(serving.address, timeout=600) as client:
        analyze(client, pictures.yaoming)
        analyze(client, flat_png(*(side // 10 for side in FORTY_MEGAPIXELS)))  # the same shape of network input
        before = serving.resident_bytes()
        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(lambda _: analyze(client, huge), range(16)))
        assert [answer.picture_size.width for answer in answers] == [FORTY_MEGAPIXELS[0]] * 16
        assert serving.resident_bytes() - before < MAX_GROWTH


def test_a_complete_decompression_bomb_is_not_decoded(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--models.objects", "none")
    with Client(serving.address) as client:
        analyze(client, pictures.yaoming)
        before = serving.resident_bytes()
        assert refusal(client, flat_png(20_000, 20_000)) == ("PICTURE_TOO_LARGE", ["picture"])
        assert serving.resident_bytes() - before < BOMB_GROWTH


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 20_000), (20_000, 1), (4000, 20), (20, 4000)])
@pytest.mark.usefixtures("alive")
def test_extreme_shapes_have_no_faces(client: Client, width: int, height: int) -> None:
    for source in (flat_png(width, height), np.zeros((height, width, 3), np.uint8)):
        answer = analyze(client, source)
        assert (answer.picture_size.width, answer.picture_size.height) == (width, height)
        assert not answer.faces


def test_a_face_is_found_in_every_picture_format(client: Client, image: Image.Image) -> None:
    bgr = np.asarray(image)[..., ::-1]
    deep = np.ascontiguousarray(bgr.astype(np.uint16) * 257)
    deep_grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    other = Image.new("RGB", image.size, "red")
    kinds = {
        "8-bit PNG": encode("PNG", image),
        "16-bit PNG": cv2.imencode(".png", deep)[1].tobytes(),
        "16-bit grey PNG": cv2.imencode(".png", deep_grey)[1].tobytes(),
        "grey PNG": encode("PNG", image.convert("L")),
        "grey JPEG": encode("JPEG", image.convert("L"), quality=95),
        "grey with alpha": encode("PNG", image.convert("LA")),
        "palette": encode("PNG", image.quantize(256)),
        "CMYK JPEG": encode("JPEG", image.convert("CMYK"), quality=95),
        "alpha PNG": encode("PNG", image.convert("RGBA")),
        "lossless WebP": encode("WEBP", image, lossless=True),
        "alpha WebP": encode("WEBP", image.convert("RGBA"), lossless=True),
        "BMP": encode("BMP", image),
        "GIF": encode("GIF", image.quantize(256)),
        "TIFF": encode("TIFF", image),
        "animated PNG": encode("PNG", image, save_all=True, append_images=[other]),
        "animated WebP": encode("WEBP", image, save_all=True, append_images=[other], lossless=True, duration=50),
        "several pictures in a JPEG": encode("MPO", image, save_all=True, append_images=[other], quality=95),
    }
    exact = ("16-bit PNG", "alpha PNG", "lossless WebP", "alpha WebP", "BMP", "TIFF", "animated PNG", "animated WebP")
    (expected,) = analyze(client, kinds["8-bit PNG"]).faces
    for name, data in kinds.items():
        (found,) = analyze(client, data).faces
        assert corners(found.face) == pytest.approx(corners(expected.face), abs=3), name
        if name in exact:
            assert found == expected, name


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(client: Client, image: Image.Image, kind: str) -> None:
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's inverse of each orientation
    choices: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 100, "subsampling": 0},
        "PNG": {},
        "WEBP": {"lossless": True},
    }
    options = choices[kind]
    (expected,) = analyze(client, encode(kind, image, **options)).faces
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stored = image.transpose(Image.Transpose(undone[orientation])) if orientation > 1 else image
        answer = analyze(client, encode(kind, stored, exif=exif, **options))
        assert (answer.picture_size.width, answer.picture_size.height) == image.size
        (found,) = answer.faces
        assert corners(found.face) == pytest.approx(corners(expected.face), abs=0.5), orientation
        assert points(found.face) == pytest.approx(points(expected.face), abs=0.5), orientation


def corners(face: types_pb2.DetectedFace) -> list[float]:
    return [face.box.x1, face.box.y1, face.box.x2, face.box.y2]


def points(face: types_pb2.DetectedFace) -> list[float]:
    marks = face.landmarks
    five = (marks.left_eye, marks.right_eye, marks.nose, marks.left_mouth, marks.right_mouth)
    return [coordinate for point in five for coordinate in (point.x, point.y)]


@pytest.mark.usefixtures("alive")
def test_large_or_broken_metadata_is_ignored(client: Client, pictures: Pictures) -> None:
    broken = b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(range(200))
    loops = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 8)
    sources = {
        "corrupt EXIF": with_segment(pictures.yaoming, 0xE1, broken),
        "EXIF that points at itself": with_segment(pictures.yaoming, 0xE1, loops),
        "260 segments of 60 KB": with_segment(pictures.yaoming, 0xE1, b"Exif\0\0" + bytes(60_000), 250),
        "260 pieces of a profile": with_segment(pictures.yaoming, 0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000), 250),
        "comments": with_segment(pictures.yaoming, 0xFE, bytes(60_000), 250),
    }
    for name, data in sources.items():
        assert len(analyze(client, data).faces) == 1, name
    texts = b"".join(chunk(b"tEXt", b"key%d\0value" % number) for number in range(20_000))
    assert not analyze(client, flat_png(64, 64, before=texts)).faces
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        assert not analyze(client, flat_png(64, 64, before=bomb(kind))).faces
        assert not analyze(client, flat_png(64, 64, behind=bomb(kind))).faces


@pytest.mark.usefixtures("alive")
def test_a_jpeg_with_too_many_scans_is_refused(client: Client, image: Image.Image) -> None:
    progressive = encode("JPEG", image, progressive=True)
    last = progressive.rindex(b"\xff\xda")
    scan = progressive[last:-2]
    assert refusal(client, progressive[:-2] + scan * 2000 + progressive[-2:]) == ("INVALID_PICTURE", ["picture"])


RAW = {
    "wrong size": (
        types_pb2.RawPicture(width=10, height=10, pixel_format=types_pb2.PIXEL_FORMAT_BGR, pixels=bytes(299)),
        "INVALID_PICTURE",
        "",
    ),
    "no pixels": (
        types_pb2.RawPicture(width=10, height=10, pixel_format=types_pb2.PIXEL_FORMAT_BGR),
        "INVALID_PICTURE",
        "",
    ),
    "zero width": (
        types_pb2.RawPicture(width=0, height=10, pixel_format=types_pb2.PIXEL_FORMAT_BGR),
        "INVALID_PICTURE",
        "",
    ),
    "zero height": (
        types_pb2.RawPicture(width=10, height=0, pixel_format=types_pb2.PIXEL_FORMAT_RGB),
        "INVALID_PICTURE",
        "",
    ),
    "a size beyond all": (
        types_pb2.RawPicture(width=2**32 - 1, height=2**32 - 1, pixel_format=types_pb2.PIXEL_FORMAT_BGR),
        "PICTURE_TOO_LARGE",
        "",
    ),
    "no format": (types_pb2.RawPicture(width=1, height=1, pixels=bytes(3)), "INVALID_FIELD", ".raw.pixel_format"),
    "an unknown format": (
        types_pb2.RawPicture(width=1, height=1, pixel_format=99, pixels=bytes(3)),  # type: ignore[arg-type]
        "INVALID_FIELD",
        ".raw.pixel_format",
    ),
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.usefixtures("alive")
def test_invalid_raw_pixels_are_refused(client: Client, name: str) -> None:
    raw, reason, field = RAW[name]
    assert refusal(client, types_pb2.Picture(raw=raw)) == (reason, [f"picture{field}"])


@pytest.mark.usefixtures("alive")
def test_a_request_without_a_picture_is_refused(client: Client) -> None:
    assert refusal(client, types_pb2.Picture()) == ("INVALID_FIELD", ["picture"])


@pytest.mark.usefixtures("alive")
def test_a_message_over_the_limit_is_refused(client: Client) -> None:
    with pytest.raises(ResourceExhausted, match="larger than the limit"):
        analyze(client, bytes(17 * 2**20))
