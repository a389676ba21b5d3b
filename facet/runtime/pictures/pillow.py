"""Pillow's decoders."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facet.runtime.pictures.header import Layout

_STRIP_PIXELS = 2**17
"""Pixels converted at a time, so that the picture exists once as decoded and once as BGR."""

_DARK = 16
"""16-bit samples that use 12 bits are below this in their upper 8."""


def bgr(image: Image.Image, layout: Layout) -> NDArray[np.uint8]:
    """The pixels of a loaded image as BGR, at their place in the picture, which is black elsewhere."""
    picture = np.zeros((layout.header.height, layout.header.width, 3), np.uint8)
    x, y = layout.offset
    width, height = image.size
    if image.mode.startswith("I"):
        picture[y : y + height, x : x + width] = eight_bits(np.asarray(image))[..., None]
        return picture
    strip = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, strip):
        bottom = min(height, top + strip)
        rows = image.crop((0, top, width, bottom))
        colours = np.asarray(rows if rows.mode == "RGB" else rows.convert("RGB"))
        picture[y + top : y + bottom, x : x + width] = cv2.cvtColor(colours, cv2.COLOR_RGB2BGR)
    return picture


def eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """The upper 8 bits of 16-bit samples, of those bits that the picture uses: 8, 10, 12 or 16.

    Cameras and scanners store samples of 10 or 12 bits as they are in 16. Taken for 16 bits they are almost black: the
    brightest is a sixteenth of white at the most.
    """
    largest = int(samples.max())
    used = next((bits for bits in (8, 10, 12) if largest < 1 << bits), 16)
    upper = np.empty(samples.shape, np.uint8)
    np.right_shift(samples, used - 8, out=upper, casting="unsafe")
    return upper


def is_too_dark(picture: NDArray[np.uint8]) -> bool:
    """Whether the upper 8 bits of 16-bit samples look as if the picture used fewer bits; see :func:`eight_bits`."""
    return int(picture.max()) < _DARK
