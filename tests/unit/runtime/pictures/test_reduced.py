"""JPEGs decoded at a reduced size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, Placement, decode, decode_reduced
from facet.runtime.pictures.formats.jpeg import MAX_REDUCTION
from tests.unit.runtime.pictures.samples import ENOUGH, encode, pixels

WIDTH, HEIGHT = 203, 150
ORIENTATION = 0x0112


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode("JPEG", pixels(WIDTH, HEIGHT), quality=95, exif=exif)


def resampled(full: NDArray[np.uint8], place: Placement) -> NDArray[np.float32]:
    """The decoded pixels that the full picture and the placement lead to expect."""
    columns = -(-(place.width - place.left) // place.scale)
    rows = -(-(place.height - place.top) // place.scale)
    x, y = np.meshgrid(np.arange(columns, dtype=np.float64), np.arange(rows, dtype=np.float64))
    x, y = ((each + 0.5) * place.scale - 0.5 + origin for each, origin in ((x, place.left), (y, place.top)))
    smooth = cv2.blur(full, (place.scale, place.scale), borderType=cv2.BORDER_REPLICATE)
    shift = (0.5 - place.scale / 2) % 1  # OpenCV puts the middle of an even kernel on a pixel
    mapped = cv2.remap(
        smooth,
        (x + shift).astype(np.float32),
        (y + shift).astype(np.float32),
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REPLICATE,
    )
    return np.asarray(mapped, np.float32)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_lie_where_the_placement_says_whatever_the_orientation(orientation: int, scale: int) -> None:
    data = oriented(orientation)
    found = decode_reduced(data, max_pixels=ENOUGH, longer_side=WIDTH // scale)
    full = decode(data, max_pixels=ENOUGH)
    assert found.placement.scale == scale
    assert found.shape == full.shape
    expected = resampled(full, found.placement)
    assert found.pixels.shape == expected.shape
    # A wrong offset or direction differs by far more: the picture's colours change within a few pixels.
    assert np.abs(expected - found.pixels)[1:-1, 1:-1].mean() < 3


@pytest.mark.parametrize(
    ("size", "side", "scale"),
    [
        ((203, 150), 203, 1),
        ((203, 150), 102, 2),
        ((203, 150), 103, 1),
        ((203, 150), 1, 8),
        ((1, 500), 100, 4),
        ((500, 1), 63, 8),
        ((1, 1), 1, 8),
    ],
)
def test_the_longer_side_keeps_the_pixels_that_are_asked_for(size: tuple[int, int], side: int, scale: int) -> None:
    found = decode_reduced(encode("JPEG", pixels(*size)), max_pixels=ENOUGH, longer_side=side)
    assert found.placement == Placement(*size, scale)
    assert found.pixels.shape == (-(-size[1] // scale), -(-size[0] // scale), 3)


@pytest.mark.parametrize("kind", ["grey", "cmyk", "progressive"])
def test_every_kind_of_jpeg_can_be_reduced(kind: str) -> None:
    image = Image.fromarray(pixels(WIDTH, HEIGHT)[..., ::-1].copy())
    image = image.convert({"grey": "L", "cmyk": "CMYK"}.get(kind, "RGB"))
    data = encode("JPEG", image, quality=95, progressive=kind == "progressive")
    found = decode_reduced(data, max_pixels=ENOUGH, longer_side=100)
    smaller = cv2.resize(decode(data, max_pixels=ENOUGH), (102, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(smaller.astype(int) - found.pixels).mean() < 5


def test_other_formats_keep_their_size() -> None:
    assert decode_reduced(encode("PNG"), max_pixels=ENOUGH, longer_side=1).placement == Placement(64, 48)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_at_every_scale(progressive: bool) -> None:
    data = encode("JPEG", pixels(WIDTH, HEIGHT), progressive=progressive)
    for end in (len(data) // 4, len(data) // 2, len(data) - 20, len(data) - 2):
        for side in (203, 100, 50, 10):
            with pytest.raises(InvalidPicture):
                decode_reduced(data[:end], max_pixels=ENOUGH, longer_side=side)


@pytest.mark.parametrize(("width", "height"), [(WIDTH, 2 * HEIGHT), (WIDTH, HEIGHT // 2)])
def test_the_header_says_the_size_at_every_scale_whatever_data_there_is(width: int, height: int) -> None:
    data = encode("JPEG", pixels(WIDTH, HEIGHT), quality=95)
    size = data.index(b"\xff\xc0") + 5
    claimed = data[:size] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[size + 4 :]
    for scale in (1, 2, 4, 8):
        found = decode_reduced(claimed, max_pixels=ENOUGH, longer_side=max(width, height) // scale)
        honest = decode_reduced(data, max_pixels=ENOUGH, longer_side=WIDTH // scale)
        assert found.placement == Placement(width, height, scale)
        assert found.pixels.shape == (-(-height // scale), -(-width // scale), 3)
        there = min(height, HEIGHT) // 16 * 16 // scale  # whole rows of blocks
        assert np.array_equal(found.pixels[: there - 1], honest.pixels[: there - 1])


def test_more_pixels_than_permitted_are_taken_if_they_need_not_be_in_memory() -> None:
    permitted = WIDTH * HEIGHT // MAX_REDUCTION + 1
    data = encode("JPEG", pixels(WIDTH, HEIGHT))
    found = decode_reduced(data, max_pixels=permitted, longer_side=WIDTH)
    assert found.placement == Placement(WIDTH, HEIGHT, 4)  # a half, rounded up, is more than permitted
    with pytest.raises(PictureTooLarge):
        decode(data, max_pixels=permitted)
    with pytest.raises(PictureTooLarge):
        decode_reduced(data, max_pixels=permitted - 2, longer_side=1)
    with pytest.raises(PictureTooLarge):
        decode_reduced(encode("PNG", pixels(WIDTH, HEIGHT)), max_pixels=permitted, longer_side=1)
