"""The baseline of a canary: a report of identification, and the digest of every picture of its set."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facet.evaluation.canary.result import (
    ALREADY_RUNNING,
    BASELINE_UNUSABLE,
    OTHER_SET,
    PICTURES_GONE,
    SET_UNUSABLE,
    CanaryFailed,
)
from facet.evaluation.report.document import Report
from facet.terminal import private_files
from facet.terminal.counts import agreeing

_HINT = "name another file with --baseline, and make it with --save-baseline"
_NAMED = 5
_MOST_NOTES = 100
"""Older galleries of runs that were killed are not deleted any more."""
_PICTURES = "canary_pictures"
"""The key of a baseline with the SHA-256 of each picture by its name."""


def read_baseline(path: Path) -> Report | None:
    """Read a baseline; ``None`` if the file does not exist.

    Raises:
        CanaryFailed: the file cannot be read, or is no report of identification.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CanaryFailed(BASELINE_UNUSABLE, f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CanaryFailed(BASELINE_UNUSABLE, f"{path} is not JSON: it is left as it is; {_HINT}") from error
    if not _is_report(found):
        told = f"{path} is no report of identification: it is left as it is"
        raise CanaryFailed(BASELINE_UNUSABLE, f"{told}; {_HINT}")
    report: Report = found
    return report


def write_baseline(path: Path, report: Report, pictures: Mapping[str, Path]) -> None:
    """Write a run as the baseline. The file names people, so only its owner can read it.

    Raises:
        OSError: it cannot be written.
    """
    private_files.write(path, json.dumps(report | {_PICTURES: digests(pictures)}, ensure_ascii=False) + "\n")


def digests(pictures: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each picture by its name.

    Raises:
        CanaryFailed: a picture cannot be read.
    """
    found = {}
    for name, path in sorted(pictures.items()):
        try:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise CanaryFailed(SET_UNUSABLE, f"cannot read {path}: {error.strerror}") from error
    return found


def need_pictures(baseline: Report, paths: Mapping[str, Path]) -> None:
    """Check that the pictures of the baseline are still there.

    Args:
        baseline: the baseline.
        paths: the folder of the pictures by the beginning of their names; empty for any beginning.

    Raises:
        CanaryFailed: pictures are gone; the message names some.
    """
    known: Mapping[str, str] = baseline.get(_PICTURES, {})
    gone = [name for name in known if not _path_of(name, paths).is_file()]
    if gone:
        told = (
            f"{len(gone)} of the {len(known)} pictures of the baseline {agreeing(len(gone), 'is')} gone: {_some(gone)}"
        )
        folders = [f"there is no folder {folder}" for folder in paths.values() if not folder.is_dir()]
        hint = f"put them back; or {_HINT}"
        raise CanaryFailed(PICTURES_GONE, "; ".join((told, *folders, hint)))


def need_same_set(baseline: Report, data: Report, pictures: Mapping[str, Path]) -> None:
    """Check that a set is that of the baseline, before anything is measured.

    Raises:
        CanaryFailed: it is not; the message names pictures that are other ones.
    """
    if baseline["provenance"]["data_set"].get("sha256") == data["sha256"]:
        return
    known: Mapping[str, str] = baseline.get(_PICTURES, {})
    now = digests(pictures)
    told = [
        f"{what}: {_some(names)}"
        for what, names in (
            ("changed", [name for name, digest in now.items() if known.get(name, digest) != digest]),
            ("new", [name for name in now if name not in known]),
            ("missing", [name for name in known if name not in now]),
        )
        if names and known
    ]
    what = "; ".join(told) or "other labels or pictures"
    raise CanaryFailed(OTHER_SET, f"this is not the set of the baseline: {what}; {_HINT}")


class Pending:
    """The galleries that runs made, noted on disk, so that the next run deletes those of runs that were killed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> list[tuple[str, str]]:
        """Address and gallery of each run that was killed, the oldest first."""
        try:
            return [(str(address), str(gallery)) for address, gallery in json.loads(self._text())]
        except (ValueError, TypeError, RecursionError):
            return []

    def note(self, address: str, gallery_id: str) -> None:
        """Note a gallery before it is made."""
        self._write([*self.read(), (address, gallery_id)][-_MOST_NOTES:])

    def forget(self, gallery_id: str) -> None:
        """The gallery is deleted."""
        self._write([each for each in self.read() if each[1] != gallery_id])

    def _text(self) -> bytes:
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def _write(self, notes: list[tuple[str, str]]) -> None:
        text = json.dumps(notes).encode()
        size = os.fstat(self._descriptor).st_size
        os.pwrite(self._descriptor, text.ljust(size), 0)  # blanks: whoever is killed here leaves JSON, too
        os.ftruncate(self._descriptor, len(text))


@contextmanager
def only_run(baseline: Path) -> Iterator[Pending]:
    """Keep other runs with the same baseline away.

    Raises:
        CanaryFailed: there is one.
        OSError: the lock beside the baseline cannot be made.
    """
    descriptor = private_files.open_descriptor(baseline.with_name(f"{baseline.name}.lock"), os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CanaryFailed(ALREADY_RUNNING, f"another run with the baseline {baseline} has not ended") from None
    try:
        yield Pending(descriptor)
    finally:
        os.close(descriptor)


def _is_report(found: Any) -> bool:
    if not isinstance(found, dict) or found.get("kind") != "identification":
        return False
    origin = found.get("provenance")
    pictures = found.get(_PICTURES, {})
    return isinstance(origin, dict) and isinstance(origin.get("data_set"), dict) and isinstance(pictures, dict)


def _path_of(name: str, paths: Mapping[str, Path]) -> Path:
    for beginning, folder in paths.items():
        if name.startswith(beginning):
            return folder / name.removeprefix(beginning)
    return Path(name)


def _some(names: list[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
