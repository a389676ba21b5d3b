"""Errors about a person or template that does not exist, with a hint if they were merged, or if a name was given."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from facet import Client, FacetError, NotFound
from facet.terminal import console
from facet.terminal.command_line.program import spelled
from facet.v1 import gallery_service_pb2 as pb

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
    """Describe in one line what does not exist.

    If ``subject`` was merged into somebody, the line says so; if it is a display name, the line names the id.

    Raises:
        NotFound: the gallery does not exist.
    """
    if error.reason == "GALLERY_NOT_FOUND":
        raise error
    hint = ""
    if error.reason == "SUBJECT_NOT_FOUND" and "change_id" not in error.metadata:
        hint = _merged(client, gallery, subject) or _named(client, gallery, subject)
    return f"{error.reason}: {error.message}{hint}"


def _merged(client: Client, gallery: str, subject: str) -> str:
    """Say into whom a subject was merged, if that can be undone and the caller may list it."""
    with suppress(FacetError):
        for change in client.iter_changes(gallery, subject_id=subject, page_size=_PAGE):
            is_merge = change.kind == pb.CHANGE_KIND_MERGE and not change.undone
            if is_merge and change.from_subject_id == subject:
                undo = spelled(f"facet people {shlex.join(['undo', change.change_id, '--gallery', gallery])}")
                return f"; {subject!r} was merged into {change.into_subject_id!r}; to bring it back: {undo}"
    return ""


def _named(client: Client, gallery: str, name: str) -> str:
    with suppress(FacetError):
        for subject in islice(client.iter_subjects(gallery, page_size=_PAGE), _MOST_SUBJECTS):
            if subject.display_name == name:
                return f"; commands take ids, and {name!r} is the name of {subject.subject_id!r}"
    return ""
