"""What to type if this environment cannot run a command.

Python is too old, a package or library is missing, or another distribution has overwritten files of this one.

This file keeps to the syntax of Python 3.8 and imports only the standard library.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

DISTRIBUTION, CLIENT_DISTRIBUTION = "facet-recognition", "facet-recognition-client"
OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package ``facet``: a clone, or ``site-packages``."""

_LIBRARY = re.compile(r"lib[\w+-]+\.so[\w.]*")


def too_old() -> str:
    """What to do about a Python that is too old, in one line; empty if it is not."""
    if sys.version_info >= OLDEST:
        return ""
    found = f"Facet needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is Python {sys.version.split()[0]}"
    return f"{found}: {_new_environment() or 'install it into an environment of a newer one'}"


def overlap() -> str:
    """What to do if the client's distribution is installed beside the server's, in one line; empty if it is not.

    Both contain the client. Each overwrites the files of the other, and takes them along when it is uninstalled.
    """
    from importlib import metadata

    try:
        metadata.version(CLIENT_DISTRIBUTION)
        server = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""
    pip = f"{_python()} -m pip"
    return (
        f"{DISTRIBUTION} contains {CLIENT_DISTRIBUTION}, which is installed beside it and overwrites its files: type "
        f"{pip} uninstall --yes {CLIENT_DISTRIBUTION}{_reinstall(server)}"
    )


def remedy(error: ImportError) -> str:
    """What to do about an import that failed, in one line; empty if the error is one of the code."""
    if library := _LIBRARY.search(str(error)):
        return f"{library[0]} is missing on this machine{_headless(error)}"
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not module or _is_there(module):
        return ""
    return f"{module} is not installed for {_python()}: {_environment() or f'type {_requirements()}'}"


def _is_there(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _environment() -> str:
    """How to complete the environment of a clone, or to make it and do the same in it; empty if this is not a clone."""
    script = ROOT / "scripts" / "install"
    if script.is_file() and Path(sys.prefix) == ROOT / ".venv":
        return f"type {shlex.quote(str(script))} base"
    return _new_environment()


def _new_environment() -> str:
    """How to make the environment of a clone and do the same in it; empty if this is not a clone."""
    script = ROOT / "scripts" / "run"
    if not script.is_file():
        return ""
    started = ["-m", "facet"] if sys.argv[0].endswith("__main__.py") else sys.argv[:1]
    again = " ".join(map(shlex.quote, [f"{ROOT}/.venv/bin/python", *started, *sys.argv[1:]]))
    return f"{shlex.quote(str(script))} makes an environment that has it; then type {again}"


def _requirements() -> str:
    """The command that installs what the distribution requires."""
    from importlib import metadata

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        lines = []
    packages = [line.partition(";")[0].strip() for line in lines if "extra ==" not in line]
    return f"{_python()} -m pip install {' '.join(map(shlex.quote, packages))}"


def _reinstall(distribution: Distribution) -> str:
    """How to install a distribution again, after a command: from its file, folder or address if pip wrote it down."""
    import json

    direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    if "url" not in direct or "vcs_info" in direct:
        return f", then reinstall {DISTRIBUTION} from where you got it"
    editable = "-e " if direct.get("dir_info", {}).get("editable") else ""
    source = editable + shlex.quote(direct["url"])
    return f" && {_python()} -m pip install --force-reinstall --no-deps {source}"


def _headless(error: ImportError) -> str:
    """OpenCV's desktop build needs libraries of a desktop; its headless build has all that is used here."""
    from importlib import metadata

    try:
        version = metadata.version("opencv-python")
    except metadata.PackageNotFoundError:
        return ""
    if "cv2" not in f"{error.name} {error.path}":
        return ""
    install = f"{_python()} -m pip install --force-reinstall --no-deps opencv-python-headless=={version}"
    return f", which OpenCV's desktop build needs; for its headless build type {install}"


def _python() -> str:
    return shlex.quote(sys.executable)
