"""How frames with names of somebody else are counted."""

from __future__ import annotations

from collections.abc import Sequence

from facet.benchmarks.streams.replacement import Shown, summary


def shown(person: str, *names: str, enrolled: bool = True) -> Shown:
    return Shown(person, enrolled, frozenset(names), 1)


def test_a_name_of_somebody_else_is_wrong_and_no_name_is_not() -> None:
    right: Sequence[Shown] = [shown("anne", "anne"), shown("ben", enrolled=False), shown("anne")]
    wrong = [shown("anne", "anne"), shown("ben", "anne", enrolled=False), shown("anne", "anne", "ben")]
    measured = summary(1.0, [right, wrong, []])
    assert (measured.trials, measured.trials_wrong, measured.frames, measured.frames_wrong) == (2, 1, 6, 2)
    assert measured.named_share == 0.75
    assert measured.embeddings_per_frame == 1


def test_a_person_who_comes_back_appears_twice() -> None:
    late = [
        *[shown("anne", "anne")] * 3,
        *[shown("ben", enrolled=False)] * 3,
        *[shown("anne")] * 2,
        shown("anne", "anne"),
    ]
    measured = summary(1.0, [late])
    assert measured.named_at_once == 0.5


def test_no_trial_gives_no_shares() -> None:
    assert summary(1.0, [[]]).named_share == 0
