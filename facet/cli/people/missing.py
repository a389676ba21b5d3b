"""Errors about a person or template that does not exist, with a hint if the id given is somebody's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from facet import Client, FacetError, NotFound
from facet.terminal import console

_PAGE = 1000
_MOST_SUBJECTS = 20_000
"""Subjects whose names are compared, so that the hint does not read a large gallery."""


@contextmanager
def subject_errors(client: Client, gallery: str, subject: str) -> Iterator[None]:
    """If the block finds no such person or template, exit with one line; see :func:`missing`."""
    try:
        yield
    except NotFound as error:
        console.fail(missing(error, client, gallery, subject))


def missing(error: NotFound, client: Client, gallery: str, subject: str) -> str:
    """Describe in one line what does not exist; if ``subject`` is a display name, the line names the id.

    Raises:
        NotFound: the gallery does not exist.
    """
    if error.reason == "GALLERY_NOT_FOUND":
        raise error
    hint = _hint(client, gallery, subject) if error.reason == "SUBJECT_NOT_FOUND" else ""
    return f"{error.reason}: {error.message}{hint}"


def _hint(client: Client, gallery: str, name: str) -> str:
    with suppress(FacetError):
        for subject in islice(client.iter_subjects(gallery, page_size=_PAGE), _MOST_SUBJECTS):
            if subject.display_name == name:
                return f"; commands take ids, and {name!r} is the name of {subject.subject_id!r}"
    return ""
