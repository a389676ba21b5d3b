"""What callers learn from reports about who is enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from facet import Client, NotFound
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from tests.integration.server.trust.conftest import OPERATOR

if TYPE_CHECKING:
    from tests.conftest import Pictures
    from tests.integration.server.trust.conftest import Guarded


def test_only_who_may_list_subjects_is_told_that_a_true_subject_does_not_exist(
    guarded: Guarded, pictures: Pictures
) -> None:
    """A caller with the scope recognize gets the same answer for everybody; the verdict is stored without a name."""
    gallery = guarded.mine
    with Client(guarded.address, token=guarded.keys["recognize"]) as recognizing:
        answer_id = recognizing.identify(gallery, pictures.yaoming).faces[0].identification.answer_id
        recognizing.report_outcome(gallery, answer_id, False, true_subject_id="nobody of this name")
    with Client(guarded.address, token=guarded.keys[OPERATOR]) as operator:
        (said,) = operator.iter_outcomes(gallery)
        assert (said.verdict, said.truth, said.true_subject_id) == (
            pb.VERDICT_WRONG,
            gallery_pb.TRUTH_UNSPECIFIED,
            "",
        )
        assert said.source == "caller:key:recognize"
        with pytest.raises(NotFound) as told:
            operator.report_outcome(gallery, answer_id, False, true_subject_id="nobody of this name")
        assert told.value.reason == "SUBJECT_NOT_FOUND"
