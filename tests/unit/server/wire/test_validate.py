"""Validation of single fields; tests/faults sends invalid fields to a server."""

from __future__ import annotations

import unicodedata

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from facet.server.errors import InvalidField
from facet.server.wire import validate
from gallery import names


@given(st.text(max_size=200))
def test_an_accepted_id_is_normalized_and_stays_valid(value: str) -> None:
    try:
        taken = validate.subject_id(value)
    except InvalidField:
        return
    assert 0 < len(taken) <= names.MAX_ID
    assert taken == unicodedata.normalize("NFC", value)
    assert taken == taken.strip()
    assert validate.subject_id(taken) == taken


def test_page_sizes_and_top_k_have_defaults() -> None:
    assert validate.page_size(0) == validate.DEFAULT_PAGE
    assert validate.top_k(None) == validate.DEFAULT_TOP_K


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0001, 1.0001])
def test_a_similarity_must_be_a_cosine(value: float) -> None:
    with pytest.raises(InvalidField, match="cosine"):
        validate.similarity(value)


def test_a_caller_id_is_optional_and_a_subject_id_is_not() -> None:
    assert validate.caller_id("", "request_id") == ""
    with pytest.raises(InvalidField):
        validate.subject_id("")


def test_a_list_that_is_too_long_is_refused_by_its_length() -> None:
    with pytest.raises(InvalidField, match="at most 16 entries, has 1000000"):
        validate.update_mask(FieldMask(paths=["threshold"] * 1_000_000), frozenset({"threshold"}))
