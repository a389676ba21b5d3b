"""Which decoders a picture goes to."""

from __future__ import annotations

import numpy as np

from facet.runtime.decoders.limits import LARGE_PIXELS
from facet.runtime.picture_size import claimed_pixels
from facet.server.config import ServerConfig
from facet.server.decoders import PictureDecoders
from recognizer.progress import finish
from tests.unit.runtime.pictures.samples import behind_soi, encode, segment

WIDTH, HEIGHT = 2500, 2000
COMMENT = 0xFE


def test_a_large_picture_that_claims_to_be_small_keeps_no_worker() -> None:
    # So many comments hide the size from a quick look.
    jpeg = encode("JPEG", np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    hidden = behind_soi(jpeg, segment(COMMENT, b"a") * 70)
    assert claimed_pixels(hidden) < LARGE_PIXELS < WIDTH * HEIGHT
    decoders = PictureDecoders(ServerConfig(workers=1))
    try:
        large = decoders._large
        with large._changed:
            decoder = large._idle.pop()  # the only one is in use
        turns = decoders.decode(hidden, max_pixels=WIDTH * HEIGHT)
        for _ in range(3):
            next(turns)
        large._keep(decoder, last=False)
        assert finish(turns).shape == (HEIGHT, WIDTH, 3)
    finally:
        decoders.close()
