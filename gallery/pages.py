"""Page tokens: which list, and the last id of the page before."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TypeVar

from gallery.errors import InvalidPageToken
from gallery.records.records import Page

T = TypeVar("T")


def page_of(found: Sequence[T], ids: Sequence[str], *, page_size: int, scope: Sequence[str]) -> Page[T]:
    """Make a page of up to ``page_size + 1`` items that were found; the one too many says that more follow.

    Args:
        found: the items.
        ids: their ids.
        page_size: the most items of a page, at least 1.
        scope: what tells this list from others.
    """
    if len(found) <= page_size:
        return Page(tuple(found), "")
    token = json.dumps([*scope, ids[page_size - 1]]).encode()
    return Page(tuple(found[:page_size]), base64.urlsafe_b64encode(token).decode())


def last_id(token: str, *, scope: Sequence[str]) -> str:
    """The id that a page comes after; empty for the first page.

    Raises:
        InvalidPageToken: not a token, or one of another list.
    """
    if not token:
        return ""
    try:
        found = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidPageToken from error
    if not (isinstance(found, list) and len(found) == len(scope) + 1 and found[:-1] == list(scope)):
        raise InvalidPageToken
    after = found[-1]
    if not isinstance(after, str):
        raise InvalidPageToken
    try:
        after.encode()
    except UnicodeEncodeError as error:  # JSON can carry a lone surrogate, which nothing stores
        raise InvalidPageToken from error
    return after
