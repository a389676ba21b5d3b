"""OpenCV's decoders."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.header import Layout

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def imdecode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode what the walk kept of a picture to BGR; ``None`` if the data is damaged."""
    data = layout.parts[0] if len(layout.parts) == 1 else b"".join(layout.parts)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        raise InvalidPicture(f"the {layout.header.format} cannot be decoded") from error
    return None if picture is None else np.asarray(picture, np.uint8)
