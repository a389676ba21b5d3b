"""Every method is something in the audit log, or nothing by decision, and the fields that are read exist."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from facet.server.audit.actions import ACTIONS, Action
from facet.v1 import gallery_service_pb2, recognition_service_pb2, server_service_pb2

_FILES = (gallery_service_pb2, recognition_service_pb2, server_service_pb2)
METHODS = {
    method.full_name: method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
ACTIONS_BY_NAME = {f"{service}.{name}": action for service, each in ACTIONS.items() for name, action in each.items()}


def has_field(message: Descriptor, path: str) -> bool:
    name, _, rest = path.partition(".")
    field = message.fields_by_name.get(name)
    if field is None or not rest:
        return field is not None
    return field.message_type is not None and has_field(field.message_type, rest)


def answer_of(action: Action, method: MethodDescriptor) -> Descriptor:
    """What the facts of an answer are read from: an item of a batch is answered by what it holds."""
    inner = next((field.message_type for field in method.output_type.fields if field.name == "enrollment"), None)
    return inner if action.by_item and inner is not None else method.output_type


def test_every_method_has_an_action_and_every_action_a_method() -> None:
    assert ACTIONS_BY_NAME.keys() == METHODS.keys()


def test_actions_read_fields_that_exist() -> None:
    for name, action in ACTIONS_BY_NAME.items():
        asked = [action.gallery, action.subject, *action.asked.values()] if action.kind != "nothing" else []
        missing = [path for path in asked if path and not has_field(METHODS[name].input_type, path)]
        answer = answer_of(action, METHODS[name])
        missing += [path for path in action.answered.values() if not has_field(answer, path)]
        assert not missing, name
