"""Decodes AVIF. Its container is that of HEIF, which :mod:`facet.runtime.pictures.formats.heif` walks over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.formats.heif import cropped, matches, walk
from facet.runtime.pictures.header import Layout
from facet.runtime.pictures.opencv import imdecode

__all__ = ["decode", "matches", "walk"]


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    pixels = imdecode(layout)
    return None if pixels is None else cropped(pixels, layout)
