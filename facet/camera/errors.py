"""Errors of a camera's source and outputs. Their messages are one line for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SourceError(Exception):
    """The source cannot be opened, or did not come back. The message contains no password."""


class OutputError(Exception):
    """An output cannot be written."""


@contextmanager
def writing(name: Path | str, *errors: type[Exception]) -> Iterator[None]:
    """Turn ``OSError``, and other errors of a library, into :class:`OutputError`."""
    try:
        yield
    except (OSError, *errors) as error:
        raise OutputError(f"cannot write {name}: {getattr(error, 'strerror', None) or error}") from error
