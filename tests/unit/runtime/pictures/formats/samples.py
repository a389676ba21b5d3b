"""Files of containers, part by part, to build hostile ones from."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from facet.runtime.pictures.containers.boxes import box, full_box
from facet.runtime.pictures.containers.heif_items import Items
from facet.runtime.pictures.containers.jxl_header import CODESTREAM
from tests.unit.runtime.pictures.samples import encode, pixels

GIF_IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (48, 64), np.uint8))
GIF = encode("GIF", GIF_IMAGE)
GIF_PIXELS = np.repeat(np.asarray(GIF_IMAGE)[..., None], 3, 2)
GIF_HEAD = 13 + 3 * 256
"""The header and the table of colours."""


def gif_placed(x: int, y: int, canvas: tuple[int, int]) -> bytes:
    """The frame of 64x48 somewhere on a canvas."""
    frame = GIF.index(b",", GIF_HEAD)
    size = struct.pack("<HH", *canvas)
    return GIF[:6] + size + GIF[10 : frame + 1] + struct.pack("<HH", x, y) + GIF[frame + 5 :]


KINDS = ("HEIF", "AVIF")
TILE_SIDE = 64
TILE = pixels(TILE_SIDE, TILE_SIDE)
ENCODED_TILES = {kind: encode(kind, TILE, quality=95) for kind in KINDS}
_CODING = {"HEIF": b"hvc1", "AVIF": b"av01"}


def u16(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def u32(*numbers: int) -> bytes:
    return b"".join((number % 2**32).to_bytes(4, "big") for number in numbers)


def heif_size(width: int, height: int) -> bytes:
    return full_box(b"ispe", u32(width, height))


def heif_file(items: list[tuple[bytes, bytes, list[bytes]]], tiles: list[int], *, brand: bytes = b"mif1") -> bytes:
    """A file of these items (type, bytes, properties), the last of which is the picture, made of ``tiles`` (ids)."""
    known = list(dict.fromkeys(each for _, _, properties in items for each in properties))
    infe, ipma = [], []
    for number, (kind, _, properties) in enumerate(items, 1):
        infe.append(full_box(b"infe", u32(number), u16(0), kind, b"\0", version=3))
        ipma.append(u32(number) + bytes((len(properties),)) + bytes(known.index(each) + 1 for each in properties))
    others = [
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", u32(len(items)), version=1),
        full_box(b"iinf", u32(len(items)), *infe, version=1),
        box(b"iprp", box(b"ipco", *known), full_box(b"ipma", u32(len(items)), *ipma, version=1)),
    ]
    if tiles:
        others.append(full_box(b"iref", box(b"dimg", u32(len(items)), u16(len(tiles)), u32(*tiles)), version=1))
    ftyp = box(b"ftyp", brand, bytes(4), brand)
    start = len(ftyp) + 12 + sum(map(len, others)) + 18 + 18 * len(items) + 8
    places = []
    for number, (_, data, _) in enumerate(items, 1):
        places.append(u32(number) + u16(0, 0, 1) + u32(start, len(data)))
        start += len(data)
    iloc = full_box(b"iloc", b"\x44\0", u32(len(items)), *places, version=2)
    return ftyp + full_box(b"meta", *others, iloc) + box(b"mdat", *(data for _, data, _ in items))


def heif_item(
    kind: str, *more: bytes, first: tuple[bytes, ...] | None = None, encoded: bytes = b""
) -> tuple[bytes, bytes, list[bytes]]:
    """The item of an encoded picture, by default that of :data:`TILE`, with more properties."""
    items = Items(encoded or ENCODED_TILES[kind])
    properties = [box(each.kind, each.body) for each in items.properties(items.primary)]
    return _CODING[kind], b"".join(items.pieces(items.primary)), [*(first or ()), *properties, *more]


def heif_grid(rows: int, columns: int, width: int, height: int) -> tuple[bytes, bytes, list[bytes]]:
    return b"grid", bytes((0, 0, rows - 1, columns - 1)) + u16(width, height), [heif_size(width, height)]


def jxl_header(*fields: tuple[int, int]) -> bytes:
    """A codestream's header of these numbers, each with its bits."""
    value = at = 0
    for number, bits in fields:
        value |= number << at
        at += bits
    return CODESTREAM + value.to_bytes(at // 8 + 1, "little") + bytes(40)


def jxl_sides(width: int, height: int) -> tuple[tuple[int, int], ...]:
    return (0, 1), (3, 2), (height - 1, 30), (0, 3), (3, 2), (width - 1, 30)


JXL_WIDE = jxl_sides(2**20, 2**20)

SHORT, LONG = 3, 4
TIFF_WIDTH, TIFF_HEIGHT = 64, 48
TIFF_PIXELS = pixels()[..., ::-1].copy()
Entries = dict[int, tuple[int, tuple[int, ...]]]


def tiff(
    changed: Entries | None = None, data: bytes = TIFF_PIXELS.tobytes(), *, order: str = "<", behind: int = 0
) -> bytes:
    """A TIFF of one strip of 8-bit colours, with changed entries; ``behind`` is the link to the next directory."""
    start, length = 8, len(data)
    entries: Entries = {
        256: (SHORT, (TIFF_WIDTH,)),
        257: (SHORT, (TIFF_HEIGHT,)),
        258: (SHORT, (8, 8, 8)),
        259: (SHORT, (1,)),
        262: (SHORT, (2,)),
        273: (LONG, (start,)),
        277: (SHORT, (3,)),
        278: (SHORT, (TIFF_HEIGHT,)),
        279: (LONG, (length,)),
    } | (changed or {})
    directory = start + length + length % 2
    values = directory + 2 + 12 * len(entries) + 4
    head, tail = bytearray(), bytearray()
    for tag, (kind, numbers) in sorted(entries.items()):
        value = struct.pack(f"{order}{len(numbers)}{'H' if kind == SHORT else 'I'}", *numbers)
        inline = value.ljust(4, b"\0")
        if len(value) > 4:
            inline = struct.pack(f"{order}I", values + len(tail))
            tail += value
        head += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + inline
    signature = b"II*\0" if order == "<" else b"MM\0*"
    first = signature + struct.pack(f"{order}I", directory)
    link = struct.pack(f"{order}I", behind or 0)
    return first + data + bytes(length % 2) + struct.pack(f"{order}H", len(entries)) + bytes(head) + link + bytes(tail)
