r"""Text from elsewhere, such as names of files, for a terminal: what would act on it is written as an escape, ``\x1b``.

A terminal obeys control characters in a name, and a direction that a name begins and does not end reorders the text
after it (Unicode TR 36, 3.2). Bytes of a file's name that are not UTF-8 cannot be printed at all.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What is no text. A line feed and a tab are, because messages have several lines; see :func:`one_line`."""
_BYTES = range(0xDC80, 0xDD00)
"""How Python keeps the bytes of a file's name that are not UTF-8 (PEP 383)."""


def visible(text: str) -> str:
    """Return the text with escapes in place of what acts on a terminal."""
    return _ACTIVE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return :func:`visible` text whose line feeds and tabs are escapes, too, so that a name cannot fake a line."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")


def printable(path: str) -> str:
    r"""Write a path as text that any program can read: bytes that are not UTF-8 become ``\xNN``."""
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def json_line(value: Any) -> str:
    """Write a value as one line of JSON, without what acts on a terminal.

    A reader of JSON gets all characters back, but for bytes that are not UTF-8: see :func:`printable`.
    """
    return _ACTIVE.sub(_json_escape, json.dumps(value, ensure_ascii=False, allow_nan=False))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _BYTES:
        code -= _BYTES.start - 0x80
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "\\" + _escape(match) if code in _BYTES else f"\\u{code:04x}"
