"""What a program says when Ctrl-C ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = """
from facet.terminal import console

def plain() -> None:
    raise KeyboardInterrupt

def telling() -> None:
    with console.telling_when_stopped(lambda: "3 of 4 are done"):
        raise KeyboardInterrupt

def failing() -> None:
    console.fail("no", 130)
"""


@pytest.mark.parametrize(
    ("command", "said"), [("plain", "stopped\n"), ("telling", "stopped: 3 of 4 are done\n"), ("failing", "no\n")]
)
def test_an_interrupted_command_says_so_once(command: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "commands.py").write_text(COMMANDS)
    program = f"from facet.terminal.command_line.lazy import run; run('commands:{command}')"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)
