"""Etags: what guards galleries and subjects against lost updates."""

from __future__ import annotations

import secrets

from gallery.errors import EtagMismatch


def new_etag() -> str:
    """Return a new random etag."""
    return secrets.token_hex(8)


def check_etag(gallery_id: str, subject_id: str = "", *, current: str, sent: str) -> None:
    """Compare the etag that a caller sent with the current one; an empty one is not compared.

    Args:
        gallery_id: the gallery.
        subject_id: the subject; empty if the etag is the gallery's.
        current: the current etag.
        sent: the caller's etag.

    Raises:
        EtagMismatch: they differ.
    """
    if sent and sent != current:
        raise EtagMismatch(gallery_id, subject_id, expected=current, found=sent)
