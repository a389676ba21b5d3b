"""Sets on which models are compared: what is read, and what is made of the people in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from facet.evaluation.comparison.labelled_set import Role, describe, labelled_set
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import read_protocol


def people(folder: Path, counts: Mapping[str, int]) -> Path:
    """A folder with a folder for each person, and so many pictures in it."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.jpg").touch()
    return folder


def test_a_folder_per_person_is_a_set_for_both(tmp_path: Path) -> None:
    images = people(tmp_path / "people", {"a": 3, "b": 2, "c": 2, "d": 1})
    found = labelled_set(None, None, images, seed=0)
    assert found.protocol is not None
    assert found.pairs is not None
    assert [each.image for each in found.protocol.gallery] == ["a/0.jpg", "b/0.jpg"]
    roles = {each.image: each.role for each in found.protocol.probes}
    assert roles == {
        **dict.fromkeys(("a/1.jpg", "a/2.jpg", "b/1.jpg"), "mated"),
        **dict.fromkeys(("c/0.jpg", "c/1.jpg", "d/0.jpg"), "nonmated"),
    }
    assert (found.pairs.pairs.same.sum(), len(found.pairs.pairs)) == (5, 8 * 7 / 2)
    assert len(found.names) == len(found.roles) == 8
    assert found.names[images / "a" / "1.jpg"] == "a/1.jpg"
    assert Role(images / "a" / "0.jpg", as_template=True) in found.roles[images / "a" / "0.jpg"]
    identification, verification = describe(found)
    assert identification == f"identification: 2 subjects, 3 mated and 3 nonmated probes, made of {images}"
    assert verification == f"verification: 5 mated and 23 nonmated pairs, made of {images}"


def test_pairs_and_a_protocol_of_the_same_pictures_share_their_embeddings(tmp_path: Path) -> None:
    images = people(tmp_path / "people", {"a": 2, "b": 1})
    (tmp_path / "pairs.csv").write_text("image_a,image_b,same\na/0.jpg,a/1.jpg,1\na/0.jpg,b/0.jpg,0\n")
    (tmp_path / "set.csv").write_text("role,subject,image\ngallery,a,a/0.jpg\nmated,a,a/1.jpg\nnonmated,b,b/0.jpg\n")
    protocol = read_protocol(tmp_path / "set.csv", images)
    found = labelled_set(protocol, tmp_path / "pairs.csv", images, seed=0)
    assert sum(map(len, found.roles.values())) == 3
    assert found.pairs is not None
    assert not found.pairs.are_made
    assert list(describe(found)) == [
        "identification: 1 subject, 1 mated and 1 nonmated probes, from the protocol",
        f"verification: 1 mated and 1 nonmated pairs, from {tmp_path / 'pairs.csv'}",
    ]


def test_what_a_set_does_not_have_is_made_of_its_people(tmp_path: Path) -> None:
    images = people(tmp_path / "people", {"a": 3, "b": 1})
    (tmp_path / "pairs.csv").write_text("image_a,image_b,same\na/0.jpg,a/1.jpg,1\na/0.jpg,b/0.jpg,0\n")
    found = labelled_set(None, tmp_path / "pairs.csv", images, seed=0)
    assert found.protocol is not None
    assert len(found.protocol.probes) == 2, "the third picture of a is in no pair"
    (tmp_path / "set.csv").write_text("role,subject,image\ngallery,a,a/0.jpg\nmated,a,a/1.jpg\nnonmated,b,b/0.jpg\n")
    found = labelled_set(read_protocol(tmp_path / "set.csv", images), None, images, seed=0)
    assert found.pairs is not None
    assert (found.pairs.pairs.same.sum(), len(found.pairs.pairs)) == (1, 3)


def test_pairs_that_do_not_name_people_are_only_for_verification(tmp_path: Path) -> None:
    images = people(tmp_path / "all", {"x": 4})
    (tmp_path / "pairs.csv").write_text("image_a,image_b,same\nx/0.jpg,x/1.jpg,1\nx/0.jpg,x/2.jpg,0\n")
    found = labelled_set(None, tmp_path / "pairs.csv", images, seed=0)
    assert found.protocol is None
    assert next(describe(found)) == ("identification: not measured: the pairs do not say whom their pictures show")


def test_a_protocol_without_two_pictures_of_anybody_is_only_for_identification(tmp_path: Path) -> None:
    images = people(tmp_path / "people", {"a": 1, "b": 1})
    (tmp_path / "set.csv").write_text("role,subject,image\ngallery,a,a/0.jpg\nnonmated,b,b/0.jpg\n")
    found = labelled_set(read_protocol(tmp_path / "set.csv", images), None, images, seed=0)
    assert found.pairs is None
    assert "verification: not measured: verification needs a person with two pictures" in list(describe(found))[1]


@pytest.mark.parametrize("counts", [{"a": 3}, {"a": 1, "b": 1, "c": 1}])
def test_a_folder_of_too_few_people_is_refused(counts: dict[str, int], tmp_path: Path) -> None:
    images = people(tmp_path / "people", counts)
    with pytest.raises(LabelError, match="verification needs a person with two pictures or more, and another person"):
        labelled_set(None, None, images, seed=0)
