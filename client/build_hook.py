"""What the build of the client takes from the repository: the sources and their version.

The sources lie beside this folder in a clone, and inside it in the sdist, so that either can be built.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
FACET = next(folder / "facet" for folder in (HERE, HERE.parent) if (folder / "facet" / "client").is_dir())
PARTS = ("__init__.py", "__main__.py", "py.typed", "client/**/*.py", "v1/*.py", "v1/*.pyi")


def version() -> str:
    """``__version__`` of the package, which is not imported: its dependencies may be missing."""
    found = re.search(r'^__version__ = "(.+)"$', (FACET / "__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{FACET}/__init__.py has no __version__")
    return found[1]


class ClientBuildHook(BuildHookInterface):
    """Adds the client's part of the package ``facet``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling passes both
        """Name the files to include. The wheel takes the licence from the sdist, where the sdist puts it here."""
        for part in PARTS:
            for file in FACET.glob(part):
                build_data["force_include"][str(file)] = f"facet/{file.relative_to(FACET).as_posix()}"
        if self.target_name == "sdist":
            build_data["force_include"][str(FACET.parent / "LICENSE")] = "LICENSE"
