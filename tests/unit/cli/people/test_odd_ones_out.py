"""Which pictures of a person may show somebody else, from pairs that look unlike each other."""

from __future__ import annotations

from facet.cli.people.odd_ones_out import odd_ones_out


def test_the_template_that_all_others_look_unlike_is_the_odd_one() -> None:
    unlike = {"1": {}, "2": {"1": 0.02}, "3": {"1": 0.05}, "4": {"1": -0.01}}
    assert odd_ones_out(unlike) == [("1", [("4", -0.01), ("2", 0.02), ("3", 0.05)])]


def test_a_warning_at_the_second_picture_and_later_ones_name_the_second() -> None:
    unlike = {"2": {"1": 0.02}, "3": {"2": 0.01}, "4": {"2": 0.03}}
    assert odd_ones_out(unlike) == [("2", [("3", 0.01), ("1", 0.02), ("4", 0.03)])]


def test_of_two_that_only_look_unlike_each_other_the_later_one_is_named() -> None:
    assert odd_ones_out({"1": {"2": 0.1}, "2": {"1": 0.1}}) == [("2", [("1", 0.1)])]


def test_two_wrong_pictures_are_both_named() -> None:
    unlike = {"2": {"1": 0.0}, "3": {"1": 0.0, "2": 0.1}, "4": {"1": 0.0, "2": 0.1}}
    assert {odd for odd, _ in odd_ones_out(unlike)} == {"1", "2"}


def test_nobody_is_odd_where_all_look_alike() -> None:
    assert odd_ones_out({"1": {}, "2": {}}) == []
