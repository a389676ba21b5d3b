"""Pictures of every kind become the same message."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facet import picture, raw_picture
from facet.v1 import types_pb2 as pb

BGR = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
DATA = b"the bytes of a picture"


def raw(pixel_format: pb.PixelFormat.ValueType, pixels: bytes, *, width: int = 3, height: int = 2) -> pb.Picture:
    return pb.Picture(raw=pb.RawPicture(width=width, height=height, pixel_format=pixel_format, pixels=pixels))


def test_encoded_bytes_are_sent_as_they_are() -> None:
    expected = pb.Picture(encoded=DATA)
    for source in (DATA, bytearray(DATA), memoryview(DATA), memoryview(bytearray(DATA)), expected):
        assert picture(source) == expected


def test_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(DATA)
    expected = pb.Picture(encoded=DATA)
    assert picture(path) == picture(str(path)) == picture(io.BytesIO(DATA)) == expected
    with path.open("rb") as file:
        assert picture(file) == expected
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(DATA)
        spooled.seek(0)
        assert picture(spooled) == expected
    with pytest.raises(FileNotFoundError):
        picture(tmp_path / "missing.jpg")


def test_a_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"header" + DATA)
    file.seek(len("header"), os.SEEK_SET)
    assert picture(file) == pb.Picture(encoded=DATA)


def test_arrays_are_blue_green_red_unless_said_otherwise() -> None:
    assert picture(BGR) == raw(pb.PIXEL_FORMAT_BGR, BGR.tobytes())
    assert picture(BGR, rgb=True) == raw(pb.PIXEL_FORMAT_RGB, BGR.tobytes())
    grey = BGR[:, :, 0]
    assert picture(grey) == picture(grey, rgb=True) == raw(pb.PIXEL_FORMAT_GREY, np.ascontiguousarray(grey).tobytes())


def test_an_array_that_is_a_view_is_sent_in_its_own_order() -> None:
    assert picture(BGR[:, :, ::-1]) == raw(pb.PIXEL_FORMAT_BGR, BGR[:, :, ::-1].copy().tobytes())


@pytest.mark.parametrize(
    "array", [BGR.astype(np.float32), BGR.astype(np.uint16), BGR.reshape(-1), np.zeros((2, 3, 4), np.uint8)]
)
def test_an_array_of_another_type_or_shape_is_a_value_error(
    array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    with pytest.raises(ValueError, match="expected uint8 of shape"):
        picture(array)


def test_pillow_images_know_their_own_order() -> None:
    rgb = np.ascontiguousarray(BGR[:, :, ::-1])
    image = Image.fromarray(rgb)
    for source in (image, image.convert("RGBA")):
        assert picture(source) == raw(pb.PIXEL_FORMAT_RGB, rgb.tobytes())
    assert picture(Image.fromarray(rgb[:, :, 0])) == raw(
        pb.PIXEL_FORMAT_GREY, np.ascontiguousarray(rgb[:, :, 0]).tobytes()
    )


def test_a_pillow_image_is_turned_upright() -> None:
    image = Image.fromarray(BGR)
    image.getexif()[0x0112] = 6  # turn a quarter clockwise to see it upright
    assert picture(image) == raw(pb.PIXEL_FORMAT_RGB, np.rot90(BGR, -1).tobytes(), width=2, height=3)


def test_a_pillow_image_of_sixteen_bits_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="mode I;16: convert it to RGB"):
        picture(Image.new("I;16", (2, 2)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "not NoneType"),
        (7, "not int"),
        ([[0, 1]], "not list"),
        (np.uint8(1), "not numpy.uint8"),
        (io.StringIO("text"), "open for reading bytes, but read.. gave str"),
    ],
)
def test_anything_else_is_a_type_error_that_says_what_is_taken(source: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        picture(source)  # type: ignore[arg-type]  # the test's point


def test_raw_frames_keep_their_order_and_stride() -> None:
    frame = raw_picture(memoryview(bytes(24)), 4, 2, "nv12", stride=8)
    assert frame.raw == pb.RawPicture(width=4, height=2, pixel_format=pb.PIXEL_FORMAT_NV12, pixels=bytes(24), stride=8)
    assert raw_picture(BGR.tobytes(), 3, 2, "bgr") == picture(BGR)
    with pytest.raises(ValueError, match="nv12"):
        raw_picture(b"", 4, 2, "nv21")  # type: ignore[arg-type]
