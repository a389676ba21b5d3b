"""Where frames come from: a file, a webcam, an RTSP or HTTP address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2

from facet.camera.diagnosis import TIMEOUT_SECONDS, host_and_port, why_address_fails, why_device_fails, why_file_fails
from facet.camera.errors import SourceError

SCHEMES = frozenset({"http", "https", "rtsp", "rtsps"})

_TIMEOUT_MS = round(1000 * TIMEOUT_SECONDS)


@dataclass(frozen=True, slots=True)
class Source:
    """A source of frames.

    Attributes:
        name: for people; of an address only the host and the path.
        place: where it is, for messages; of an address the host, the port and the path.
        target: what OpenCV opens: the number of a webcam, a path, or an address.
        is_file: whether it is a file on this machine.
        is_address: whether it is an address.
    """

    name: str
    place: str
    target: int | str
    is_file: bool = False
    is_address: bool = False


def parse_source(text: str) -> Source:
    """The source that a text names.

    Raises:
        SourceError: it is no file, webcam or address.
    """
    if text.isascii() and text.isdigit():
        return Source(f"webcam {text}", f"webcam {text}", int(text))
    try:
        address = urlsplit(text)
    except ValueError:
        raise SourceError("the address is invalid") from None
    if address.scheme.lower() in SCHEMES and address.hostname:
        # Some cameras want name and password in the path, and an unquoted slash in a password ends the host's part.
        shown = "" if set(address.path) & set("=&@;") else address.path
        try:
            place = f"{host_and_port(address)}{shown}"
        except ValueError:
            raise SourceError(
                "the address has no valid port; in a name or password, write %2F for /, %3A for :, and %40 for @"
            ) from None
        return Source(f"{address.hostname}{shown}", place, text, is_address=True)
    path = Path(text)
    if path.is_file():
        return Source(path.name, path.name, text, is_file=True)
    if path.is_char_device():
        return Source(path.name, path.name, text)
    named = "of that name" if {"@", ":"} & set(text) else text
    raise SourceError(f"there is no file {named}, and it is no webcam's number, rtsp:// or http:// address")


def open_capture(source: Source) -> cv2.VideoCapture:
    """Open a source.

    Raises:
        SourceError: it cannot be opened; the message says why.
    """
    if source.is_address:
        timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS)
        capture = cv2.VideoCapture(str(source.target), cv2.CAP_FFMPEG, timeouts)
    else:
        capture = cv2.VideoCapture(source.target)
        if not source.is_file:
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"cannot open {source.place}: {_why(source)}")
    return capture


def _why(source: Source) -> str:
    if source.is_address:
        return why_address_fails(str(source.target))
    return why_file_fails(Path(str(source.target))) if source.is_file else why_device_fails(source.target)
