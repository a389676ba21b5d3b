"""Protocols and pairs that are made of pictures of people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facet.evaluation.datasets import people
from facet.evaluation.datasets.people import MATED_OF_ONE, NONMATED, open_set, pairs_of
from facet.evaluation.datasets.protocol import Entry


def pictures(counts: list[int]) -> list[Entry]:
    return [
        Entry("gallery", f"person {person:03}", f"{person:03}/{number}.jpg", Path(f"{person:03}/{number}.jpg"))
        for person, count in enumerate(counts)
        for number in range(count)
    ]


def test_a_third_of_the_people_with_several_pictures_and_all_others_are_strangers() -> None:
    protocol = open_set(pictures([2] * 30 + [1] * 5))
    assert len({each.subject for each in protocol.gallery}) == 20
    assert sum(each.role == "mated" for each in protocol.probes) == 20
    assert sum(each.role == "nonmated" for each in protocol.probes) == 10 * 2 + 5
    enrolled = {each.subject for each in protocol.gallery}
    assert all((each.subject in enrolled) == (each.role == "mated") for each in protocol.probes)


def test_pairs_are_right_different_and_limited_for_each_person() -> None:
    entries = pictures([30, 2, 1, *[4] * 200])
    pairs = pairs_of(entries, seed=1)
    subjects = np.array(pairs.subjects)
    assert ((subjects[pairs.a] == subjects[pairs.b]) == pairs.same).all()
    assert len(set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))) == len(pairs)
    assert pairs.same.sum() == MATED_OF_ONE + 1 + 200 * 6
    assert (~pairs.same).sum() == NONMATED
    assert set(pairs.folds.tolist()) == set(range(10))
    again = pairs_of(entries[::-1], seed=1)
    assert (again.same == pairs.same).all()
    other = pairs_of(entries, seed=2)
    assert (other.b[~other.same] != pairs.b[~pairs.same]).any()


def test_names_of_pictures_in_a_folder_are_their_paths_in_it(tmp_path: Path) -> None:
    for name in ("b/1.jpg", "a/deeper/2.png", "a/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = people.read_people(tmp_path)
    assert [(each.subject, each.image) for each in found] == [("a", "a/deeper/2.png"), ("b", "b/1.jpg")]
