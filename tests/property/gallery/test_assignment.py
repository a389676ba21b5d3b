"""The one-to-one assignment of faces and subjects, on any similarities."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gallery.ranking import assign_subjects

Similarities = list[dict[str, float]]

SIMILARITIES: st.SearchStrategy[Similarities] = st.lists(
    st.dictionaries(
        st.sampled_from("abcdefgh"), st.sampled_from([0.25, 0.5, 0.75]) | st.floats(-1, 1, width=32), max_size=8
    ),
    max_size=8,
)
"""A few values on purpose: equal similarities are the hard case."""


@given(SIMILARITIES)
def test_nobody_is_in_a_picture_twice(similarities: Similarities) -> None:
    subjects = [each for each in assign_subjects(similarities) if each is not None]
    assert len(subjects) == len(set(subjects))


@given(SIMILARITIES)
def test_a_face_gets_one_of_its_own_subjects(similarities: Similarities) -> None:
    for own, subject_id in zip(similarities, assign_subjects(similarities), strict=True):
        assert subject_id is None or subject_id in own


@given(SIMILARITIES)
def test_a_subject_that_a_face_would_prefer_has_a_face_at_least_as_similar(similarities: Similarities) -> None:
    """No face and subject are more similar to each other than to what they got."""
    assigned = assign_subjects(similarities)
    face_of = {subject_id: face for face, subject_id in enumerate(assigned) if subject_id is not None}
    for own, subject_id in zip(similarities, assigned, strict=True):
        for other_id, similarity in own.items():
            if subject_id is None or similarity > own[subject_id]:
                assert similarities[face_of[other_id]][other_id] >= similarity


@given(SIMILARITIES)
def test_faces_without_rivals_get_their_most_similar_subjects(similarities: Similarities) -> None:
    """With every subject renamed for its face, no two faces have a subject in common."""
    apart = [{f"{face}{each}": value for each, value in own.items()} for face, own in enumerate(similarities)]
    for own, subject_id in zip(apart, assign_subjects(apart), strict=True):
        assert (subject_id is None) == (not own)
        assert subject_id is None or own[subject_id] == max(own.values())


@given(SIMILARITIES)
def test_the_order_of_subjects_does_not_matter(similarities: Similarities) -> None:
    reversed_ = [dict(sorted(own.items(), reverse=True)) for own in similarities]
    assert assign_subjects(reversed_) == assign_subjects(similarities)
