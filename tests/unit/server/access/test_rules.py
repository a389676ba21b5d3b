"""The rules of access, compared with what the services offer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from facet.server.access.rules import RULES, Rule, rule_of
from facet.v1 import gallery_service_pb2, recognition_service_pb2, server_service_pb2

SERVICES: dict[str, ServiceDescriptor] = {
    service.full_name: service
    for file in (recognition_service_pb2, gallery_service_pb2, server_service_pb2, health_pb2, reflection_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}
NOT_SERVED = "grpc.health.v1.Health.List"
"""The health library describes it, but does not implement it. Without a rule it is answered as an unknown method."""
METHODS: list[MethodDescriptor] = [
    method for service in SERVICES.values() for method in service.methods if method.full_name != NOT_SERVED
]


def gallery_fields(message: Descriptor, prefix: str = "", depth: int = 4) -> Iterator[str]:
    """The paths of all fields of a message, and of messages in it, that name galleries."""
    for field in message.fields:
        if field.message_type is not None and depth:
            yield from gallery_fields(field.message_type, f"{prefix}{field.name}.", depth - 1)
        elif field.name.endswith("gallery_id"):
            assert field.type == FieldDescriptor.TYPE_STRING
            yield prefix + field.name


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_method_has_a_rule_that_knows_all_galleries_in_its_requests(method: MethodDescriptor) -> None:
    rule = rule_of(f"/{method.containing_service.full_name}/{method.name}")
    assert rule is not None
    named = [*rule.gallery_fields, *rule.optional_gallery_fields]
    assert sorted(named) == sorted(gallery_fields(method.input_type))


def test_no_rule_is_left_of_a_method_that_is_gone() -> None:
    assert {service: set(rules) for service, rules in RULES.items()} == {
        service: {method.name for method in METHODS if method.containing_service.full_name == service}
        for service in SERVICES
    }


def test_only_a_health_check_needs_no_caller() -> None:
    public = [f"{service}/{name}" for service, rules in RULES.items() for name, rule in rules.items() if rule.is_public]
    assert public == ["grpc.health.v1.Health/Check"]


def test_a_message_that_is_not_set_names_no_gallery_and_an_empty_id_one_that_the_server_chooses() -> None:
    rule = Rule("admin", ("settings.gallery_id",), ("settings.cohort_gallery_id",))
    request = gallery_service_pb2.CalibrateGalleryRequest(probe=gallery_service_pb2.CalibrationProbe())
    assert list(rule.gallery_ids(request)) == []
    request.settings.target_fpir = 0.1
    assert list(rule.gallery_ids(request)) == [""]
    request.settings.gallery_id, request.settings.cohort_gallery_id = "lobby", "strangers"
    assert list(rule.gallery_ids(request)) == ["lobby", "strangers"]
