"""Every RPC has a method, every field an argument, and both clients are the same."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2

from facet import AsyncClient, Client, Enrollment
from facet.v1 import gallery_service_pb2, recognition_service_pb2, server_service_pb2

ROOT = Path(__file__).resolve().parents[3]

SERVICES: tuple[ServiceDescriptor, ...] = (
    recognition_service_pb2.DESCRIPTOR.services_by_name["RecognitionService"],
    gallery_service_pb2.DESCRIPTOR.services_by_name["GalleryService"],
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
)
NAMED_OTHERWISE = {
    "EnrollFace": "enroll",
    "CalibrateGallery": "calibrate",
    "Check": "check_health",
    "Watch": "watch_health",
}
WITHOUT_METHOD = {"List": "the server answers for each of its services by Check"}
ARGUMENT_OF_FIELD = {
    "VerifyRequest.reference_picture": "reference",
    "VerifyRequest.reference_subject": "reference",
    "VerifyRequest.probe_picture": "probe",
    "UpdateGalleryRequest.gallery": "gallery_id",
    "UpdateSubjectRequest.subject": "subject_id",
    "IdentifyBatchRequest.item_id": "items",
    "IdentifyRequest.picture": "picture|items",
    "EnrollBatchRequest.item_id": "items",
    "IdentifyStreamRequest.settings": "settings",
    "IdentifyStreamRequest.frame": "frames",
    "ImportGalleryRequest.chunk": "source",
    "CalibrationSettings.against_itself": "probes",
    "CalibrateGalleryRequest.probe": "probes",
    "ReportOutcomeRequest.verdict": "is_right",
}
"""Fields that an argument of another name sets."""
MADE_BY_THE_CLIENT = {
    "UpdateGalleryRequest.update_mask": "names the arguments that are not None",
    "UpdateSubjectRequest.update_mask": "names the arguments that are not None",
    "UpdateMigrationRequest.update_mask": "names the arguments that are not None",
    "ImportGalleryRequest.digest": "is of the file that was sent",
    "CalibrationSettings.probe_count": "is counted where that can be done beforehand",
    "FindDuplicatesRequest.resume_token": "is in the search",
}
HELD_BY = {
    "IdentifyBatchRequest.identification": recognition_service_pb2.IdentifyRequest.DESCRIPTOR,
    "EnrollBatchRequest.enrollment": gallery_service_pb2.EnrollFaceRequest.DESCRIPTOR,
    "ImportGalleryRequest.target": gallery_service_pb2.ImportTarget.DESCRIPTOR,
    "CalibrateGalleryRequest.settings": gallery_service_pb2.CalibrationSettings.DESCRIPTOR,
}
"""Fields whose own fields are the arguments."""
FIELDS_OF_ITEMS = frozenset(Enrollment.__dataclass_fields__)


RPCS = [
    pytest.param(method, id=method.full_name)
    for service in SERVICES
    for method in service.methods
    if method.name not in WITHOUT_METHOD
]


def name_of(method: MethodDescriptor) -> str:
    return NAMED_OTHERWISE.get(method.name) or re.sub(r"(?<!^)([A-Z])", r"_\1", method.name).lower()


def fields_of(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        name = f"{message.name}.{field.name}"
        if name in HELD_BY:
            yield from fields_of(HELD_BY[name])
        else:
            yield name


def public(client: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(client, callable)
        if not name.startswith("_") or name == "__init__"
    }


def synchronous(annotation: Any) -> str:
    """What an annotation of the asynchronous client is in the other one."""
    text = re.sub(r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]", str(annotation))
    return text.replace("AsyncIterator", "Iterator").replace("grpc.aio.", "grpc.")


@pytest.mark.parametrize("method", RPCS)
def test_every_rpc_has_a_method_and_every_field_an_argument(method: MethodDescriptor) -> None:
    arguments = public(Client)[name_of(method)].parameters
    for field in fields_of(method.input_type):
        wanted = ARGUMENT_OF_FIELD.get(field, field.partition(".")[2]).split("|")
        in_items = "items" in arguments and wanted[0] in FIELDS_OF_ITEMS
        assert field in MADE_BY_THE_CLIENT or in_items or set(wanted) & set(arguments), field


@pytest.mark.parametrize("method", RPCS)
def test_every_call_takes_a_timeout(method: MethodDescriptor) -> None:
    timeout = public(Client)[name_of(method)].parameters["timeout"]
    assert (timeout.kind, timeout.default, timeout.annotation) == (timeout.KEYWORD_ONLY, None, "float | None")


@pytest.mark.parametrize("name", sorted(public(Client)))
def test_arguments_are_named_typed_and_described(name: str) -> None:
    method = getattr(Client, name)
    described = inspect.getdoc(Client if name == "__init__" else method) or ""
    for argument in list(public(Client)[name].parameters.values())[1:]:
        assert argument.kind in {argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY}, argument
        assert argument.annotation is not argument.empty, argument
        assert "Any" not in str(argument.annotation), argument
        assert re.search(rf"^ +{argument.name}: ", described, re.MULTILINE), f"{argument.name} is not described"


def test_both_clients_have_the_same_methods() -> None:
    assert set(public(Client)) == set(public(AsyncClient))


@pytest.mark.parametrize("name", sorted(public(Client)))
def test_both_clients_agree_in_arguments_defaults_and_annotations(name: str) -> None:
    one, other = public(Client)[name], public(AsyncClient)[name]
    assert list(one.parameters) == list(other.parameters)
    for mine, theirs in zip(one.parameters.values(), other.parameters.values(), strict=True):
        assert (mine.kind, mine.default) == (theirs.kind, theirs.default)
        assert str(mine.annotation) == synchronous(theirs.annotation)
    assert str(one.return_annotation) == synchronous(other.return_annotation)


def test_the_generated_client_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generate_client.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
