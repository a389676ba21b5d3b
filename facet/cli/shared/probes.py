"""Probes of a calibration: the nonmated probes of a labelled set, or a folder of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facet.cli.shared import sources
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import read_protocol
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.pictures import files as pictures
from facet.terminal.pictures.files import Unsendable
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import types_pb2


@dataclass(frozen=True, slots=True)
class Probe:
    """A picture and the person in it.

    Attributes:
        subject_id: the person; if the gallery holds a subject of that id, the search leaves it out.
        path: the picture's file.
    """

    subject_id: str
    path: Path


def in_protocol(protocol: Path, images: Path, *, also_mated: bool) -> list[Probe]:
    """Read the nonmated probes of a protocol, on request the mated ones, too; exits with a usage error if it has none.

    Args:
        protocol: a CSV file with the columns role, subject and image.
        images: the folder that its images are relative to.
        also_mated: include the mated probes.
    """
    try:
        read = read_protocol(protocol, images)
    except LabelError as error:
        console.fail(str(error), console.USAGE)
    roles = ("nonmated", "mated") if also_mated else ("nonmated",)
    found = [Probe(entry.subject, entry.path) for entry in read.probes if entry.role in roles]
    if not found:
        console.fail(
            f"{protocol} has no line of the role nonmated; --also-mated includes the mated ones", console.USAGE
        )
    return found


def in_folder(folder: Path, *, skip_unclear: bool) -> tuple[list[Probe], Counter[str]]:
    """Find the pictures of a folder of people, and count those whose person is not clear by reason.

    Each of the latter is reported. Exits with a usage error if there are such pictures, unless they may be skipped, or
    if there are no others.
    """
    people = sources.read([folder], "", "")
    for picture in people.unclear:
        console.err.print(picture.message)
    for person in people.empty:
        console.err.print(f"{person.path}: no picture of {person.subject_id} was read")
    if people.unclear and not skip_unclear:
        console.fail(
            f"the person in {counted(len(people.unclear), 'picture')} is not clear: nothing was changed; "
            "--skip-unreadable continues without them",
            console.USAGE,
        )
    found = [Probe(item.subject_id, item.path) for item in people.pictures]
    return found, Counter(picture.reason for picture in people.unclear)


def readable(probes: Sequence[Probe], most: int, *, skip_unreadable: bool) -> tuple[list[Probe], Counter[str]]:
    """Keep the probes whose files can be sent, and count the others by reason; each of them is reported.

    Exits with a failure if there are others, unless they may be skipped and some probes are left.

    Args:
        probes: all probes.
        most: bytes of the largest picture that the server takes.
        skip_unreadable: continue without files that cannot be sent.
    """
    sendable: list[Probe] = []
    unreadable: Counter[str] = Counter()
    for probe in probes:
        try:
            pictures.check(probe.path, most)
            sendable.append(probe)
        except Unsendable as error:
            console.err.print(f"{probe.path}: {error.reason}: {error.message}")
            unreadable[error.reason] += 1
    if unreadable and not (skip_unreadable and sendable):
        console.fail(
            f"{counted(unreadable.total(), 'file')} cannot be sent: nothing was changed; "
            "--skip-unreadable continues without them"
        )
    return sendable, unreadable


class ProbeMessages:
    """The messages of a calibration's probes; each picture is read when it is sent.

    Iterating raises :class:`Unsendable` if a file cannot be sent any more. That ends the calibration, and nothing is
    changed.

    Args:
        probes: the probes.
        face: which face of each picture to search for.
        most: bytes of the largest picture that the server takes.
    """

    def __init__(self, probes: Sequence[Probe], face: types_pb2.FaceChoice | None, most: int) -> None:
        self._probes = probes
        self._face = face
        self._most = most

    def __len__(self) -> int:
        return len(self._probes)

    def __iter__(self) -> Iterator[pb.CalibrationProbe]:
        for probe in self._probes:
            try:
                data = pictures.read(probe.path, self._most)
            except Unsendable as error:
                raise Unsendable(error.reason, f"{probe.path}: {error.message}") from error
            picture = types_pb2.Picture(encoded=data)
            yield pb.CalibrationProbe(subject_id=probe.subject_id, picture=picture, face=self._face)
