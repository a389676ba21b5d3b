"""Decodes AVIF. Its container is that of HEIF, which :mod:`facet.runtime.pictures.formats.heif` walks over."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin

from facet.runtime.pictures.formats.heif import cropped, matches, walk
from facet.runtime.pictures.header import Layout, PictureHeader
from facet.runtime.pictures.pillow import bgr

__all__ = ["decode", "matches", "walk"]

AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    try:
        with AvifImagePlugin.AvifImageFile(io.BytesIO(b"".join(layout.parts))) as image:
            image.load()
            whole = Layout(PictureHeader("AVIF", *image.size, 1), ())
            return cropped(bgr(image, whole), layout)
    except (OSError, SyntaxError, ValueError, RuntimeError, EOFError):
        return None
