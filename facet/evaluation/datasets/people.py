"""Pictures that are labelled with their people alone: an open-set protocol and pairs are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.pairs import FOLDS, Pairs
from facet.evaluation.datasets.protocol import Entry, Protocol
from facet.evaluation.datasets.protocol_folders import read_gallery
from facet.terminal.counts import agreeing, counted

STRANGERS = 3
"""Of the people with several pictures, every third one is not enrolled."""
MATED_OF_ONE = 20
"""Maximum mated pairs of one person, so that people with very many pictures do not decide the figures."""
NONMATED = 20_000
"""Maximum nonmated pairs: a false accept rate of 0.001 then rests on 20 of them."""


class TooFewPeople(Exception):
    """There are too few people or pictures for a protocol or for pairs; the message says how many there are."""

    def __init__(self, task: str, by_person: Mapping[str, Sequence[Entry]]) -> None:
        several = sum(len(own) > 1 for own in by_person.values())
        super().__init__(
            f"{task} needs a person with two pictures or more, and another person; there "
            f"{agreeing(len(by_person), 'is')} {counted(len(by_person), 'person')}, {several} with two or more"
        )


def read_people(folder: Path) -> tuple[Entry, ...]:
    """Read the pictures of a folder with one folder per person, called by their paths in it.

    Raises:
        LabelError: see :func:`facet.evaluation.datasets.protocol_folders.read_folders`.
    """
    return tuple(replace(each, image=each.path.relative_to(folder).as_posix()) for each in read_gallery(folder))


def open_set(pictures: Sequence[Entry]) -> Protocol:
    """Make an open-set protocol: the first picture of a person is enrolled, the others are probes.

    Nobody with one picture is enrolled, nor is every third person with several, in the order of their names. All
    pictures of those who are not enrolled are nonmated probes. Roles in ``pictures`` do not matter.

    Args:
        pictures: whom each shows; the order of a person's pictures decides which one is the first.

    Raises:
        TooFewPeople: nobody would be enrolled, or nobody would be a stranger.
    """
    by_person = _by_person(pictures)
    several = [name for name, own in by_person.items() if len(own) > 1]
    enrolled = {name for place, name in enumerate(several, 1) if place % STRANGERS}
    gallery = tuple(replace(by_person[name][0], role="gallery") for name in sorted(enrolled))
    mated = [replace(each, role="mated") for name in sorted(enrolled) for each in by_person[name][1:]]
    nonmated = [
        replace(each, role="nonmated") for name, own in by_person.items() if name not in enrolled for each in own
    ]
    if not gallery or not nonmated:
        raise TooFewPeople("identification", by_person)
    return Protocol(gallery, (*mated, *nonmated))


def pairs_of(pictures: Sequence[Entry], *, seed: int) -> Pairs:
    """Make pairs: those of each person, at most :data:`MATED_OF_ONE`, and at most :data:`NONMATED` of two people.

    What is above the maximum is drawn at random.

    Args:
        pictures: whom each shows, in any role.
        seed: of the draws.

    Raises:
        TooFewPeople: nobody has two pictures, or there is only one person.
    """
    rng, by_person = np.random.default_rng(seed), _by_person(pictures)
    ordered = [each for own in by_person.values() for each in own]
    people = np.repeat(np.arange(len(by_person)), [len(own) for own in by_person.values()])
    mated = _mated(people, rng)
    nonmated = _nonmated(people, rng)
    if not len(mated) or not len(nonmated):
        raise TooFewPeople("verification", by_person)
    first, second = np.concatenate((mated, nonmated)).T
    same = np.arange(len(first)) < len(mated)
    folds = np.concatenate([np.arange(len(kind)) * FOLDS // len(kind) for kind in (mated, nonmated)])
    return Pairs(
        images=tuple(each.image for each in ordered),
        subjects=tuple(each.subject for each in ordered),
        identified_by="folders",
        a=first,
        b=second,
        same=same,
        folds=folds,
    )


def _by_person(pictures: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The pictures of each person, each picture once, by names in alphabetical order."""
    by_person: dict[str, list[Entry]] = {}
    for each in {picture.path: picture for picture in pictures}.values():
        by_person.setdefault(each.subject, []).append(each)
    return dict(sorted(by_person.items()))


def _mated(people: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Pairs of pictures of one person, shape ``(n, 2)``; ``people`` is sorted."""
    found: list[NDArray[np.intp]] = [np.empty((0, 2), np.intp)]
    starts = np.searchsorted(people, np.arange(people[-1] + 2))
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        both = np.array(list(combinations(range(start, end), 2)), np.intp).reshape(-1, 2)
        if len(both) > MATED_OF_ONE:
            both = both[np.sort(rng.choice(len(both), MATED_OF_ONE, replace=False))]
        found.append(both)
    return np.concatenate(found)


def _nonmated(people: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Different pairs of pictures of two people, shape ``(n, 2)``, the first picture before the second."""
    count = len(people)
    if count * (count - 1) // 2 <= 2 * NONMATED:
        both = np.array(list(combinations(range(count), 2)), np.intp).reshape(-1, 2)
    else:
        drawn = np.sort(rng.integers(count, size=(3 * NONMATED, 2)), axis=1)
        both = np.unique(drawn, axis=0)
    both = both[people[both[:, 0]] != people[both[:, 1]]]
    if len(both) > NONMATED:
        both = both[np.sort(rng.choice(len(both), NONMATED, replace=False))]
    return np.asarray(both, np.intp)
