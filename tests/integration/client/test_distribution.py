"""The distribution of the client: what it contains, what it brings along, and the server's beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import __version__

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

pytest.importorskip("build", reason="needs build: scripts/install dev")
pytest.importorskip("hatchling", reason="needs hatchling: scripts/install dev")

ROOT = Path(__file__).resolve().parents[3]
MAX_BYTES = 45_000_000
WANTED = {"facet-recognition-client", "googleapis-common-protos", "grpcio", "protobuf"}
OF_GRPC = {"typing_extensions"}
PIP = {"pip", "setuptools"}
INSTALL_SECONDS = 300

PROGRAM = """
import sys
from facet import Client, __version__
from facet.v1.recognition_service_pb2 import DECISION_MATCH
assert "numpy" not in sys.modules
with Client(sys.argv[1]) as client:
    gallery = client.create_gallery().gallery_id
    client.enroll(gallery, "yao", sys.argv[2], display_name="Yao Ming")
    (face,) = client.identify(gallery, sys.argv[2]).faces
    assert face.identification.decision == DECISION_MATCH
    print(face.identification.candidates[0].display_name, __version__)
"""


def build(folder: Path, *flags: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *flags]
    run = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def clean() -> dict[str, str]:
    """The environment without what would lend a program the packages of this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FACET_", "PYTHON"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, built from its sdist."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT / "client", "--outdir", str(out))
    assert (out / f"facet_recognition_client-{__version__}.tar.gz").is_file()
    return out / f"facet_recognition_client-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which the client was installed, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    command = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", str(wheel)]
    run = subprocess.run(command, capture_output=True, text=True, env=clean(), timeout=INSTALL_SECONDS, check=False)
    if run.returncode and "No matching distribution found" in run.stderr:
        pytest.skip("needs a package registry, and none answers")
    assert run.returncode == 0, run.stderr
    return interpreter


def packages_of(python: Path) -> Path:
    return next(python.parent.parent.glob("lib/python*/site-packages"))


def installed(python: Path) -> set[str]:
    program = "from importlib.metadata import distributions; print(*(each.name for each in distributions()))"
    run = subprocess.run([python, "-c", program], capture_output=True, text=True, env=clean(), check=True)
    return set(run.stdout.split())


def test_the_wheel_contains_the_client_and_the_wire_and_nothing_else(wheel: Path) -> None:
    expected = {"facet/__init__.py", "facet/__main__.py", "facet/py.typed"}
    for folder, kinds in (("client", {".py"}), ("v1", {".py", ".pyi"})):
        files = (ROOT / "facet" / folder).rglob("*")
        expected |= {file.relative_to(ROOT).as_posix() for file in files if file.suffix in kinds}
    metadata = f"facet_recognition_client-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if not name.startswith(metadata)} == expected
    assert f"{metadata}/licenses/LICENSE" in names


def test_the_client_brings_its_three_dependencies_and_weighs_little(python: Path) -> None:
    assert installed(python) - PIP == WANTED | OF_GRPC
    packages = packages_of(python)
    size = sum(
        file.stat().st_size
        for file in packages.rglob("*")
        if file.is_file() and not file.relative_to(packages).parts[0].startswith(("pip", "setuptools", "pkg_resources"))
    )
    assert size <= MAX_BYTES


def test_the_installed_client_identifies_people(
    python: Path, server: Serving, pictures: Pictures, tmp_path: Path
) -> None:
    picture = tmp_path / "yao.jpg"
    picture.write_bytes(pictures.yaoming)
    command = [str(python), "-c", PROGRAM, server.address, str(picture)]
    run = subprocess.run(command, capture_output=True, text=True, env=clean(), cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"Yao Ming {__version__}\n"


def test_both_distributions_in_one_environment_are_told_what_to_do(python: Path, tmp_path: Path) -> None:
    build(ROOT, "--wheel", "--outdir", str(tmp_path))
    wheel = tmp_path / f"facet_recognition-{__version__}-py3-none-any.whl"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, env=clean(), timeout=INSTALL_SECONDS, check=True)
    command = [str(python), "-m", "facet.cli", "--version"]
    refused = subprocess.run(command, capture_output=True, text=True, env=clean(), cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert "facet-recognition contains facet-recognition-client" in line
    subprocess.run(line.partition(": type ")[2], shell=True, env=clean(), cwd=tmp_path, check=True)
    assert "facet-recognition-client" not in installed(python)
    again = subprocess.run(command, capture_output=True, text=True, env=clean(), cwd=tmp_path, check=False)
    assert "facet-recognition-client" not in again.stderr
    subprocess.run([python, "-c", "from facet import Client"], env=clean(), cwd=tmp_path, check=True)
