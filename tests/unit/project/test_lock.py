"""``requirements/`` pins what pyproject.toml requires, every package by its digests."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import EDITABLE, INCLUDED, NOTICE, blocks

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CLIENT = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))
LEFT_OUT = set(PROJECT["tool"]["uv"]["exclude-dependencies"])
"""Packages that others require and that are not installed."""


def text_of(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")


def pins(name: str) -> dict[str, Requirement]:
    """The pins of a file and of those that it includes, by package; of several, the one for this Python."""
    found: dict[str, Requirement] = {}
    for package, block in blocks(text_of(name)).items():
        for line in re.findall(r"^(?=\S)(.+) \\$", block, re.MULTILINE):
            pin = Requirement(line)
            if package not in found or (pin.marker and pin.marker.evaluate()):
                found[package] = pin
    for included in INCLUDED[name]:
        found |= pins(included)
    return found


def required(name: str) -> list[Requirement]:
    project = PROJECT["project"]
    if name == "build":
        return [Requirement(each) for each in (*PROJECT["build-system"]["requires"], EDITABLE)]
    extra = project["optional-dependencies"].get(name, [])
    return [Requirement(each) for each in (*project["dependencies"], *extra)]


def test_there_is_a_file_for_every_extra() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    assert {path.stem for path in (ROOT / "requirements").iterdir()} == extras | {"base", "build"} == set(INCLUDED)


@pytest.mark.parametrize("name", INCLUDED)
def test_every_line_is_a_package_with_digests(name: str) -> None:
    lines = text_of(name).removeprefix(NOTICE).splitlines()
    includes = [f"-r {included}.txt" for included in INCLUDED[name]]
    assert lines[: len(includes)] == includes
    body = "\n".join(lines[len(includes) :]) + "\n"
    digest = r"--hash=sha256:[0-9a-f]{64}"
    package = rf"[a-z0-9-]+==[^\s;]+(?: ; [^\\\n]+)? \\\n(?:    {digest} \\\n)*    {digest}\n"
    assert re.fullmatch(f"(?:{package})+", body)


@pytest.mark.parametrize("name", INCLUDED)
def test_what_pyproject_requires_is_pinned(name: str) -> None:
    found = pins(name)
    for each in required(name):
        if each.marker and not each.marker.evaluate():
            continue
        if each.name == PROJECT["project"]["name"]:
            assert each.extras <= set(INCLUDED[name])
            continue
        pinned = found[canonicalize_name(each.name)]
        assert each.specifier.contains(version_of(pinned), prereleases=True), f"{each} is pinned as {pinned}"


@pytest.mark.parametrize("name", [name for name in INCLUDED if name != "export"])
def test_what_a_pinned_package_requires_is_pinned_too(name: str) -> None:
    """pip installs the files without dependencies, so nothing may be missing. The export's packages are not here."""
    found = pins(name)
    for package, pinned in found.items():
        if pinned.marker and not pinned.marker.evaluate():
            continue
        for line in requirements_of(package):
            each = Requirement(line)
            if (each.marker and not each.marker.evaluate({"extra": ""})) or canonicalize_name(each.name) in LEFT_OUT:
                continue
            assert each.specifier.contains(version_of(found[canonicalize_name(each.name)]), prereleases=True), package


def requirements_of(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs {package}: scripts/install dev")


def test_the_client_can_be_installed_from_the_pins_of_the_server() -> None:
    found = pins("base")
    for each in map(Requirement, CLIENT["project"]["dependencies"]):
        assert each.specifier.contains(version_of(found[canonicalize_name(each.name)]))


def test_files_agree_on_versions() -> None:
    versions: dict[str, str] = {}
    for name in INCLUDED:
        for package, pinned in pins(name).items():
            assert versions.setdefault(package, version_of(pinned)) == version_of(pinned)


def test_no_file_names_an_index() -> None:
    assert not [name for name in INCLUDED if re.search(r"://|--(?:extra-)?index-url|--find-links", text_of(name))]


def version_of(pinned: Requirement) -> str:
    (specifier,) = pinned.specifier
    assert specifier.operator == "=="
    return specifier.version
