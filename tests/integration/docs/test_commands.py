"""Every command and every Python block of the README and the docs is checked, and run if it can be run here.

Flags are always checked against the command's own. Commands that need a network, a labelled set, minutes, or a terminal
are not run: :data:`NOT_RUN` gives the reason for each kind.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client
from facet.server.config import load

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    path
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md")
    if path.name != "CHANGELOG.md"
]
PATIENCE = 120
ADDRESS = "127.0.0.1:50051"

NOT_RUN = {
    r"facet bench ": "takes minutes; the tests of the benchmarks run them small",
    r"facet serve\b": "runs until it is stopped; its settings are loaded instead",
    r"\.\./shared|\bDIR\b|\bFILE\b|LABELS_DIR|three\.csv": "needs a labelled set; the tests of the command bring one",
    r"facet (calibrate|evaluate) ": "needs a labelled set; the tests of the command bring one",
    r"facet camera ": "needs a camera; the tests of the command send a film",
    r"facet models fetch": "needs a network",
    r"facet models export|export_yolo\.py": "needs the extra export; scripts/test_export runs it",
    r"--watch": "runs until it is stopped",
    r"facet gallery restore": "needs a stopped server; the tests of the command restore",
    r"--install-completion": "changes the start-up files of the shell",
}
"""Regular expressions of commands that are not run, and the reason."""

SHELL = r"(source|export|awk|cd|git) .*|python3? -m venv .*|scripts/\w+.*|.*python3? (-m pip|examples/|scripts/).*|n(pm|ode) .*"
"""Lines of a shell that are no command of Facet's; scripts and installations are run by .ci/run."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a shell block, continued lines joined and comments removed."""

    document: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text}"


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def lines() -> Iterator[Line]:
    """All lines of all shell blocks, in order."""
    for document in DOCUMENTS:
        for block in blocks(document, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if plain := " ".join(re.sub(r"(^|\s)#.*$", "", line).split()):
                    yield Line(document.relative_to(ROOT).as_posix(), plain)


LINES = list(lines())
COMMANDS = [line for line in LINES if line.text.startswith("facet ")]
PYTHON = [
    pytest.param(block, id=f"{document.relative_to(ROOT)}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(blocks(document, "python"), 1)
]


@pytest.fixture(scope="module")
def environment(server: Serving) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    return inherited | {"FACET_ADDRESS": server.address, "PATH": path, "COLUMNS": "80"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: Serving, pictures: Pictures) -> Iterator[Path]:
    """A folder as scripts/run leaves it, with the files that the documents name, and a server without their galleries."""
    folder = tmp_path_factory.mktemp("documents")
    for path, picture in {
        "out/people/Yao Ming.jpg": pictures.yaoming,
        "out/photos/players.jpg": pictures.players,
        "people/Yao Ming.jpg": pictures.yaoming,
        "photos/players.jpg": pictures.players,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(picture)
    (folder / "facet.sqlite3").write_bytes(b"")
    with sqlite3.connect(server.database) as live, sqlite3.connect(folder / "facet.sqlite3") as copy:
        live.backup(copy)
    yield folder
    with Client(server.address) as client:
        for gallery in ("team", "team-2", "rockets"):
            client.delete_gallery(gallery, force=True)


def test_every_line_of_a_shell_block_is_a_command_that_is_checked() -> None:
    unknown = [str(line) for line in LINES if line not in COMMANDS and not re.fullmatch(SHELL, line.text)]
    assert not unknown


@pytest.mark.parametrize("line", COMMANDS, ids=str)
def test_a_documented_command_runs_as_written(line: Line, folder: Path, environment: dict[str, str]) -> None:
    words = shlex.split(line.text)
    if words[1] == "serve":
        load([word for word in words[2:] if word != "--help"])
        return
    reason = next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, line.text)), "")
    if reason and "--help" not in words:
        words.append("--help")  # the flags before it are parsed, and an unknown one is refused
    ran = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("block", PYTHON)
def test_a_documented_program_runs_as_written(
    block: str, folder: Path, environment: dict[str, str], server: Serving
) -> None:
    program = block.replace(ADDRESS, server.address)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
