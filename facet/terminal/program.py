"""How a command of ours is typed: ``facet serve`` when installed, ``scripts/serve.py`` from a clone's scripts."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from facet.terminal.installation import ROOT

NAME = "facet"

_SCRIPTS = ROOT / "scripts"
_RENAMED = {"people": "enroll", "models fetch": "fetch_models", "models export": "export_yolo"}
_COMMAND = re.compile(rf"\b{NAME} (?P<command>models (?:fetch|export)|[a-z]+)\b")


def script() -> str:
    """The name of the script that this program was started as, such as ``serve.py``; empty for any other program."""
    started = Path(sys.argv[0])
    return started.name if started.suffix == ".py" and started.resolve().parent == _SCRIPTS else ""


def name(command: str) -> str:
    """What to call this program at the start of an error: ``serve.py``, or ``facet serve``."""
    return script() or f"{NAME} {command}"


def spelled(text: str) -> str:
    """A text that names commands as ``facet serve``, rewritten to name the scripts if one of them was started.

    A command that has no script of its own stays as it is.
    """
    return script_for(text) if script() else text


def script_for(text: str) -> str:
    """A text that names commands as ``facet serve``, rewritten to name the scripts of a clone."""
    return _COMMAND.sub(_as_script, text)


def _as_script(match: re.Match[str]) -> str:
    command = match["command"]
    file = f"{_RENAMED.get(command, command)}.py"
    return f"scripts/{file}" if (_SCRIPTS / file).is_file() else match[0]
