"""Walks over the items of a HEIF, and of the AVIF that has the same container (ISO/IEC 23008-12)."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.containers.av1_header import frame_size
from facet.runtime.pictures.containers.boxes import Box, Reader, box, full_box
from facet.runtime.pictures.containers.heif_items import Items
from facet.runtime.pictures.errors import InvalidPicture, PictureTooLarge
from facet.runtime.pictures.header import Layout, PictureHeader, check_size

MAX_TILES = 4096
"""Of a grid. Phones write tiles of 512x512: 200 megapixels are 768 of them."""

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"avif", b"avis"}
_CODINGS = {b"hvc1": ("HEIF", b"hvcC"), b"av01": ("AVIF", b"av1C")}
"""The format that decodes each coding, and the property that configures the decoder."""
_PIXEL_BYTES = {"L": 1, "I;16": 2, "BGR": 3, "BGRA": 4}
"""Bytes of a pixel in each mode of the decoder. Of 16-bit samples the upper byte is the last."""
_MAX_PROPERTY_BYTES = 2**16
_MAX_GRID_BYTES = 64
"""Of the description of a grid, which has 8 or 12."""
_AVIF_PIXEL_BYTES, _AVIF_PLANE_FACTOR = 7.5, 1.5
"""Measured: of an AVIF that is decoded, and how often its planes are in memory beside that."""
_HIGH_BIT_DEPTH, _MONOCHROME, _HALF_WIDTH, _HALF_HEIGHT = 0x40, 0x10, 0x08, 0x04
"""Bits of the third byte of av1C (AV1 Codec ISO Media File Format Binding, section 2.3)."""
_OTHER_BYTES = 2**26
_KEPT = {b"ispe", b"pixi"}
_PADDING = box(b"free", bytes(512))
"""OpenCV looks at the first 500 bytes, and takes a file for no AVIF if they describe a grid whose tiles
lie behind them. With this they end within the description."""
_TRANSFORMS = {(False, False, False): 1, (False, False, True): 2, (False, True, True): 3, (False, True, False): 4}
_TRANSFORMS |= {(True, False, False): 5, (True, False, True): 6, (True, True, True): 7, (True, True, False): 8}
"""The orientation that is undone by a transposition, then a flip of rows, then a flip of columns."""


@dataclass(frozen=True, slots=True)
class _Item:
    """An item that is written anew: its type, its bytes, its properties."""

    kind: bytes
    pieces: list[bytes | memoryview]
    properties: list[bytes]


def matches(data: bytes) -> bool:
    """Whether the data begins like a HEIF or AVIF: an ISO base media file with a brand of pictures."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), 256)
    return data[8:12] in _BRANDS or any(data[at : at + 4] in _BRANDS for at in range(16, end, 4))


def can_decode() -> bool:
    """Whether the library that decodes HEVC is installed; it is part of every installation that nobody reduced."""
    return importlib.util.find_spec("pillow_heif") is not None


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check the primary picture of a HEIF, and keep it, or the tiles that it consists of, and nothing else.

    The container's rotation and mirror image are the orientation. That of EXIF is ignored, as the standard demands.

    Raises:
        InvalidPicture: a box is damaged, there are too many, or the picture is of an unsupported kind.
        PictureTooLarge: it has more than ``max_pixels``.
    """
    items = Items(data)
    primary = items.primary
    width, height = _size(items, primary, max_pixels)
    parts = [primary]
    grid = None
    if items.kind(primary) == b"grid":
        parts = items.parts(primary)
        grid = _grid(items, (width, height), max_pixels)
    format_, configuration = _coding(items, parts)
    if format_ == "HEIF" and not can_decode():
        raise InvalidPicture("this server takes no HEIF until pillow-heif is installed: send a JPEG")
    if format_ == "AVIF" and _avif_bytes(items, parts) * width * height > 9 * max_pixels + _OTHER_BYTES:
        raise PictureTooLarge(f"the AVIF is {width}x{height} and needs too much memory to decode: reduce its size")
    if sum(len(piece) for part in set(parts) for piece in items.pieces(part)) > len(data):
        raise InvalidPicture("the HEIF or AVIF is damaged: its pictures overlap")
    if format_ == "AVIF":
        _check_frames(items, parts, max_pixels)
    coded_pixels = width * height
    orientation, (x, y, width, height) = _transformed(items.properties(primary), width, height)
    written = [_item(items, part, configuration) for part in dict.fromkeys(parts)]
    order = {part: number for number, part in enumerate(dict.fromkeys(parts))}
    if grid is not None:
        written.append(_Item(b"grid", list(grid), _kept(items, primary, b"")))
    header = PictureHeader(format_, width, height, orientation)
    encoded = _written(format_, written, [order[part] for part in parts] if grid else [])
    return Layout(header, encoded, (-x, -y), coded_pixels=coded_pixels)


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    heif = importlib.import_module("pillow_heif")  # 26 MB of address space: only for those who need it
    heif.options.DECODE_THREADS = 1
    try:
        image = heif.open_heif(b"".join(layout.parts), bgr_mode=True, remove_stride=False)
        (width, height), encoded, stride = image.size, image.data, image.stride
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError, IndexError):
        return None
    size = _PIXEL_BYTES.get(image.mode)
    if size is None or height * stride > len(encoded):
        return None
    pixels = np.ndarray((height, width, size), np.uint8, encoded, strides=(stride, size, 1))
    return cropped(pixels[..., :3] if size > 2 else np.broadcast_to(pixels[..., -1:], (height, width, 3)), layout)


def cropped(pixels: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """The part of a decoded picture that its container shows."""
    x, y = -layout.offset[0], -layout.offset[1]
    return pixels[y : y + layout.header.height, x : x + layout.header.width]


def _size(items: Items, item: int, max_pixels: int) -> tuple[int, int]:
    """The size that an item declares."""
    for each in items.properties(item):
        if each.kind == b"ispe":
            reader = Reader(each.body)
            reader.full_box()
            width, height = reader.number(4), reader.number(4)
            check_size(width, height, max_pixels)
            return width, height
    raise InvalidPicture("the HEIF or AVIF has a picture without a size")


def _grid(items: Items, size: tuple[int, int], max_pixels: int) -> list[memoryview]:
    """The description of the primary picture's grid, checked against its tiles."""
    pieces = items.pieces(items.primary)
    if sum(map(len, pieces)) > _MAX_GRID_BYTES:
        raise InvalidPicture("the grid of the HEIF or AVIF is damaged")
    reader = Reader(memoryview(b"".join(pieces)))
    _, flags = reader.number(1), reader.number(1)
    rows, columns = reader.number(1) + 1, reader.number(1) + 1
    width, height = (reader.number(4 if flags & 1 else 2) for _ in range(2))
    tiles = items.parts(items.primary)
    if rows * columns > MAX_TILES:
        raise InvalidPicture(f"the HEIF or AVIF has {rows * columns} tiles, and up to {MAX_TILES} are supported")
    sizes = {_size(items, tile, max_pixels) for tile in set(tiles)}
    if len(tiles) != rows * columns or len(sizes) != 1 or (width, height) != size:
        raise InvalidPicture("the grid of the HEIF or AVIF does not fit its tiles")
    (across, down), *_ = sizes
    if not ((columns - 1) * across < width <= columns * across and (rows - 1) * down < height <= rows * down):
        raise InvalidPicture("the grid of the HEIF or AVIF does not fit its tiles")
    return pieces


def _coding(items: Items, parts: list[int]) -> tuple[str, bytes]:
    kinds = {items.kind(part) for part in parts}
    if len(kinds) != 1 or (kind := kinds.pop()) not in _CODINGS:
        raise InvalidPicture(
            "the HEIF or AVIF has an unsupported coding: HEVC and AV1 are supported, alone or in a grid"
        )
    return _CODINGS[kind]


def _avif_bytes(items: Items, parts: list[int]) -> float:
    """Bytes for each pixel of an AVIF while it is decoded, by the depth and the subsampling that it declares."""
    most = 0.0
    for part in set(parts):
        flags = next(
            (int(each.body[2]) for each in items.properties(part) if each.kind == b"av1C" and len(each.body) > 2), 0
        )
        shared = (2 if flags & _HALF_WIDTH else 1) * (2 if flags & _HALF_HEIGHT else 1)
        samples = 1 if flags & _MONOCHROME else 1 + 2 / shared
        most = max(most, samples * (2 if flags & _HIGH_BIT_DEPTH else 1))
    return _AVIF_PIXEL_BYTES + _AVIF_PLANE_FACTOR * most


def _check_frames(items: Items, parts: list[int], max_pixels: int) -> None:
    """Check that no frame is larger than its item says: the decoder would decode it whole, and then shrink it."""
    for part in set(parts):
        pieces = items.pieces(part)
        width, height = frame_size(pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces)))
        declared = _size(items, part, max_pixels)
        if width > declared[0] or height > declared[1]:
            raise InvalidPicture("the AVIF is damaged: a frame is larger than it says")


def _transformed(properties: list[Box], width: int, height: int) -> tuple[int, tuple[int, int, int, int]]:
    """The orientation, and the shown part (column, row, width, height), of a picture with these properties."""
    transposed = flip_rows = flip_columns = False
    shown = (0, 0, width, height)
    for each in properties:
        if each.kind == b"irot":
            for _ in range(Reader(each.body).number(1) & 3):  # quarter turns against the clock
                transposed, flip_rows, flip_columns = not transposed, not flip_columns, flip_rows
        elif each.kind == b"imir":
            if Reader(each.body).number(1) & 1:
                flip_columns = not flip_columns
            else:
                flip_rows = not flip_rows
        elif each.kind == b"clap":
            if (transposed, flip_rows, flip_columns) != (False, False, False):
                raise InvalidPicture("the HEIF or AVIF is cropped after it is turned, which is not supported")
            shown = _shown(each.body, width, height)
    return _TRANSFORMS[transposed, flip_rows, flip_columns], shown


def _shown(clap: memoryview, width: int, height: int) -> tuple[int, int, int, int]:
    """The clean aperture: column, row, width, height (ISO/IEC 14496-12, section 12.1.4)."""
    reader = Reader(clap)
    found = []
    for whole in (width, height):
        side = [(reader.number(4) ^ 2**31) - 2**31 for _ in range(2)]
        found.append((whole, side))
    sides = []
    for whole, (numerator, denominator) in found:
        shift = [(reader.number(4) ^ 2**31) - 2**31 for _ in range(2)]
        if denominator < 1 or shift[1] < 1:
            raise InvalidPicture("the crop of the HEIF or AVIF is damaged")
        length = Fraction(numerator, denominator)
        start = round(Fraction(*shift) + (whole - length) / 2)
        if not (start >= 0 and 1 <= int(length) <= whole - start):
            raise InvalidPicture("the crop of the HEIF or AVIF does not fit into its picture")
        sides.append((start, int(length)))
    (x, shown_width), (y, shown_height) = sides
    return x, y, shown_width, shown_height


def _item(items: Items, item: int, configuration: bytes) -> _Item:
    properties = _kept(items, item, configuration)
    if not any(each[4:8] == configuration for each in properties):
        raise InvalidPicture("the HEIF or AVIF has a picture that says nothing about its coding")
    return _Item(items.kind(item), list(items.pieces(item)), properties)


def _kept(items: Items, item: int, configuration: bytes) -> list[bytes]:
    """The properties that pixels need, as boxes, one of each kind. Of those that tell colours only the numbers."""
    kept: dict[bytes, bytes] = {}
    for each in items.properties(item):
        if len(each.body) <= _MAX_PROPERTY_BYTES and (
            each.kind in _KEPT
            or each.kind == configuration
            or (each.kind == b"colr" and bytes(each.body[:4]) == b"nclx")
        ):
            kept.setdefault(each.kind, items.encoded(each))
    return list(kept.values())


def _written(format_: str, items: list[_Item], tiles: list[int]) -> tuple[bytes | memoryview, ...]:
    """A file of these items, the last of which is the picture; ``tiles`` are the indices of its parts."""
    brand = b"avif" if format_ == "AVIF" else b"heic"
    ftyp = box(b"ftyp", brand, bytes(4), brand)
    known = list(dict.fromkeys(each for item in items for each in item.properties))
    number_of = {each: number for number, each in enumerate(known, 1)}
    entries, associated = [], []
    for number, item in enumerate(items, 1):
        entries.append(full_box(b"infe", number.to_bytes(2, "big"), bytes(2), item.kind, b"\0", version=2))
        numbers = [number_of[each] | (0x8000 if each[4:8] in (b"hvcC", b"av1C") else 0) for each in item.properties]
        associated.append(number.to_bytes(2, "big") + bytes((len(numbers),)))
        associated += [each.to_bytes(2, "big") for each in numbers]
    count = len(items).to_bytes(2, "big")
    hdlr = full_box(b"hdlr", bytes(4), b"pict", bytes(13))
    pitm = full_box(b"pitm", count)
    iinf = full_box(b"iinf", count, *entries)
    ipma = full_box(b"ipma", len(items).to_bytes(4, "big"), *associated, flags=1)
    others = [hdlr, pitm, iinf, box(b"iprp", box(b"ipco", *known), ipma)]
    if tiles:
        parts = [(tile + 1).to_bytes(2, "big") for tile in tiles]
        others.append(full_box(b"iref", box(b"dimg", count, len(parts).to_bytes(2, "big"), *parts)))
    lengths = [sum(map(len, item.pieces)) for item in items]
    iloc_bytes = 12 + 4 + 14 * len(items)
    start = len(ftyp) + 12 + sum(map(len, others)) + iloc_bytes + len(_PADDING) + 8
    places = []
    for number, length in enumerate(lengths, 1):
        places.append(
            number.to_bytes(2, "big") + bytes(2) + b"\0\1" + start.to_bytes(4, "big") + length.to_bytes(4, "big")
        )
        start += length
    meta = full_box(b"meta", *others, full_box(b"iloc", b"\x44\0", count, *places), _PADDING)
    mdat = (8 + sum(lengths)).to_bytes(4, "big") + b"mdat"
    return (ftyp, meta, mdat, *(piece for item in items for piece in item.pieces))
