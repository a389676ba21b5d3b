"""Environments into which a distribution is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL_SECONDS = 900
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Install a wheel into an empty environment and return its Python.

    With ``dependencies=False`` the environment borrows the dependencies of the Python that runs the tests. That shows
    what the wheel contains in seconds; the full installation shows that it requires what it needs.
    """

    def make(wheel: Path, *, dependencies: bool) -> Path:
        folder = tmp_path / "installed"
        venv.create(folder, with_pip=True)
        python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
        if not dependencies:
            command.append("--no-deps")
        subprocess.run(command, timeout=INSTALL_SECONDS, check=True)
        if not dependencies:
            packages = next(folder.glob("lib/python*/site-packages"))
            (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
        return python

    return make
