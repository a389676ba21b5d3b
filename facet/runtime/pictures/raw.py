"""Raw rows of pixels."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.header import check_size

Order = Literal["bgr", "rgb", "grey", "bgra", "rgba", "nv12", "i420", "yuyv"]
"""How the samples of 8 bits lie. ``nv12`` and ``i420`` have a plane of brightness above their colours, ``yuyv`` has
the colours of two pixels between them. All three are limited-range BT.601, as cameras send them."""
ORDERS: tuple[Order, ...] = get_args(Order)

_PIXEL_BYTES: dict[str, int] = {"bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4, "yuyv": 2}
_PLANAR = ("nv12", "i420")
_CODES = {
    "grey": cv2.COLOR_GRAY2BGR,
    "rgb": cv2.COLOR_RGB2BGR,
    "bgra": cv2.COLOR_BGRA2BGR,
    "rgba": cv2.COLOR_RGBA2BGR,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "i420": cv2.COLOR_YUV2BGR_I420,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
}


def from_raw(
    pixels: bytes, *, width: int, height: int, order: Order, max_pixels: int, stride: int = 0
) -> NDArray[np.uint8]:
    """Convert raw rows of 8-bit samples to BGR, shape ``(height, width, 3)``; alpha is dropped.

    Args:
        pixels: the rows; of ``nv12`` and ``i420`` the planes, one behind the other.
        width: pixels.
        height: pixels.
        order: the order of the samples.
        max_pixels: larger pictures are refused.
        stride: bytes from one row to the next, of ``nv12`` and ``i420`` in the first plane; 0: rows lie without
            padding. Rows of the second plane of ``nv12`` have the same stride, and of ``i420`` half of it.

    Raises:
        InvalidPicture: there are no pixels, a side is odd where two pixels share their colours, the stride is too small
            for a row, or the number of bytes does not match.
        PictureTooLarge: the picture has more than ``max_pixels``.
    """
    check_size(width, height, max_pixels)
    if (order in _PLANAR and (width % 2 or height % 2)) or (order == "yuyv" and width % 2):
        raise InvalidPicture(f"the picture is {width}x{height}: {order} needs even sides, because pixels share colours")
    row = width * _PIXEL_BYTES.get(order, 1)
    stride = stride or row
    if stride < row or (order == "i420" and stride % 2):
        raise InvalidPicture(
            f"a row of {width} {order} pixels has {row} bytes, which does not fit a stride of {stride}"
        )
    rows = height * 3 // 2 if order in _PLANAR else height
    if len(pixels) != rows * stride:
        padded = f" with a stride of {stride}" if stride != row else ""
        raise InvalidPicture(f"{width}x{height} {order} pixels{padded} need {rows * stride} bytes, got {len(pixels)}")
    samples: NDArray[np.uint8] = np.frombuffer(pixels, np.uint8).reshape(rows, stride)
    if order == "i420" and stride != row:
        samples = _packed_i420(samples, width, height)
    samples = samples[:, :row]
    if order in _PIXEL_BYTES:
        samples = samples.reshape(height, width, -1)
    if order == "bgr":
        return samples
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(samples), _CODES[order]), np.uint8)


def _packed_i420(samples: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The three planes without the padding of their rows; each row of colours is half as long."""
    colours = samples[height:].reshape(height, -1)[:, : width // 2]
    return np.concatenate([samples[:height, :width], colours.reshape(height // 2, width)])
