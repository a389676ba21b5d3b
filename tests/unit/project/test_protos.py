"""The wire format: generated code up to date, lint and breaking changes, and a comment at everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

from scripts.generate_protos import compile_image

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    image = tmp_path_factory.mktemp("protos") / "facet.binpb"
    compile_image(image)
    described = FileDescriptorSet.FromString(image.read_bytes())
    return [file for file in described.file if file.package == "facet.v1"]


def test_the_generated_code_is_up_to_date_and_the_protos_pass_lint_and_break_nothing() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate_protos.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_every_service_method_message_field_and_value_has_a_comment(files: list[FileDescriptorProto]) -> None:
    assert len(files) == 6
    for file in files:
        commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
        missing = [name for name, path in elements(file) if path not in commented]
        assert not missing, file.name


def test_every_method_says_what_can_go_wrong(files: list[FileDescriptorProto]) -> None:
    comments = {
        (file.name, tuple(place.path)): place.leading_comments
        for file in files
        for place in file.source_code_info.location
    }
    for file in files:
        for i, service in enumerate(file.service):
            for j, method in enumerate(service.method):
                assert "Errors:" in comments[file.name, (6, i, 2, j)], method.name


def elements(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and paths as SourceCodeInfo counts them: field number and index, from the file down."""
    for i, service in enumerate(file.service):
        yield service.name, (6, i)
        for j, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (6, i, 2, j)
    for i, message in enumerate(file.message_type):
        yield from of_message(message, (4, i))
    for i, enum in enumerate(file.enum_type):
        yield from of_enum(enum, (5, i))


def of_message(message: DescriptorProto, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    if message.options.map_entry:
        return
    yield message.name, path
    for i, field in enumerate(message.field):
        yield f"{message.name}.{field.name}", (*path, 2, i)
    for i, oneof in enumerate(message.oneof_decl):
        if not oneof.name.startswith("_"):
            yield f"{message.name}.{oneof.name}", (*path, 8, i)
    for i, nested in enumerate(message.nested_type):
        yield from of_message(nested, (*path, 3, i))
    for i, enum in enumerate(message.enum_type):
        yield from of_enum(enum, (*path, 4, i))


def of_enum(enum: EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield enum.name, path
    for i, value in enumerate(enum.value):
        yield f"{enum.name}.{value.name}", (*path, 2, i)
