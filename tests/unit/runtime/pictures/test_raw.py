"""Raw frames in the orders of cameras and video decoders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, from_raw
from facet.runtime.pictures.raw import Order
from tests.unit.runtime.pictures.samples import ENOUGH, pixels

WIDTH, HEIGHT = 64, 48
PICTURE = pixels(WIDTH, HEIGHT)
I420 = np.asarray(cv2.cvtColor(PICTURE, cv2.COLOR_BGR2YUV_I420), np.uint8)
LUMA = I420[:HEIGHT]
U, V = I420[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
NV12 = np.concatenate([LUMA, np.dstack([U, V]).reshape(HEIGHT // 2, WIDTH)])
YUYV = np.dstack([LUMA, np.repeat(np.dstack([U, V]).reshape(HEIGHT // 2, WIDTH), 2, 0)]).reshape(HEIGHT, 2 * WIDTH)
ROWS: dict[Order, NDArray[np.uint8]] = {
    "bgr": PICTURE.reshape(HEIGHT, -1),
    "rgb": PICTURE[..., ::-1].reshape(HEIGHT, -1),
    "bgra": np.dstack([PICTURE, LUMA]).reshape(HEIGHT, -1),
    "rgba": np.dstack([PICTURE[..., ::-1], LUMA]).reshape(HEIGHT, -1),
    "nv12": NV12,
    "yuyv": YUYV,
}


def padded(rows: NDArray[np.uint8], more: int) -> bytes:
    """The rows with bytes behind each that are no pixels."""
    return np.pad(rows, ((0, 0), (0, more)), constant_values=77).tobytes()


EXPECTED: dict[Order, NDArray[np.uint8]] = {
    "bgr": PICTURE,
    "rgb": PICTURE,
    "bgra": PICTURE,
    "rgba": PICTURE,
    "nv12": np.asarray(cv2.cvtColor(NV12, cv2.COLOR_YUV2BGR_NV12), np.uint8),
    "yuyv": np.asarray(cv2.cvtColor(YUYV.reshape(HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_YUYV), np.uint8),
}


@pytest.mark.parametrize("order", ROWS)
@pytest.mark.parametrize("padding", [0, 1, 6, 61])
def test_every_order_has_the_pixels_of_opencv_with_and_without_a_stride(order: Order, padding: int) -> None:
    rows = ROWS[order]
    stride = rows.shape[1] + padding if padding else 0
    found = from_raw(padded(rows, padding), width=WIDTH, height=HEIGHT, order=order, max_pixels=ENOUGH, stride=stride)
    assert np.array_equal(found, EXPECTED[order])


@pytest.mark.parametrize("order", ["nv12", "yuyv"])
def test_colours_are_those_of_limited_range_bt_601(order: Order) -> None:
    """White is 235 and black 16; in the full range of JPEG these would be light and dark grey."""
    for luma, shown in ((235, 255), (16, 0)):
        data = {"nv12": bytes([luma] * 4 + [128] * 2), "yuyv": bytes([luma, 128] * 4)}[order]
        assert np.all(from_raw(data, width=2, height=2, order=order, max_pixels=ENOUGH) == shown)
    red = {"nv12": bytes([81] * 4 + [90, 240]), "yuyv": bytes([81, 90, 81, 240] * 2)}[order]
    found = from_raw(red, width=2, height=2, order=order, max_pixels=ENOUGH).reshape(-1, 3).astype(int)
    assert np.abs(found - (0, 0, 255)).max() <= 2


@pytest.mark.parametrize("padding", [0, 8])
def test_the_planes_of_i420_have_half_the_stride(padding: int) -> None:
    colours = np.concatenate([U, V])
    data = padded(LUMA, padding) + padded(colours, padding // 2)
    found = from_raw(
        data, width=WIDTH, height=HEIGHT, order="i420", max_pixels=ENOUGH, stride=WIDTH + padding if padding else 0
    )
    assert np.array_equal(found, cv2.cvtColor(I420, cv2.COLOR_YUV2BGR_I420))


REFUSED: dict[str, tuple[Order, int, int, int, int, str]] = {
    "a stride smaller than a row": ("bgra", 10, 10, 39, 390, "does not fit a stride of 39"),
    "an odd stride of i420": ("i420", 10, 10, 11, 165, "does not fit a stride of 11"),
    "a width of nv12 that is odd": ("nv12", 11, 10, 0, 165, "even sides"),
    "a height of nv12 that is odd": ("nv12", 10, 11, 0, 165, "even sides"),
    "a height of i420 that is odd": ("i420", 10, 11, 0, 165, "even sides"),
    "a width of yuyv that is odd": ("yuyv", 11, 10, 0, 220, "even sides"),
    "too few bytes": ("nv12", 10, 10, 0, 149, "need 150 bytes, got 149"),
    "a plane too few": ("i420", 10, 10, 0, 100, "need 150 bytes, got 100"),
    "a row without its padding": ("rgba", 10, 10, 48, 472, "with a stride of 48 need 480 bytes, got 472"),
    "a stride of four gigabytes": ("bgr", 10, 10, 2**32 - 1, 300, "got 300"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_buffer_that_does_not_fit_is_refused(name: str) -> None:
    order, width, height, stride, length, reason = REFUSED[name]
    with pytest.raises(InvalidPicture, match=reason):
        from_raw(bytes(length), width=width, height=height, order=order, max_pixels=ENOUGH, stride=stride)


def test_too_many_pixels_are_refused_before_the_bytes_are_counted() -> None:
    with pytest.raises(PictureTooLarge):
        from_raw(b"", width=2**32 - 2, height=2**32 - 2, order="nv12", max_pixels=ENOUGH)
