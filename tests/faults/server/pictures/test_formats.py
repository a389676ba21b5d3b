"""Every format that people have gives the same face as its JPEG twin, and hostile files of each are refused."""

from __future__ import annotations

import importlib
import io

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from facet import Client, InvalidArgument, picture, raw_picture
from facet.runtime.pictures import FORMATS
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from facet.v1 import types_pb2
from tests.conftest import Pictures
from tests.unit.runtime.pictures.formats.samples import (
    JXL_WIDE,
    LONG,
    SHORT,
    gif_placed,
    heif_file,
    heif_grid,
    heif_item,
    heif_size,
    jxl_header,
    tiff,
)
from tests.unit.runtime.pictures.samples import encode

SAME = 0.98
"""Similarity of the face in a picture and in its JPEG twin."""


def deep(kind: str, image: Image.Image, bits: int, *options: int) -> bytes:
    """The picture in samples of 16 bits that use ``bits``."""
    bgr = np.asarray(image)[..., ::-1].astype(np.uint16) * 257
    return cv2.imencode(kind, bgr >> 16 - bits, options)[1].tobytes()


def variants(image: Image.Image) -> dict[str, bytes]:
    width, height = image.size
    hdr = io.BytesIO()
    samples = np.asarray(image).astype(np.uint16) * 257
    pillow_heif.encode("RGB;16", (width, height), samples.tobytes(), hdr, quality=90)
    further = {}
    if "JXL" in FORMATS:
        codec = importlib.import_module("imagecodecs")
        further["JXL"] = codec.jpegxl_encode(np.asarray(image), level=90)
        further["JXL, 16 bits in a container"] = codec.jpegxl_encode(samples, level=90, usecontainer=True)
    return further | {
        "GIF": encode("GIF", image),
        "TIFF, LZW": encode("TIFF", image, compression="tiff_lzw"),
        "TIFF, JPEG": encode("TIFF", image, compression="jpeg", quality=95),
        "TIFF, CMYK": encode("TIFF", image.convert("CMYK")),
        "TIFF, 16 bits": deep(".tiff", image, 16),
        "TIFF, 10 bits in 16": deep(".tiff", image, 10),
        "PNG, 12 bits in 16": deep(".png", image, 12),
        "HEIC": encode("HEIF", image, quality=90),
        "HEIC, 10 bits": hdr.getvalue(),
        "AVIF": encode("AVIF", image, quality=90),
        "AVIF, 10 bits": deep(".avif", image, 10, cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 90),
        "Motion Photo": encode("JPEG", image, quality=95) + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\0" * 40,
        "MPO": encode("MPO", image, quality=95, save_all=True, append_images=[Image.new("RGB", image.size)]),
    }


def frames(image: Image.Image) -> dict[str, types_pb2.Picture]:
    width, height = image.size[0] & ~1, image.size[1] & ~1
    bgr = np.ascontiguousarray(np.asarray(image)[:height, :width, ::-1])
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    padded = np.pad(cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA).reshape(height, -1), ((0, 0), (0, 64)))
    return {
        "I420": raw_picture(i420.tobytes(), width, height, "i420"),
        "BGRA with a stride": raw_picture(padded.tobytes(), width, height, "bgra", stride=4 * width + 64),
    }


def test_every_format_gives_the_face_of_its_jpeg_twin(client: Client, pictures: Pictures) -> None:
    image = Image.open(io.BytesIO(pictures.yaoming)).convert("RGB")
    twin = encode("JPEG", image, quality=95)
    sources = {name: picture(data) for name, data in variants(image).items()} | frames(image)
    for name, source in sources.items():
        similarity = client.verify(source, twin).similarity
        assert similarity >= SAME, name


def test_the_server_lists_its_formats(client: Client) -> None:
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    assert set(info.picture_formats) == set(FORMATS)


LARGE_JPEG = encode("JPEG", Image.new("RGB", (4000, 3000), "tan"))
"""So large that it is decoded at a reduced size."""
HOSTILE = {
    "half a large JPEG": (LARGE_JPEG[: len(LARGE_JPEG) // 2], "INVALID_PICTURE"),
    "a JXL of a million squared": (jxl_header(*JXL_WIDE, (1, 1)), "PICTURE_TOO_LARGE"),
    "a PDF": (b"%PDF-1.7", "INVALID_PICTURE"),
    "a HEIC of 40,000 tiles": (
        heif_file(
            [heif_item("HEIF", first=(heif_size(32, 32),)), heif_grid(200, 200, 6400, 6400)],
            [1] * 40_000,
        ),
        "INVALID_PICTURE",
    ),
    "an AVIF of 65,535 squared": (
        heif_file([heif_item("AVIF", first=(heif_size(65535, 65535),))], []),
        "PICTURE_TOO_LARGE",
    ),
    "a HEIC of another size than declared": (
        heif_file([heif_item("HEIF", first=(heif_size(4000, 3000),))], []),
        "INVALID_PICTURE",
    ),
    "a TIFF of 100,000 squared": (
        tiff({256: (LONG, (10**5,)), 257: (LONG, (10**5,))}),
        "PICTURE_TOO_LARGE",
    ),
    "a TIFF of floating-point samples": (tiff({258: (SHORT, (32,) * 3), 339: (SHORT, (3,) * 3)}), "INVALID_PICTURE"),
    "a GIF with a frame beyond its canvas": (gif_placed(1, 0, (64, 48)), "INVALID_PICTURE"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_the_server_goes_on(client: Client, pictures: Pictures, name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(InvalidArgument) as caught:
        client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(data)))
    assert caught.value.reason == reason
    assert client.verify(pictures.yaoming, pictures.yaoming).similarity > SAME


def test_a_tiff_that_loops_and_a_gif_of_10_000_frames_are_taken(client: Client) -> None:
    still = encode("GIF", Image.new("L", (8, 8)))
    frame = still[still.index(b",", 13) : -1]
    looped = tiff(behind=int.from_bytes(tiff()[4:8], "little"))
    for data in (looped, still[:-1] + frame * 10_000):
        assert not client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(data))).faces
