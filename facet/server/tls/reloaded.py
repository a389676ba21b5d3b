"""A value that is read from files, and read again when they change."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from facet.server.tls.pair import CertificateError

T = TypeVar("T")

_log = structlog.get_logger("facet.tls")


class Reloaded(Generic[T]):
    """The last good value of some files. What cannot be used is logged, counted, and not taken. For any thread.

    A certificate that is not valid yet, as that of an authority whose clock is fast, is taken when it is.

    Args:
        what: what the files hold, for the log.
        files: the files.
        read: reads them.
        clock: seconds since 1970.

    Attributes:
        value: the value.
        refused: how often changed files could not be used.

    Raises:
        OSError: a file cannot be read.
        CertificateError: they cannot be used.
    """

    def __init__(self, what: str, files: tuple[Path, ...], read: Callable[[], T], clock: Callable[[], float]) -> None:
        self._what, self._files, self._read, self._clock = what, files, read, clock
        self._usable_from = math.inf
        self._lock = threading.Lock()
        self._version = self._version_of_files()
        self.value = read()
        self.refused = 0

    @property
    def file(self) -> Path:
        """The first file, for messages."""
        return self._files[0]

    def refresh(self) -> None:
        """Read the files again if they have changed."""
        with self._lock:
            version = self._version_of_files()
            if version == self._version and self._clock() < self._usable_from:
                return
            self._version, self._usable_from = version, math.inf
            try:
                self.value = self._read()
            except (OSError, CertificateError) as error:
                self.refused += 1
                self._usable_from = error.usable_from if isinstance(error, CertificateError) else math.inf
                _log.error(f"the changed {self._what} is not used", error=str(error))
            else:
                _log.info(f"{self._what} replaced", file=str(self.file))

    def _version_of_files(self) -> tuple[Any, ...] | None:
        try:
            return tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in (path.stat() for path in self._files))
        except OSError:
            return None
