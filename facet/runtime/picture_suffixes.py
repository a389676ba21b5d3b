"""How files of pictures end."""

from __future__ import annotations

PICTURE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".apng"),
        *(".webp",),
        *(".bmp", ".dib"),
        *(".gif",),
        *(".tif", ".tiff"),
        *(".heic", ".heif", ".hif"),
        *(".avif",),
        *(".jxl",),
    )
)
"""In lower case, of all formats that the server knows; this module imports no decoder."""
