"""How a command of ours is typed: ``facet serve`` when installed, ``scripts/serve.py`` from a clone's scripts."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from facet.terminal.installation import ROOT

NAME = "facet"

_SCRIPTS = ROOT / "scripts"
_RENAMED = {"people": "enroll", "models fetch": "fetch_models", "models export": "export_yolo"}
_COMMAND = re.compile(rf"(?<![\w/]){NAME} (?P<command>models (?:fetch|export)|[a-z]+)\b")


def script() -> str:
    """The name of the script that this program was started as, such as ``serve.py``; empty for any other program."""
    started = Path(sys.argv[0])
    return started.name if started.suffix == ".py" and started.resolve().parent == _SCRIPTS else ""


def name(command: str) -> str:
    """What to call this program at the start of an error: ``serve.py``, or ``facet serve``."""
    return script() or f"{NAME} {command}"


def spelled(text: str) -> str:
    """A text that names commands as ``facet serve``, rewritten to name the scripts if one of them was started.

    A script is named by a path that works in the same folder. A command that has no script stays as it is.
    """
    return _with_scripts(text, Path(sys.argv[0]).parent) if script() else text


def script_for(text: str) -> str:
    """A text that names commands as ``facet serve``, rewritten to name the scripts of a clone."""
    return _with_scripts(text, Path("scripts"))


def _with_scripts(text: str, folder: Path) -> str:
    def as_script(match: re.Match[str]) -> str:
        command = match["command"]
        file = f"{_RENAMED.get(command, command)}.py"
        return shlex.quote(str(folder / file)) if (_SCRIPTS / file).is_file() else match[0]

    return _COMMAND.sub(as_script, text)
