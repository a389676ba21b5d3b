"""The set on which two models are compared: for identification and for verification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.pairs import Pairs, read_pairs
from facet.evaluation.datasets.people import TooFewPeople, open_set, pairs_of, read_people
from facet.evaluation.datasets.protocol import Entry, Protocol
from facet.terminal.counts import counted


@dataclass(frozen=True, slots=True)
class Role:
    """A picture as what it is embedded for.

    Attributes:
        path: the picture's file.
        as_template: it is enrolled or is a reference, which is embedded together with its mirror image; otherwise it
            is a probe.
    """

    path: Path
    as_template: bool


@dataclass(frozen=True, slots=True)
class PairsOfFiles:
    """Pairs, with the files of their pictures.

    Attributes:
        pairs: the pairs.
        files: of ``pairs.images``.
        are_made: they were made of the people in the pictures, and not read from a file.
    """

    pairs: Pairs
    files: tuple[Path, ...]
    are_made: bool

    @property
    def judged(self) -> NDArray[np.intp]:
        """The pairs whose accuracy is measured: all, but of pairs that were made as many nonmated as mated ones."""
        mated, nonmated = np.flatnonzero(self.pairs.same), np.flatnonzero(~self.pairs.same)
        if self.are_made and len(nonmated) > len(mated):
            nonmated = nonmated[np.arange(len(mated)) * len(nonmated) // len(mated)]
        return np.sort(np.concatenate((mated, nonmated)))


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """The set. At least one of both parts is there.

    Attributes:
        protocol: for identification, or ``None``.
        pairs: for verification, or ``None``.
        identification: what the protocol is, or why there is none, as a sentence.
        verification: what the pairs are, or why there are none.
    """

    protocol: Protocol | None
    pairs: PairsOfFiles | None
    identification: str
    verification: str

    @property
    def names(self) -> dict[Path, str]:
        """The names of all pictures by file."""
        names = dict(zip(self.pairs.files, self.pairs.pairs.images, strict=True)) if self.pairs else {}
        return names | {each.path: each.image for each in _entries(self.protocol)}

    @property
    def roles(self) -> dict[Path, tuple[Role, ...]]:
        """What each picture is embedded for, each role once, by file."""
        wanted = [Role(each.path, each.role == "gallery") for each in _entries(self.protocol)]
        if self.pairs:
            files, pairs = self.pairs.files, self.pairs.pairs
            wanted += [Role(files[image], as_template=True) for image in pairs.a.tolist()]
            wanted += [Role(files[image], as_template=False) for image in pairs.b.tolist()]
        by_file: dict[Path, list[Role]] = {}
        for role in dict.fromkeys(wanted):
            by_file.setdefault(role.path, []).append(role)
        return {path: tuple(roles) for path, roles in by_file.items()}


def labelled_set(protocol: Protocol | None, pairs: Path | None, images: Path, *, seed: int) -> LabelledSet:
    """Put a set together, and make of its people what it does not have.

    Args:
        protocol: for identification, if there is one.
        pairs: a file of pairs in ``images``, see :func:`facet.evaluation.datasets.pairs.read_pairs`, if there is one.
        images: the folder of the pictures; without protocol and pairs, with one folder per person. With a protocol and
            without pairs it is only named in messages.
        seed: of what is drawn.

    Raises:
        LabelError: the set cannot be used.
    """
    found = None
    people, given = _entries(protocol), "the pictures of the protocol"
    if pairs is not None:
        read = read_pairs(pairs, images)
        found = PairsOfFiles(read, tuple(images / image for image in read.images), are_made=False)
        if protocol is None:
            people, given = _people_of(found), f"the pictures of {pairs}"
    elif protocol is None:
        people, given = read_people(images), str(images)
    problems = []
    verification = f"from {pairs}"
    if found is None:
        try:
            made = pairs_of(people, seed=seed)
            by_name = {each.image: each.path for each in people}
            found = PairsOfFiles(made, tuple(by_name[image] for image in made.images), are_made=True)
            verification = f"made of {given}"
        except TooFewPeople as error:
            problems.append(str(error))
            verification = f"not measured: {error}"
    identification = "from the protocol"
    if protocol is None and not people:
        identification = "not measured: the pairs do not say whom their pictures show"
    elif protocol is None:
        try:
            protocol = open_set(people)
            identification = f"made of {given}"
        except TooFewPeople as error:
            problems.append(str(error))
            identification = f"not measured: {error}"
    if protocol is None and found is None:
        raise LabelError(images, None, "; ".join(dict.fromkeys(problems)))
    return LabelledSet(protocol, found, identification, verification)


def describe(labelled: LabelledSet) -> Iterator[str]:
    """Sentences about what is compared on what."""
    size = ""
    if labelled.protocol:
        probes = labelled.protocol.probes
        mated = sum(each.role == "mated" for each in probes)
        subjects = len({each.subject for each in labelled.protocol.gallery})
        size = f"{counted(subjects, 'subject')}, {mated} mated and {len(probes) - mated} nonmated probes, "
    yield f"identification: {size}{labelled.identification}"
    size = ""
    if labelled.pairs:
        same = labelled.pairs.pairs.same
        size = f"{same.sum()} mated and {(~same).sum()} nonmated pairs, "
    yield f"verification: {size}{labelled.verification}"


def _entries(protocol: Protocol | None) -> tuple[Entry, ...]:
    return () if protocol is None else (*protocol.gallery, *protocol.probes)


def _people_of(found: PairsOfFiles) -> tuple[Entry, ...]:
    """The pictures of pairs with their people, in the order of their names; none if the pairs do not name them."""
    pairs = found.pairs
    if pairs.identified_by == "pairs":
        return ()
    named = sorted(zip(pairs.subjects, pairs.images, found.files, strict=True))
    return tuple(Entry("gallery", subject, image, path) for subject, image, path in named)
