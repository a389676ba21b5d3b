"""Every package that the code imports is one that pyproject.toml requires."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
OURS = {"detector", "facet", "gallery", "recognizer", "scripts", "tests"}
SAME = {"opencv-python": "opencv-python-headless"}
"""Both install the package cv2; see scripts/environment.sh."""


def test_every_imported_package_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    required = {canonicalize_name(Requirement(each).name) for each in listed}
    installed = packages_distributions()
    missing = {
        f"{name} in {path.relative_to(ROOT)}"
        for package in ("detector", "facet", "gallery", "recognizer")
        for path in (ROOT / package).rglob("*.py")
        for name in imported(ast.parse(path.read_text("utf-8")))
        if name not in OURS | sys.stdlib_module_names
        # Packages that are not installed here, such as ultralytics, cannot be looked up.
        and name in installed
        and not required & {canonicalize_name(SAME.get(each, each)) for each in installed[name]}
    }
    assert not missing


def imported(tree: ast.AST) -> Iterator[str]:
    """The top-level packages of all absolute imports, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
