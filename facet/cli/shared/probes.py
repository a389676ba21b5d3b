"""Pictures of people to calibrate with: the probes of a labelled set, or a folder a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facet.cli.shared import sources
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import read_protocol
from facet.terminal import console
from facet.terminal import picture_files as pictures
from facet.terminal.picture_files import Unsendable
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import types_pb2


@dataclass(frozen=True, slots=True)
class Stranger:
    """A picture of somebody.

    Attributes:
        subject_id: who it is.
        path: the picture's file.
    """

    subject_id: str
    path: Path


def of_protocol(protocol: Path, images: Path, *, also_mated: bool) -> list[Stranger]:
    """The non-mated probes of a protocol, and on request the mated ones; exits with a usage error where it has none."""
    try:
        read = read_protocol(protocol, images)
    except LabelError as error:
        console.fail(str(error), console.USAGE)
    roles = ("nonmated", "mated") if also_mated else ("nonmated",)
    found = [Stranger(entry.subject, entry.path) for entry in read.probes if entry.role in roles]
    if not found:
        console.fail(f"{protocol} has no line of the role nonmated; --also-mated takes the mated ones", console.USAGE)
    return found


def of_folder(folder: Path) -> list[Stranger]:
    """``folder/NAME/picture``; exits with a usage error where there are none."""
    return [Stranger(item.subject_id, item.path) for item in sources.read([folder], "", "")]


def readable(strangers: Sequence[Stranger], most: int, *, skip_unreadable: bool) -> tuple[list[Stranger], Counter[str]]:
    """The strangers whose files can be sent, and how many cannot, by reason; each of these is said.

    Exits with a failure where there are any, unless they are to be skipped and others remain.

    Args:
        strangers: whose pictures.
        most: bytes of the largest picture that the server takes.
        skip_unreadable: go on without them.
    """
    sendable: list[Stranger] = []
    unreadable: Counter[str] = Counter()
    for stranger in strangers:
        try:
            pictures.check(stranger.path, most)
            sendable.append(stranger)
        except Unsendable as error:
            console.err.print(f"{stranger.path}: {error.reason}: {error.message}", soft_wrap=True)
            unreadable[error.reason] += 1
    if unreadable and not (skip_unreadable and sendable):
        said = f"{unreadable.total()} files cannot be sent"
        console.fail(f"{said}: nothing was changed; --skip-unreadable goes on without them")
    return sendable, unreadable


class Probes:
    """The probes of a calibration, read as they are sent.

    Where a file cannot be sent any more :class:`Unsendable` ends the calibration, and nothing is
    changed.

    Args:
        strangers: whose pictures.
        face: which face of each is meant.
        most: bytes of the largest picture that the server takes.
    """

    def __init__(self, strangers: Sequence[Stranger], face: types_pb2.FaceChoice | None, most: int) -> None:
        self._strangers = strangers
        self._face = face
        self._most = most

    def __len__(self) -> int:
        return len(self._strangers)

    def __iter__(self) -> Iterator[pb.CalibrationProbe]:
        for stranger in self._strangers:
            try:
                data = pictures.read(stranger.path, self._most)
            except Unsendable as error:
                raise Unsendable(error.reason, f"{stranger.path}: {error.message}") from error
            picture = types_pb2.Picture(encoded=data)
            yield pb.CalibrationProbe(subject_id=stranger.subject_id, picture=picture, face=self._face)
