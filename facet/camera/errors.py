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
def writing(name: Path | str, errors: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Turn errors of writing to ``name`` into :class:`OutputError`."""
    try:
        yield
    except errors as error:
        raise OutputError(f"cannot write {name}: {getattr(error, 'strerror', None) or error}") from error
