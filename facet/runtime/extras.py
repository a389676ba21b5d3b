"""Optional dependencies: the command that installs them where Facet is running."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import sys
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "facet-recognition"
"""Facet's name in package registries. The name "facet" belongs to another project there."""

ROOT = Path(__file__).resolve().parents[2]
"""The clone, or the folder site-packages."""


_OF_ITS_OWN = ("export", ROOT / ".venv-export" / "bin" / "facet")
"""The extra that ``scripts/install`` puts into an environment of its own, and the command there."""


def install_command(extra: str, *, then: str = "") -> str:
    """The shell command that installs the packages of an extra, for the message that one of them is missing.

    From a clone it is ``scripts/install``, which keeps to the tested versions. Elsewhere it names the packages one by
    one: they install from any directory and into the Python that is running.

    Args:
        extra: a key of ``project.optional-dependencies`` in ``pyproject.toml``.
        then: the arguments of the command ``facet`` that needs it, such as "models export yolo11n.pt". If the packages
            go into an environment of their own, the command to type there is added.
    """
    script = ROOT / "scripts" / "install"
    if script.is_file():
        if Path(sys.prefix) == ROOT / ".venv":
            install = shlex.join([_shortest(script), extra])
            name, facet = _OF_ITS_OWN
            return f"{install} && {shlex.quote(_shortest(facet))} {then}" if then and extra == name else install
        return shlex.join([_shortest(Path(sys.executable)), "-m", "pip", "install", "-e", f"{ROOT}[{extra}]"])
    return shlex.join([_shortest(Path(sys.executable)), "-m", "pip", "install", *_packages(extra)])


def _packages(extra: str) -> list[str]:
    listed = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or ()]
    return [
        f"{each.name}{each.specifier}"
        for each in listed
        if each.marker and each.marker.evaluate({"extra": extra}) and not each.marker.evaluate({"extra": ""})
    ]


def _shortest(path: Path) -> str:
    """A path as somebody types it in the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
