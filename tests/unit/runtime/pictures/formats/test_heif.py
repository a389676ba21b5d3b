"""The walk over the items of HEIF and AVIF."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.containers.boxes import MAX_BOXES, box, full_box
from facet.runtime.pictures.containers.heif_items import MAX_EXTENTS
from facet.runtime.pictures.decoding import walk
from tests.unit.runtime.pictures.formats.samples import (
    ENCODED_TILES,
    KINDS,
    TILE,
    TILE_SIDE,
    heif_file,
    heif_grid,
    heif_item,
    heif_size,
    u16,
    u32,
)
from tests.unit.runtime.pictures.samples import ENOUGH, encode, pixels


def near(decoded: NDArray[Any], expected: NDArray[Any]) -> bool:
    return decoded.shape == expected.shape and bool(np.abs(decoded.astype(int) - expected).mean() < 6)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_are_put_together_and_those_that_reach_beyond_are_cut(kind: str) -> None:
    data = heif_file([*[heif_item(kind)] * 4, heif_grid(2, 2, 100, 90)], [2, 1, 4, 3])
    expected = np.tile(TILE, (2, 2, 1))[:90, :100]
    assert read_header(data, max_pixels=ENOUGH).format == kind
    assert near(decode(data, max_pixels=ENOUGH), expected)


TURNED: dict[str, tuple[tuple[bytes, ...], Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "a quarter turn against the clock": ((box(b"irot", b"\1"),), lambda shown: np.rot90(shown, 1)),
    "half a turn": ((box(b"irot", b"\2"),), lambda shown: np.rot90(shown, 2)),
    "a quarter turn with the clock": ((box(b"irot", b"\3"),), lambda shown: np.rot90(shown, 3)),
    "upside down": ((box(b"imir", b"\0"),), lambda shown: shown[::-1]),
    "left and right": ((box(b"imir", b"\1"),), lambda shown: shown[:, ::-1]),
    "a turn, then mirrored": ((box(b"irot", b"\1"), box(b"imir", b"\1")), lambda shown: np.rot90(shown)[:, ::-1]),
    "mirrored, then a turn": ((box(b"imir", b"\0"), box(b"irot", b"\3")), lambda shown: np.rot90(shown[::-1], 3)),
    "cropped": ((box(b"clap", u32(40, 1, 30, 1, -4, 1, 6, 2)),), lambda shown: shown[20:50, 8:48]),
    "cropped, then a turn": (
        (box(b"clap", u32(40, 1, 30, 1, -4, 1, 6, 2)), box(b"irot", b"\1")),
        lambda shown: np.rot90(shown[20:50, 8:48]),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TURNED)
def test_the_container_turns_mirrors_and_crops(kind: str, name: str) -> None:
    properties, turned = TURNED[name]
    data = heif_file([heif_item(kind, *properties)], [])
    assert near(decode(data, max_pixels=ENOUGH), turned(TILE))


@pytest.mark.parametrize("name", [name for name in TURNED if "cropped" not in name])
def test_turns_are_those_of_libheif(name: str) -> None:
    data = heif_file([heif_item("HEIF", *TURNED[name][0])], [], brand=b"heic")
    expected = np.asarray(pillow_heif.open_heif(data).to_pillow().convert("RGB"))[..., ::-1]
    assert near(decode(data, max_pixels=ENOUGH), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_turn_of_the_container_counts_and_the_orientation_of_exif_does_not(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    metadata: tuple[bytes, bytes, list[bytes]] = (b"Exif", bytes(4) + exif.tobytes(), [])
    assert near(decode(heif_file([metadata, heif_item(kind)], []), max_pixels=ENOUGH), TILE)
    turned = heif_file([metadata, heif_item(kind, box(b"irot", b"\1"))], [])
    assert near(decode(turned, max_pixels=ENOUGH), np.rot90(TILE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_grey_and_alpha_become_bgr(kind: str, mode: str) -> None:
    image = Image.fromarray(TILE[..., ::-1].copy())
    expected = np.asarray(image.convert("L").convert("RGB")) if mode != "RGBA" else TILE
    image = image.convert("L").convert(mode) if mode == "LA" else image.convert(mode)
    if mode != "L":
        image.putalpha(60)
    assert near(decode(encode(kind, image, quality=95), max_pixels=ENOUGH), expected)


@pytest.mark.parametrize("bits", [10, 12])
def test_samples_of_10_and_12_bits_become_8_bits(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = TILE.astype(np.uint16) * 257
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 95]
    avif = cv2.imencode(".avif", deep >> 16 - bits, options)[1].tobytes()
    assert near(decode(avif, max_pixels=ENOUGH), TILE)
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    for mode, samples in (("BGR;16", deep), ("L;16", deep[..., 1])):
        heif = io.BytesIO()
        pillow_heif.encode(mode, (TILE_SIDE, TILE_SIDE), np.ascontiguousarray(samples).tobytes(), heif, quality=95)
        expected = TILE if samples.ndim == 3 else np.repeat(TILE[..., 1:2], 3, 2)
        assert near(decode(heif.getvalue(), max_pixels=ENOUGH), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_picture_of_several_is_taken_and_the_decoder_gets_nothing_else(kind: str) -> None:
    image = Image.fromarray(TILE[..., ::-1].copy())
    data = encode(
        kind, image, save_all=True, append_images=[Image.new("RGB", (64, 64))] * 20, quality=95, xmp=bytes(9000)
    )
    assert near(decode(data, max_pixels=ENOUGH), TILE)
    assert sum(map(len, walk(data, max_pixels=ENOUGH).parts)) < len(data) - 9000
    film = box(b"mpvd", b"\0\0\0\x18ftypmp42" + bytes(10_000))
    for behind in (film, film + b"MotionPhoto_Data\xff\xd8SEFH\x6b\0\0\0SEFT"):  # Google's phones, and Samsung's
        assert near(decode(data + behind, max_pixels=ENOUGH), TILE)


ITEM = heif_item("HEIF")
EMPTY = (b"hvc1", b"", ITEM[2])
DAMAGED = {
    "40,000 tiles": (heif_file([ITEM, heif_grid(200, 200, 12_800, 12_800)], [1] * 40_000), "40000 tiles"),
    "more boxes than allowed": (box(b"ftyp", b"heic", bytes(4)) + box(b"free") * (MAX_BOXES + 1), "boxes"),
    "a grid of too few tiles": (heif_file([ITEM, heif_grid(2, 2, 100, 90)], [1, 1, 1]), "does not fit its tiles"),
    "a grid larger than its tiles": (heif_file([ITEM, heif_grid(2, 2, 200, 90)], [1] * 4), "does not fit its tiles"),
    "a grid of tiles that are not needed": (
        heif_file([ITEM, heif_grid(2, 2, 60, 90)], [1] * 4),
        "does not fit its tiles",
    ),
    "a grid that contains itself": (heif_file([ITEM, heif_grid(1, 1, 64, 64)], [2]), "coding"),
    "a grid without a description": (heif_file([ITEM, (b"grid", b"", [heif_size(64, 64)])], [1]), "ends behind"),
    "another coding": (heif_file([(b"jpeg", b"x", [heif_size(64, 64)])], []), "coding"),
    "no configuration": (heif_file([(b"hvc1", ITEM[1], [heif_size(64, 64)])], []), "nothing about its coding"),
    "no size": (heif_file([(b"hvc1", ITEM[1], [])], []), "without a size"),
    "no pixels": (heif_file([(b"hvc1", ITEM[1], [heif_size(0, 64)])], []), "no pixels"),
    "no bytes": (heif_file([EMPTY], []), "damaged"),
    "a crop beyond the picture": (
        heif_file([heif_item("HEIF", box(b"clap", u32(65, 1, 64, 1, 0, 1, 0, 1)))], []),
        "does not fit",
    ),
    "a crop by zero": (heif_file([heif_item("HEIF", box(b"clap", u32(60, 0, 60, 1, 0, 1, 0, 1)))], []), "damaged"),
    "a sequence alone": (box(b"ftyp", b"msf1", bytes(4), b"hevc") + box(b"moov", bytes(50)), "no still picture"),
    "a picture of another size than declared": (
        heif_file([heif_item("HEIF", first=(heif_size(640, 480),))], []),
        "size of the HEIF differs|damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_or_unsupported_picture_is_refused(name: str) -> None:
    data, reason = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=reason):
        decode(data, max_pixels=10**9)


def test_pieces_are_counted() -> None:
    extents = full_box(b"iloc", b"\x44\0", u16(1), u16(1, 0, MAX_EXTENTS), bytes(8 * MAX_EXTENTS))
    others = full_box(b"pitm", u16(1)) + full_box(b"iinf", u16(0))
    with pytest.raises(InvalidPicture, match="pieces"):
        read_header(box(b"ftyp", b"heic", bytes(4)) + full_box(b"meta", others, extents), max_pixels=ENOUGH)


def test_pictures_that_share_their_bytes_are_not_multiplied() -> None:
    items = [heif_item("HEIF")] * 9
    data = heif_file([*items, heif_grid(3, 3, 192, 192)], list(range(1, 10)))
    start, length = data.index(items[0][1]), len(items[0][1])
    cut = data[: start + length]
    iloc = cut.index(b"iloc") + 4 + 4 + 2 + 4
    for number in range(9):
        at = iloc + number * 18 + 10
        cut = cut[:at] + u32(start, length) + cut[at + 8 :]
    with pytest.raises(InvalidPicture, match=r"overlap|ends behind"):
        read_header(cut, max_pixels=ENOUGH)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_65535_squared_is_refused_before_it_is_decoded(kind: str) -> None:
    data = heif_file([heif_item(kind, first=(heif_size(65535, 65535),))], [])
    with pytest.raises(PictureTooLarge, match="65535x65535"):
        read_header(data, max_pixels=50_000_000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_cut_anywhere_is_refused(kind: str) -> None:
    data = ENCODED_TILES[kind]
    for end in range(12, len(data) - 1, max(1, len(data) // 60)):
        with pytest.raises(InvalidPicture):
            decode(data[:end], max_pixels=ENOUGH)


@pytest.mark.parametrize(
    ("flags", "most"), [(0x1C, 50.0), (0x0C, 50.0), (0x08, 49.2), (0x00, 43.0), (0x4C, 43.0), (0x40, 31.3)]
)
def test_an_avif_that_needs_too_much_memory_is_refused_before_it_is_decoded(flags: int, most: float) -> None:
    """Depth and subsampling, as the container declares them, decide how many megapixels fit into the memory."""

    def claimed(megapixels: float) -> bytes:
        kind, encoded, properties = heif_item("AVIF", first=(heif_size(10_000, round(megapixels * 100)),))
        changed = [each[:10] + bytes((flags,)) + each[11:] if each[4:8] == b"av1C" else each for each in properties]
        return heif_file([(kind, encoded, changed)], [])

    assert read_header(claimed(most), max_pixels=50_000_000).width == 10_000
    if most < 50:
        with pytest.raises(PictureTooLarge, match="needs too much memory"):
            read_header(claimed(most + 0.1), max_pixels=50_000_000)


@pytest.mark.parametrize("frames", [1, 3])
def test_an_avif_whose_frame_is_larger_than_declared_is_refused_before_it_is_decoded(frames: int) -> None:
    image = Image.fromarray(TILE)
    encoded = encode("AVIF", image, save_all=True, append_images=[image] * (frames - 1))
    assert read_header(encoded, max_pixels=ENOUGH).width == TILE_SIDE
    for declared in ((TILE_SIDE - 1, TILE_SIDE), (TILE_SIDE, TILE_SIDE // 2)):
        data = heif_file([heif_item("AVIF", first=(heif_size(*declared),), encoded=encoded)], [])
        with pytest.raises(InvalidPicture, match="larger than it says"):
            read_header(data, max_pixels=ENOUGH)


LARGER = b"\x0a\x09" + bytes.fromhex("18157ffda2021a0d08")
"""The header of frames of 64x64."""
HIDDEN = {
    "a second header in front": (LARGER, b"", "larger than it says"),
    "a second header behind the frame": (b"", LARGER, "larger than it says"),
    "units in front of it": (b"\x7a\x00" * 256, b"", "units"),
    "a unit behind the end": (b"\x7a\xff\xff\xff\x7f", b"", "no header of its frames"),
    "a length that does not end": (b"\x7a" + b"\xff" * 9, b"", "no header of its frames"),
    "an empty header": (b"\x0a\x00", b"", "no header of its frames"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_an_avif_does_not_hide_how_large_its_frame_is(name: str) -> None:
    before, behind, reason = HIDDEN[name]
    kind, encoded, properties = heif_item("AVIF", encoded=encode("AVIF", pixels(32, 32)))
    with pytest.raises(InvalidPicture, match=reason):
        read_header(heif_file([(kind, before + encoded + behind, properties)], []), max_pixels=ENOUGH)


def test_a_long_description_of_a_grid_is_refused() -> None:
    kind, description, properties = heif_grid(1, 1, TILE_SIDE, TILE_SIDE)
    data = heif_file([heif_item("HEIF"), (kind, description + bytes(100), properties)], [1])
    with pytest.raises(InvalidPicture, match="grid"):
        read_header(data, max_pixels=ENOUGH)


def test_properties_that_are_named_many_times_are_kept_once() -> None:
    kind, encoded, properties = heif_item("HEIF")
    once = walk(heif_file([(kind, encoded, properties)], []), max_pixels=ENOUGH)
    often = walk(heif_file([(kind, encoded, properties * 50)], []), max_pixels=ENOUGH)
    assert once.parts == often.parts


def test_what_the_decoder_decodes_counts_and_not_what_is_shown_of_it() -> None:
    layout = walk(heif_file([heif_item("HEIF", *TURNED["cropped"][0])], []), max_pixels=ENOUGH)
    assert layout.coded_pixels == TILE_SIDE * TILE_SIDE > layout.width * layout.height
