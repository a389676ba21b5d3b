"""The methods that the tests of this folder try are those that the server has."""

from __future__ import annotations

from tests.integration.server.trust.beginnings import beginnings
from tests.integration.server.trust.rights import NOT_SERVED, OPEN, SCOPES
from tests.integration.server.trust.rpcs import all_rpcs


def test_every_method_has_a_right_and_every_right_a_method() -> None:
    assert {rpc.path for rpc in all_rpcs()} == SCOPES.keys() | OPEN | NOT_SERVED


def test_requests_name_galleries_wherever_their_descriptors_say() -> None:
    paths = {rpc.descriptor.name: rpc.gallery_paths for rpc in all_rpcs()}
    assert paths["Verify"] == [("reference_subject", "gallery_id")]
    assert paths["EnrollBatch"] == [("enrollment", "gallery_id")]
    assert paths["CalibrateGallery"] == [("settings", "gallery_id"), ("settings", "cohort_gallery_id")]
    assert not paths["Detect"]


def test_every_stream_of_requests_has_a_beginning() -> None:
    assert {rpc.path for rpc in all_rpcs() if rpc.descriptor.client_streaming} == beginnings("g").keys()
