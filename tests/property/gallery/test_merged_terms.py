"""How long a merged subject is kept, by the policy of the merge and by later ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gallery.corrections.merging import merged_subject
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.times import earliest

START = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.integers(0, 9).map(lambda days: START + timedelta(days=days))
consents = moments.map(lambda moment: Consent(ConsentBasis.CONSENT, "", moment))
policies = st.builds(
    GalleryPolicy, subject_retention=st.none() | st.integers(1, 9).map(lambda days: timedelta(days=days))
)


def subjects(consent: st.SearchStrategy[Consent | None]) -> st.SearchStrategy[Subject]:
    return st.builds(
        lambda created, given_consent, expires: Subject(
            "g", "s", "", 0, created, created, "e", consent=given_consent, expire_time=expires
        ),
        moments,
        consent,
        st.none() | moments,
    )


def is_kept_no_longer(policy: GalleryPolicy, merged: Subject, *before: Subject) -> bool:
    expiry = earliest(*(policy.subject_expiry(each) for each in before))
    after = policy.subject_expiry(merged)
    return expiry is None or (after is not None and after <= expiry)


@given(subjects(st.none() | consents), subjects(st.none() | consents), policies)
def test_nobody_is_kept_longer_than_either_of_the_two_by_the_policy_of_the_merge(
    gone: Subject, into: Subject, policy: GalleryPolicy
) -> None:
    assert is_kept_no_longer(policy, merged_subject(gone, into, policy, etag="", time=START), gone, into)


@given(st.data(), policies, policies)
def test_nor_by_a_later_policy_unless_only_one_of_them_has_a_consent(
    data: st.DataObject, policy: GalleryPolicy, later: GalleryPolicy
) -> None:
    both = subjects(data.draw(st.sampled_from([consents, st.none()])))
    gone, into = data.draw(both), data.draw(both)
    assert is_kept_no_longer(later, merged_subject(gone, into, policy, etag="", time=START), gone, into)
