"""The distribution of the server: what it contains, and that it serves from an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from facet import Client, __version__
from facet.v1.recognition_service_pb2 import DECISION_MATCH
from tests.conftest import PATIENCE, Pictures
from tests.integration.distribution.conftest import Install

pytest.importorskip("build", reason="needs build: scripts/install dev")
pytest.importorskip("hatchling", reason="needs hatchling: scripts/install dev")

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("detector", "facet", "gallery", "recognizer")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist and of the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"facet_recognition-{__version__}-py3-none-any.whl"


def sources(*packages: str) -> set[str]:
    """The files of packages in this tree, relative to its root."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_contains_the_packages_and_the_protos_and_nothing_else(wheel: Path) -> None:
    metadata = f"facet_recognition-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(metadata)}
        licenses = {name for name in archive.namelist() if name.startswith(f"{metadata}/licenses/")}
    protos = {f"facet/v1/{path.name}" for path in (ROOT / "proto" / "facet" / "v1").glob("*.proto")}
    assert names == sources(*PACKAGES) | protos
    assert licenses == {f"{metadata}/licenses/LICENSE"}
    assert {
        "facet/evaluation/datasets/clips/hamilton.csv",
        "facet/evaluation/report/report.html.jinja",
        "facet/py.typed",
    } <= names


def test_the_sdist_contains_what_the_wheel_is_built_from(built: Path) -> None:
    with tarfile.open(built / f"facet_recognition-{__version__}.tar.gz") as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    wanted = sources(*PACKAGES, "proto") | {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
    assert names == wanted | {".gitignore", "PKG-INFO"}


def test_the_installed_wheel_serves_without_the_clone(
    wheel: Path, install: Install, pictures: Pictures, tmp_path: Path
) -> None:
    assert_serves(install(wheel, dependencies=False), pictures, tmp_path)


@pytest.mark.skipif(not os.environ.get("REQUIRE_INSTALL"), reason="installs 850 MB: set REQUIRE_INSTALL=1")
def test_the_wheel_and_what_it_requires_serve(
    wheel: Path, install: Install, pictures: Pictures, tmp_path: Path
) -> None:
    assert_serves(install(wheel, dependencies=True), pictures, tmp_path)


def assert_serves(python: Path, pictures: Pictures, folder: Path) -> None:
    """Start the installed server in an empty folder, enrol a man, and identify him."""
    facet = python.parent / "facet"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FACET_", "PYTHON"))}
    said = subprocess.run([facet, "--version"], capture_output=True, text=True, env=environment, check=True)
    assert __version__ in said.stdout
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [facet, "serve", "--json", "--server.port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, (folder / "log").read_text("utf-8")
        with Client(json.loads(first)["address"]) as client:
            client.create_gallery("team")
            client.enroll("team", "yao", pictures.yaoming)
            faces = client.identify("team", pictures.yaoming).faces
        assert [face.identification.decision for face in faces] == [DECISION_MATCH]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
