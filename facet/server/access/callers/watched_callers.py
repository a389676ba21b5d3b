"""The callers as their file has them now, while others change it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.access.callers import callers_file
from facet.server.access.callers.callers import Callers
from facet.server.access.callers.callers_file import CallerEntry, CallersFileError

_NOBODY = Callers((), is_lost=True)

_MOST_LOGGED = 100

_log = structlog.get_logger("facet.access")


class WatchedCallers(Collector):
    """The callers of the file. One thread may refresh them while others read.

    Without a file at the start, there are no callers, and the server asks nobody who they are. From when there is one,
    only its callers are let in, also if it has none left. If it is deleted, nobody is let in. If it cannot be used, the
    callers stay those that it had before.

    Args:
        path: the file.
        is_required: whether there must be a file at the start.

    Attributes:
        current: the callers; ``None`` if there has been no file.

    Raises:
        CallersFileError: there is a file, but it cannot be used, or there must be one.
    """

    def __init__(self, path: Path, *, is_required: bool = False) -> None:
        self._path = path
        self._problem = ""
        self._revoked: frozenset[str] = frozenset()
        self._version = _version_of(path)
        self.current: Callers | None = None
        if self._version is None and is_required:
            raise CallersFileError(
                f"access.callers: there is no file {path}; make the first caller with: "
                f"facet keys create --callers {path} --label NAME --scope admin"
            )
        if self._version is not None:
            self.current = self._taken(callers_file.read(path).callers)

    def refresh(self) -> bool:
        """Read the file again if it has changed, or could not be used before; returns whether the callers have changed.

        A version counts as seen only when it was read: a revocation must not be lost because the process had too many
        open files, or a network disk was away, at that moment.
        """
        version = _version_of(self._path)
        if version == self._version and not self._problem:
            return False
        if version is None:
            if self.current is None:
                return False
            self._version = None
            self._refuse("is gone: only server.token is let in; write it again with: facet keys")
            was_there, self.current = self.current is not _NOBODY, _NOBODY
            return was_there
        try:
            found = callers_file.read(self._path)
        except (CallersFileError, OSError) as error:
            self._refuse(str(error))
            is_first = self.current is None
            self.current = self.current or _NOBODY
            return is_first
        self._version, self._problem = version, ""
        self.current = self._taken(found.callers)
        _log.info("the callers file was read again", file=str(self._path), callers=len(found.callers))
        return True

    def collect(self) -> Iterable[Metric]:
        """Collect the metric."""
        yield GaugeMetricFamily(
            "facet_callers_file_failed",
            "1 if the callers file was deleted or cannot be used since it changed, else 0.",
            value=float(bool(self._problem)),
        )

    def _taken(self, entries: Sequence[CallerEntry]) -> Callers:
        revoked = {each.identity_id for each in entries if each.revoked is not None}
        if again := sorted(each.identity_id for each in entries if each.identity_id in self._revoked - revoked):
            _log.warning(
                "the callers file lets in callers again that were revoked: an older one may have been restored",
                callers=again[:_MOST_LOGGED],
                count=len(again),
            )
        self._revoked = (self._revoked | revoked) - frozenset(again)
        return Callers(entries)

    def _refuse(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        _log.error("the changed callers file is not used", file=str(self._path), error=problem)


def _version_of(path: Path) -> tuple[Any, ...] | None:
    """What changes whenever the file does; ``None`` if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return (error.errno,)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
