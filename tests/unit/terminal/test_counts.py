"""Counts and sizes in words."""

from __future__ import annotations

import pytest

from facet.terminal.counts import agreeing, counted, in_bytes


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "template", "0 templates"),
        (1, "template", "1 template"),
        (2, "template", "2 templates"),
        (1, "person", "1 person"),
        (2, "person", "2 people"),
        (2, "search", "2 searches"),
        (3, "smaller gallery", "3 smaller galleries"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, noun: str, said: str) -> None:
    assert counted(count, noun) == said


def test_a_verb_agrees_with_its_count() -> None:
    assert [agreeing(count, "was") for count in (0, 1, 2)] == ["were", "was", "were"]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (65_536, "65.5 kB"),
        (999_960, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5_000_000_000_000, "5000.0 GB"),
    ],
)
def test_a_size_has_a_unit_that_keeps_it_short(size: int, said: str) -> None:
    assert in_bytes(size) == said
