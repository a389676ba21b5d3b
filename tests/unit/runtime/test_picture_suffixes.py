"""How files of pictures end."""

from __future__ import annotations

import pillow_heif
import pytest
from PIL import Image

from facet.runtime.picture_suffixes import PICTURE_SUFFIXES
from facet.runtime.pictures.decoding import KNOWN_FORMATS

pillow_heif.register_heif_opener()
KIND_OF = Image.registered_extensions() | {".jxl": "JXL"}
VARIANTS = {"MPO": "JPEG", "DIB": "BMP"}


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_suffix_is_of_a_format_that_the_server_knows(suffix: str) -> None:
    kind = KIND_OF[suffix]
    assert VARIANTS.get(kind, kind) in KNOWN_FORMATS


def test_every_format_has_a_suffix() -> None:
    assert {VARIANTS.get(KIND_OF[suffix], KIND_OF[suffix]) for suffix in PICTURE_SUFFIXES} == set(KNOWN_FORMATS)
