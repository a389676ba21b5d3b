"""Every command and every Python block of the README and the docs is checked, and run if it can be run here.

Flags are always checked against the command's own. Commands that need a network, a labelled set, minutes, or a terminal
are not run; :data:`NOT_RUN` gives the reason for each.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from facet import Client
from facet.cli.app import app
from facet.server.config import load

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
DOCUMENTS = [
    path
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*/README.md")))
    if path.name != "CHANGELOG.md"
]
PATIENCE = 120

NOT_RUN = (
    (r"facet bench ", "takes minutes; the tests of benchmarks run them in small"),
    (r"facet serve", "runs until it is stopped; its settings are loaded"),
    (r"\.\./shared|three\.csv|\bDIR\b|\bFILE\b|LABELS_DIR", "needs a labelled set; the tests of evaluation bring one"),
    (r"facet (calibrate|evaluate) ", "needs a labelled set; the tests of the command bring one"),
    (r"facet camera ", "needs a camera; the tests of the command send a film"),
    (r"facet models fetch", "needs a network"),
    (r"facet models export|export_yolo\.py", "needs the extra export; scripts/test_export runs it"),
    (r"facet status --watch", "runs until it is stopped"),
    (r"facet gallery restore", "needs a stopped server; the tests of the command restore"),
    (r"--install-completion", "changes the shell's start-up files"),
)
"""Commands that are not run, as regular expressions, and the reason."""

SHELL = re.compile(r"^(scripts/(run|test|test_export)\b.*|source .*|export \w+=.*|awk .*|python3? -m venv .*)$")
"""Lines that are the shell's, or that .ci/run runs."""
INSTALLS = re.compile(r"-m pip install ")


@dataclass(frozen=True, slots=True)
class Documented:
    """A line of a shell block, continued lines joined and comments removed."""

    document: str
    line: str

    def __str__(self) -> str:
        return f"{self.document}: {self.line}"


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def documented() -> Iterator[Documented]:
    """All lines of all shell blocks, in order."""
    for document in DOCUMENTS:
        for block in blocks(document, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                plain = re.sub(r"(^|\s)#.*$", "", line).strip()
                if plain:
                    yield Documented(document.relative_to(ROOT).as_posix(), " ".join(plain.split()))


COMMANDS = list(documented())
FACET = [each for each in COMMANDS if each.line.startswith("facet ")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: Serving, pictures: Pictures) -> Iterator[Path]:
    """A folder as scripts/run leaves it, with what the documents name beside it."""
    folder = tmp_path_factory.mktemp("documents")
    for path, picture in {
        "out/people/Yao Ming.jpg": pictures.yaoming,
        "out/photos/players.jpg": pictures.players,
        "people/Yao Ming.jpg": pictures.yaoming,
        "photos/players.jpg": pictures.players,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(picture)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    empty = subprocess.run(
        [BIN / "facet", "gallery", "verify", "none.sqlite3"], cwd=folder, env=environment, capture_output=True, check=False
    )
    assert empty.returncode == 1
    with Client(server.address) as client:
        yield folder
        for gallery in ("team", "team-2", "rockets"):
            client.delete_gallery(gallery, force=True)
