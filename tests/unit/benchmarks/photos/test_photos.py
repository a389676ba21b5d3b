"""The benchmark of large photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facet.benchmarks.photos.photos import Photo
from facet.benchmarks.photos.pictures import crowd, photo
from facet.runtime.pictures import read_header

if TYPE_CHECKING:
    from tests.conftest import Pictures


def test_a_photo_has_its_size_and_the_ratios_are_those_of_the_medians(pictures: Pictures) -> None:
    header = read_header(photo(pictures.yaoming, 700, 500), max_pixels=350_000)
    assert (header.format, header.width, header.height) == ("JPEG", 700, 500)
    document = Photo("12mp", 100, 50.0, 125.0, 100.0, 0.998).document()
    assert document["photo_12mp_speedup"] == 2.5
    assert document["photo_12mp_speedup_over_faceanalysis"] == 2.0


def test_a_crowd_has_its_size_in_landscape_and_portrait(pictures: Pictures) -> None:
    for width, height in ((4000, 300), (300, 6000)):
        header = read_header(crowd(pictures.yaoming, width, height), max_pixels=width * height)
        assert (header.width, header.height) == (width, height)
