"""``facet licenses``: every package and model that is installed, with its licence and what to look at."""

from __future__ import annotations

import json
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from facet.cli.licenses import app
from facet.cli.shared.dependencies import UNDECLARED, condition, dependencies, license_of
from facet.runtime.extras import DISTRIBUTION
from facet.runtime.models import find_model


def listed(*arguments: str) -> dict[str, dict[str, dict[str, str]]]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    return {kind: {each["name"]: each for each in entries} for kind, entries in found.items()}


def test_everything_that_facet_requires_is_listed_in_the_version_that_is_installed() -> None:
    packages = listed()["packages"]
    for line in metadata.requires(DISTRIBUTION) or ():
        each = Requirement(line)
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            entry = packages[canonicalize_name(each.name)]
            assert entry["version"] == metadata.version(each.name)
            assert entry["license"]
    assert "typing-extensions" in packages, "what a requirement requires, too"
    assert "pytest" not in packages
    assert "pytest" in listed("--extra", "dev")["packages"]


def test_models_are_listed_with_digest_licence_and_what_it_demands() -> None:
    models = listed()["models"]
    assert {name: model["note"] for name, model in models.items()} == {
        "yolo11n": "copyleft",
        "scrfd_500m_bnkps": "non-commercial",
        "w600k_mbf": "non-commercial",
    }
    assert all(model["sha256"] == find_model(name).sha256 for name, model in models.items())


def test_the_table_for_people_has_every_package_and_model() -> None:
    shown = CliRunner().invoke(app).stdout
    assert all(name in shown for name in (*dependencies(), "w600k_mbf", "non-commercial"))


def test_an_extra_that_does_not_exist_is_named() -> None:
    result = CliRunner().invoke(app, ["--extra", "cameras"])
    assert result.exit_code == 2
    assert "no such extra: cameras; there are" in result.stderr


@pytest.mark.parametrize(
    ("license_name", "said"),
    [
        ("MIT", ""),
        ("AGPL-3.0 (Ultralytics)", "copyleft"),
        ("GPL-2.0-or-later", "copyleft"),
        ("GNU Affero General Public License v3", "copyleft"),
        ("LGPL-2.1-only", "copyleft of its own files"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "copyleft of its own files"),
        ("CC-BY-NC-4.0", "non-commercial"),
        (UNDECLARED, "ask its author"),
        ("unknown: ask the provider of the file", "ask its author"),
    ],
)
def test_what_a_licence_demands_is_said(license_name: str, said: str) -> None:
    assert condition(license_name) == said


@pytest.mark.parametrize(
    ("fields", "license_name"),
    [
        ({"License-Expression": "MIT OR Apache-2.0", "License": "MIT"}, "MIT OR Apache-2.0"),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
        (
            {"License": "Copyright (c) somebody, " * 9, "Classifier": "License :: OSI Approved :: BSD License"},
            "BSD License",
        ),
        ({"License": "UNKNOWN"}, UNDECLARED),
        ({}, UNDECLARED),
    ],
)
def test_a_licence_is_read_where_packages_declare_it(fields: dict[str, str], license_name: str, tmp_path: Path) -> None:
    message = Message()
    for name, value in ({"Metadata-Version": "2.4", "Name": "x", "Version": "1"} | fields).items():
        message[name] = value
    folder = tmp_path / "x-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(message.as_string(), "utf-8")
    assert license_of(metadata.PathDistribution(folder)) == license_name
