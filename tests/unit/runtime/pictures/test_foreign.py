"""Files that are no picture that is taken are named by their first bytes."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from facet.runtime.pictures import FORMATS, InvalidPicture, read_header
from tests.unit.runtime.pictures.samples import ENOUGH, encode

FILES = {
    "a PSD": b"8BPS\0\1" + bytes(20),
    "a PDF": b"%PDF-1.7\n",
    "a raw file of a camera (CR2)": b"II*\0\x10\0\0\0CR\2\0" + bytes(20),
    "a raw file of a camera (CR3)": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "a raw file of a camera (RAF)": b"FUJIFILMCCD-RAW 0201",
    "a raw file of a camera (ORF)": b"IIRO\x08\0\0\0",
    "a raw file of a camera (RW2)": b"IIU\0\x18\0\0\0",
    "an SVG": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<SVG xmlns="http://www.w3.org/2000/svg"/>',
    "a web page": b"\r\n<!DOCTYPE html><html><body>404</body></html>",
    "a HEIF that is coded with neither": b"\0\0\0\x14ftypavci\0\0\0\0avci",
    "a HEIF that is coded with neither HEVC nor AV1": b"\0\0\0\x14ftypj2ki\0\0\0\0j2ki",
    "a film (MP4 or QuickTime)": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "a film (Matroska or WebM)": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81",
    "a film (AVI)": b"RIFF\x24\0\0\0AVI LIST",
    "a JPEG 2000": encode("JPEG2000"),
    "an icon": encode("ICO"),
    "a PNM": encode("PPM"),
    "an archive": b"PK\3\4" + bytes(20),
    "base64 text": b"/9j/4AAQSkZJRgABAQAAAQABAAD/",
}


@pytest.mark.parametrize("name", FILES)
def test_what_people_send_in_place_of_a_picture_is_named(name: str) -> None:
    with pytest.raises(InvalidPicture) as caught:
        read_header(FILES[name], max_pixels=ENOUGH)
    assert name in str(caught.value)
    assert f"convert it to one of {', '.join(FORMATS)}" in str(caught.value)


def test_a_preview_of_a_raw_file_that_is_a_tiff_says_so() -> None:
    """NEF, ARW and DNG begin like any TIFF; their first directory is a preview."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "TIFF", tiffinfo={254: 1})
    with pytest.raises(InvalidPicture, match="raw files of cameras"):
        read_header(file.getvalue(), max_pixels=ENOUGH)
