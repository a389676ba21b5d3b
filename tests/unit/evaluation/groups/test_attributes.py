"""The file of the groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.groups.attributes import NOT_STATED, read_attributes

SUBJECTS = ["ann", "bob", "zoë"]


def written(folder: Path, text: str) -> Path:
    path = folder / "groups.csv"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_each_column_is_an_attribute_and_a_subject_without_a_value_is_not_stated(tmp_path: Path) -> None:
    path = written(tmp_path, "age,subject,sex\n<18, ann ,f\n,bob,m\n")
    age, sex = read_attributes(path, SUBJECTS)
    assert (age.name, age.groups, dict(age.of)) == (
        "age",
        ("<18",),
        {"ann": "<18", "bob": NOT_STATED, "zoë": NOT_STATED},
    )
    assert (sex.name, sex.groups, sex.not_stated) == ("sex", ("f", "m"), ["zoë"])


def test_semicolons_separate_fields_if_the_first_line_has_no_comma(tmp_path: Path) -> None:
    path = written(tmp_path, "subject;age\r\nann;18, 19 or 20\r\n")
    (age,) = read_attributes(path, SUBJECTS)
    assert age.of["ann"] == "18, 19 or 20"


def test_names_match_however_their_accents_are_encoded(tmp_path: Path) -> None:
    (sex,) = read_attributes(written(tmp_path, "subject,sex\nzoe\u0308,f\n"), SUBJECTS)
    assert sex.of["zoë"] == "f"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name,sex\nann,f\n", "line 1: has no column subject"),
        ("subject\nann\n", "line 1: has no column with an attribute"),
        ("subject,sex,sex\nann,f,f\n", "line 1: has two columns 'sex'"),
        ("subject,\nann,f\n", "line 1: has a column without a name"),
        ("", "line 1: has no column subject"),
        (
            "subject,sex\nann,f\ncarl,m\ndora,f\n",
            "line 3: 'carl' is no subject of this set such as 'ann'; the same is true of 1 more line; --allow",
        ),
        ("subject,sex\nann,f\n\nann,m\n", "line 4: 'ann' is in line 2, too"),
        ("subject,sex\nann\n", "line 2: has fewer than 2 fields"),
        ("subject,sex\nann,f,tall\n", "line 2: has more than 2 fields"),
        ("subject,sex\n,f\n", "line 2: subject is empty"),
        ('subject,sex\nann,"f\nbob,m\n', "line 2: has a quote that is not closed"),
        ('subject,sex\nann,"f"x\n', "line 2: is not CSV: ',' expected after '\"'"),
        ("subject,sex\nann,f\nbob,m\0\n", "line 3: has the control character '\\x00'"),
        ("subject,sex\n", "states no group of a subject of this set"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(LabelError) as refused:
        read_attributes(path, SUBJECTS)
    assert problem in str(refused.value)


def test_subjects_who_are_not_in_the_set_can_be_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, "subject,sex\nann,f\ncarl,m\n")
    (sex,) = read_attributes(path, SUBJECTS, allow_unknown=True)
    assert (sex.groups, set(sex.of)) == (("f",), set(SUBJECTS))
