"""What people are told to install: never the stranger's package "facet", always with a Python that is named."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from facet.runtime.extras import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[3]
FORBIDDEN = {
    "names the package facet, which is another project's on PyPI": re.compile(
        r"pip3? install[^\n]*\bfacet(?![-/\w.])|['\"`]facet\[\w"
    ),
    "installs our own name from PyPI, where it is not ours yet": re.compile(
        r"pip3? install[^\n]*\bfacet-recognition(?:-client)?(?![-\w.])|\bDISTRIBUTION\}=="
    ),
    "does not say with which Python": re.compile(r"(?<!-m )\bpip3? install\b"),
}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    result = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / line for line in result.stdout.splitlines() if (ROOT / line).is_file()]


def test_nothing_tells_anybody_to_install_another_projects_facet(tracked: list[Path]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number} {reason}: {line.strip()}"
        for path in tracked
        if path != Path(__file__) and path.suffix not in {".binpb", ".lock", ".zip"}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for reason, pattern in FORBIDDEN.items()
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_name_in_messages_is_the_name_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == DISTRIBUTION


def test_the_install_script_knows_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    script = (ROOT / "scripts" / "install").read_text("utf-8")
    assert all(re.search(rf"^  {extra} +\w", script, re.MULTILINE) for extra in project["optional-dependencies"])
