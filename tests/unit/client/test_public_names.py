"""What `from facet import ...` offers, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facet
import facet.client
from facet import FacetError
from facet.client import errors


def imported_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_all_is_exactly_what_type_checkers_and_programs_see() -> None:
    tree = ast.parse(Path(facet.__file__ or "").read_text("utf-8"))
    declared = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "facet.client"
        for alias in node.names
    }
    assert declared == set(facet.__all__)
    assert facet.client.__all__ == facet.__all__
    assert set(facet.__all__) <= set(dir(facet))
    for name in facet.__all__:
        assert getattr(facet, name) is getattr(facet.client, name)


def test_public_names_are_in_order() -> None:
    assert sorted(facet.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == facet.__all__


def test_every_error_is_public_and_in_the_tree() -> None:
    exceptions = {
        name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, FacetError)
    }
    assert exceptions <= set(facet.__all__)
    assert {line.strip() for line in (errors.__doc__ or "").splitlines()[2:] if line.strip()} == exceptions


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Clinet"):
        getattr(facet, "Clinet")  # noqa: B009 - a type checker would refuse it otherwise


def test_importing_another_room_does_not_import_the_client() -> None:
    assert not {"grpc", "google.protobuf", "facet.client"} & imported_by("import facet.runtime")


def test_importing_the_client_imports_neither_numpy_nor_pillow_nor_other_rooms() -> None:
    modules = imported_by("from facet import Client; import facet.v1.gallery_service_pb2_grpc")
    assert "grpc" in modules
    assert not {"numpy", "PIL", "cv2", "grpc_health.v1", "detector", "gallery", "recognizer"} & modules
    rooms = {name.split(".")[1] for name in modules if name.startswith("facet.")}
    assert rooms == {"client", "v1"}
