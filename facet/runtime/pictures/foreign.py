"""Names files that are no picture in a format that is taken, by their first bytes."""

from __future__ import annotations

_OTHER_CODINGS = ("avci", "avcs", "j2ki", "j2is", "jpeg", "jpgs", "vvic", "vvis", "evbi", "evbs", "evmi", "evms")
"""Brands of HEIF: AVC, JPEG 2000, JPEG, VVC and EVC."""
_SIGNATURES: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (0, (b"8BPS",), "a PSD of Photoshop"),
    (0, (b"gimp xcf",), "an XCF of GIMP"),
    (0, (b"%PDF",), "a PDF"),
    (0, (b"%!PS", b"\xc5\xd0\xd3\xc6"), "a PostScript file"),
    (8, (b"CR\2",), "a raw file of a camera (CR2)"),
    (8, (b"crx ",), "a raw file of a camera (CR3)"),
    (0, (b"IIRO", b"IIRS", b"MMOR"), "a raw file of a camera (ORF)"),
    (0, (b"IIU\0",), "a raw file of a camera (RW2)"),
    (0, (b"FUJIFILMCCD-RAW",), "a raw file of a camera (RAF)"),
    (0, (b"FOVb",), "a raw file of a camera (X3F)"),
    (0, (b"\0\0\0\x0cjP  \x0d\x0a\x87\x0a", b"\xff\x4f\xff\x51"), "a JPEG 2000"),
    (0, (b"II\xbc",), "a JPEG XR"),
    (0, (b"v/1\1",), "an OpenEXR"),
    (0, (b"#?RADIANCE", b"#?RGBE"), "a Radiance HDR"),
    (0, (b"qoif",), "a QOI"),
    (0, tuple(b"P%d" % kind + end for kind in range(1, 8) for end in (b"\n", b" ", b"\r")), "a PNM"),
    (0, (b"\0\0\1\0", b"\0\0\2\0"), "an icon or cursor (ICO)"),
    (128, (b"DICM",), "a DICOM file"),
    (4, tuple(f"ftyp{brand}".encode() for brand in _OTHER_CODINGS), "a HEIF that is coded with neither HEVC nor AV1"),
    (4, (b"ftyp", b"moov", b"mdat", b"wide"), "a film (MP4 or QuickTime)"),
    (0, (b"\x1a\x45\xdf\xa3",), "a film (Matroska or WebM)"),
    (8, (b"AVI ",), "a film (AVI)"),
    (0, (b"PK\3\4", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf\x27\x1c"), "an archive"),
    (0, (b"data:image/", b"/9j/", b"iVBORw0KGgo"), "a picture as base64 text: send its bytes"),
)
"""Offset, bytes there, and what they are; the first that fits."""
_TEXT_BYTES = 1024


def name_of(data: bytes) -> str:
    """What a file is, with its article; empty if it is not recognised."""
    for start, signatures, name in _SIGNATURES:
        if data[start : start + 16].startswith(signatures):
            return name
    text = data[:_TEXT_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<"):
        return "an SVG" if b"<svg" in text else "a web page (HTML or XML)"
    return ""
