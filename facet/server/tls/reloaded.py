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

    A certificate that is not valid yet, as that of an authority whose clock is fast, is taken when it is. Files that
    could not be read are read again at the next look: what was missing, such as a file descriptor, may be there then,
    though the files have not changed. A problem is logged and counted once, not at each look.

    Args:
        what: what the files hold, for the log.
        files: the files.
        read: reads them.
        clock: seconds since 1970.

    Attributes:
        value: the value.
        refused: how often changed files could not be used; only the first time for the same problem in a row.

    Raises:
        OSError: a file cannot be read.
        CertificateError: they cannot be used.
    """

    def __init__(self, what: str, files: tuple[Path, ...], read: Callable[[], T], clock: Callable[[], float]) -> None:
        self._what, self._files, self._read, self._clock = what, files, read, clock
        self._usable_from = math.inf
        self._problem = ""
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
            self._version, self._usable_from = None, math.inf
            try:
                self.value = self._read()
            except CertificateError as error:
                self._version, self._usable_from = version, error.usable_from
                self._refuse(str(error))
            except OSError as error:
                self._refuse(str(error))
            except Exception as error:  # any thread may look, and gRPC at every handshake
                self._refuse(f"{type(error).__name__}: {error}", exc_info=True)
            else:
                self._version, self._problem = version, ""
                _log.info(f"{self._what} replaced", file=str(self.file))

    def _refuse(self, problem: str, **fields: Any) -> None:
        if problem != self._problem:
            self._problem = problem
            self.refused += 1
            _log.error(f"the changed {self._what} is not used", error=problem, **fields)

    def _version_of_files(self) -> tuple[Any, ...] | None:
        """What changes whenever the files do, or who may read them; ``None`` if one is not there."""
        try:
            found = [path.stat() for path in self._files]
            return tuple((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in found)
        except OSError:
            return None
