"""``scripts/install`` in a clone whose environment is a stand-in: its pip only writes down what it was asked for."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    for name in ("install", "environment.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").touch()
    requirements = ("facet-base>=1", 'facet-av>=2; extra == "camera"', 'facet-recognition[camera]; extra == "dev"')
    put(tmp_path, "facet-recognition", "1", *requirements)
    put(tmp_path, "facet-base", "1")
    put(tmp_path, "facet-av", "2")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"""#!/bin/sh
        cd {shlex.quote(str(tmp_path))}
        [ "$1" = - ] || {{ echo "$@" >> asked; exit "$([ "$1" = -m ]; echo $?)"; }}
        PYTHONPATH=site exec {shlex.quote(sys.executable)} "$@"
        """
    )
    python.chmod(0o755)
    return tmp_path


def put(clone: Path, name: str, version: str, *requirements: str) -> None:
    """Install a package into the stand-in: no more than its description."""
    information = clone / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (information / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {each}" for each in requirements)]))


def install(clone: Path, *extras: str) -> tuple[str, set[str]]:
    """Run the script; returns what it said, and the files of requirements that pip was asked to install."""
    (clone / "asked").unlink(missing_ok=True)
    command = [str(clone / "scripts" / "install"), *extras]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    asked = (clone / "asked").read_text() if (clone / "asked").exists() else ""
    return done.stderr, set(re.findall(r"requirements/(\w+)\.txt", asked))


@pytest.mark.parametrize("extras", [["camera"], ["camera", "milvus"], ["base"]])
def test_extras_are_installed_once(clone: Path, extras: list[str]) -> None:
    said, first = install(clone, *extras)
    assert "installing into .venv" in said
    assert first == {"base", "build", *extras}
    assert install(clone, *extras) == (f"already installed in .venv: {' '.join(extras)}\n", set())


@pytest.mark.parametrize("extra", ["camera", "dev"])
def test_a_package_that_was_removed_is_installed_again(clone: Path, extra: str) -> None:
    install(clone, extra)
    shutil.rmtree(clone / "site" / "facet_av-2.dist-info")
    assert install(clone, extra)[1] == {"base", "build", extra}
    put(clone, "facet-av", "1")
    assert install(clone, extra)[1] == {"base", "build", extra}


def test_a_package_that_facet_always_needs_is_installed_again_with_any_extra(clone: Path) -> None:
    install(clone, "milvus")
    shutil.rmtree(clone / "site" / "facet_base-1.dist-info")
    assert install(clone, "milvus")[1] == {"base", "build", "milvus"}
    assert install(clone, "base")[1] == {"base", "build"}


def test_a_changed_list_of_requirements_is_installed(clone: Path) -> None:
    install(clone, "camera")
    (clone / "requirements" / "base.txt").write_text("facet-av==3\n")
    assert install(clone, "camera")[1] == {"base", "build", "camera"}


def test_pip_installs_only_files_with_known_digests_and_builds_nothing_but_facet(clone: Path) -> None:
    install(clone, "camera")
    packages, facet = (clone / "asked").read_text().splitlines()
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(packages.split())
    assert facet.endswith("--no-deps --no-build-isolation --editable .")
