"""Original pictures in a folder: found by the SHA-256 of their bytes, and sent if a template misses an embedding."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from facet import Client, FacetError
from facet.client.errors import StatusCode
from facet.client.retry import FINAL, retry_while_busy
from facet.terminal.pictures import files
from facet.terminal.pictures.files import Unsendable
from facet.terminal.pictures.folders import CANNOT_READ, LeftOut, walk
from facet.v1 import migrations_pb2 as pb

_AT_A_TIME = 4
"""Files that are read and sent at the same time."""
_PEOPLE_AT_ONCE = 100
"""People that a picture is sent for at once: as many as the server takes."""
_ENDS_ALL = (FINAL - {StatusCode.INVALID_ARGUMENT}) | {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}
"""Status codes that say nothing about a picture: every other one would end with them as well."""


@dataclass(frozen=True, slots=True)
class Original:
    """What became of a file.

    Attributes:
        path: the file.
        answer: the server's answers for all people of the picture, if the file was sent and taken for some at least.
        reason: why it could not be read or taken; else empty.
        message: the same for people.
    """

    path: Path
    answer: pb.FillMigrationGapResponse | None = None
    reason: str = ""
    message: str = ""


def find(folder: Path) -> tuple[list[Path], list[LeftOut]]:
    """Find all files below a folder, whatever their names are, but for hidden ones and those of systems.

    Returns:
        The files, sorted by path, and what is left out.
    """
    left_out: list[LeftOut] = []

    def leave_out(path: str, reason: str) -> None:
        left_out.append(LeftOut(Path(path), reason))

    def unreadable(error: OSError) -> None:
        leave_out(str(error.filename), CANNOT_READ)

    found = sorted(map(Path, walk(str(folder), lambda _name: True, leave_out, unreadable)))
    return found, left_out


def fill(
    client: Client, gallery: str, paths: Iterable[Path], gaps: Iterable[pb.MigrationGap], most: int
) -> Iterator[Original]:
    """Read files, and send those whose SHA-256 a gap names; several at a time. Of equal files one is sent.

    A picture is sent with all of its people, because the server finds templates faster if it knows whose they are.

    Args:
        client: the connection.
        gallery: the gallery.
        paths: the files.
        gaps: the templates that miss an embedding.
        most: bytes of the largest picture that the server takes.

    Yields:
        Each file, as soon as it is done.

    Raises:
        FacetError: the server refuses all pictures, or is gone.
    """
    wanted = _Wanted(gaps)

    def one(path: Path) -> Original:
        try:
            subjects = wanted.take(_sha256(path))
            if not subjects:
                return Original(path)
            data = files.read(path, most)
        except Unsendable as error:
            return Original(path, None, error.reason, error.message)
        answer: pb.FillMigrationGapResponse | None = None
        for start in range(0, len(subjects), _PEOPLE_AT_ONCE):
            some = subjects[start : start + _PEOPLE_AT_ONCE]
            try:
                filled = retry_while_busy(partial(client.fill_migration_gap, gallery, data, subject_ids=some))
            except FacetError as error:
                if error.code in _ENDS_ALL:
                    raise
                return Original(path, answer, error.reason or error.code.name, error.message)
            answer = answer or pb.FillMigrationGapResponse()
            answer.MergeFrom(filled)
        return Original(path, answer)

    yield from _concurrently(one, paths)


def _sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file of any size.

    Raises:
        Unsendable: it cannot be read.
    """
    try:
        if files.is_special(path):
            raise Unsendable(CANNOT_READ, files.NOT_REGULAR)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unsendable(CANNOT_READ, error.strerror or str(error)) from error


class _Wanted:
    """The digests of pictures that are still wanted; each is taken once."""

    def __init__(self, gaps: Iterable[pb.MigrationGap]) -> None:
        self._subjects: dict[str, set[str]] = {}
        for gap in gaps:
            self._subjects.setdefault(gap.picture_sha256, set()).add(gap.subject_id)
        self._lock = threading.Lock()

    def take(self, digest: str) -> list[str]:
        """Return the subjects whose picture it is, sorted; none if it is not wanted, or was taken."""
        with self._lock:
            return sorted(self._subjects.pop(digest, ()))


def _concurrently(work: Callable[[Path], Original], paths: Iterable[Path]) -> Iterator[Original]:
    """Yield the results of the work on each path, few at a time, so that an end does not wait for all."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        left = iter(paths)
        running: set[Future[Original]] = {pool.submit(work, path) for path in islice(left, _AT_A_TIME)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(work, path) for path in islice(left, len(done))}
            yield from (each.result() for each in done)


def missing(gaps: Iterable[pb.MigrationGap]) -> Sequence[pb.MigrationGap]:
    """Return the gaps that the server cannot fill by itself."""
    return [each for each in gaps if each.reason != pb.MIGRATION_GAP_REASON_WAITING]
