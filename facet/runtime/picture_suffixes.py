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
    )
)
"""In lower case, of the formats in :data:`facet.runtime.pictures.FORMATS`; this module imports no decoder."""
