"""Pictures in other colour spaces, whose profiles are not applied, give the faces of their sRGB twins."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet import LARGEST, Client, picture
from tests.conftest import Pictures
from tests.unit.runtime.pictures.samples import encode

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""From XYZ to responses of the eye, in which white points are adapted (ICC.1, annex E)."""


@dataclass(frozen=True, slots=True)
class Space:
    """A space of colours: the chromaticities of red, green, blue and white, and the exponent of its samples."""

    primaries: tuple[tuple[float, float], ...]
    white: tuple[float, float]
    gamma: float

    def to_xyz(self) -> NDArray[np.float64]:
        """The matrix from linear samples to XYZ, relative to D50."""
        red_green_blue = np.array([xyz(each) for each in self.primaries]).T
        matrix = red_green_blue * np.linalg.solve(red_green_blue, xyz(self.white))
        adapted = (BRADFORD @ xyz(D50)) / (BRADFORD @ xyz(self.white))
        return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(adapted) @ BRADFORD @ matrix)


def xyz(chromaticity: tuple[float, float]) -> NDArray[np.float64]:
    x, y = chromaticity
    return np.array([x / y, 1, (1 - x - y) / y])


SRGB = Space(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), D65, 2.2)
SPACES = {
    "Display P3": Space(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65, 2.2),
    "Adobe RGB": Space(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, 563 / 256),
    "ProPhoto RGB": Space(((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), D50, 1.8),
}


def in_space(image: Image.Image, space: Space) -> Image.Image:
    """The samples that the picture has in another space."""
    linear = (np.asarray(image) / 255) ** SRGB.gamma
    matrix = np.linalg.inv(space.to_xyz()) @ SRGB.to_xyz()
    samples = np.clip(linear @ matrix.T, 0, 1) ** (1 / space.gamma)
    return Image.fromarray(np.rint(255 * samples).astype(np.uint8))


@pytest.mark.parametrize("name", SPACES)
def test_a_face_without_its_profile_is_that_of_its_srgb_twin(client: Client, pictures: Pictures, name: str) -> None:
    for data in (pictures.yaoming, pictures.players):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        untagged = picture(encode("PNG", in_space(image, SPACES[name])))
        compared = client.verify(untagged, data, reference_face=LARGEST, probe_face=LARGEST)
        assert compared.similarity >= 0.9


def test_a_profile_that_swaps_channels_or_is_grey_changes_no_decision(client: Client, pictures: Pictures) -> None:
    """No camera writes such a profile; files that test viewers have one."""
    image = Image.open(io.BytesIO(pictures.yaoming)).convert("RGB")
    red, green, blue = image.split()
    for stored in (Image.merge("RGB", (green, blue, red)), image.convert("L")):
        assert client.verify(picture(encode("PNG", stored)), pictures.yaoming).similarity >= 0.7
