"""Pages of lists, and the tokens that ask for the next page."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gallery import names
from gallery.errors import InvalidPageToken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    Attributes:
        items: in the order of the list.
        next_page_token: asks for the next page; empty on the last page.
    """

    items: tuple[T, ...]
    next_page_token: str


def page_of(found: Sequence[T], ids: Sequence[str], *, page_size: int, scope: Sequence[str]) -> Page[T]:
    """Make a page from up to ``page_size + 1`` items; the extra item means that there is another page.

    Args:
        found: the items.
        ids: their ids.
        page_size: the maximum length of the page, at least 1.
        scope: identifies the list, so that its token is not accepted for another list.
    """
    if len(found) <= page_size:
        return Page(tuple(found), "")
    token = json.dumps([*scope, ids[page_size - 1]]).encode()
    return Page(tuple(found[:page_size]), base64.urlsafe_b64encode(token).decode())


def last_id(token: str, *, scope: Sequence[str]) -> str:
    """Return the id that the page of a token starts after; an empty string for the first page.

    Raises:
        InvalidPageToken: it is not a token, or a token of another list.
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
    if not (isinstance(after, str) and names.is_storable(after)):
        raise InvalidPageToken
    return after
