"""Every command and every Python block of the README and the docs is checked, and run if it can be run here.

Flags are always checked against the command's own. Commands that need a network, a labelled set, minutes, or a terminal
are not run: :data:`NOT_RUN` gives the reason for each kind. The commands of migration.md are the steps of one
migration: they run in their order, against a server with two models.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from facet import CENTRAL, Client, NotFound
from facet.cli.app import app
from facet.server.audit.chain.entry import Draft
from facet.server.audit.chain.files import default_head, default_key
from facet.server.audit.chain.log import AuditLog, LogSettings, time_text
from facet.server.config import load
from facet.v1.gallery_service_pb2 import DeleteGalleryRequest
from gallery.times import now
from tests.conftest import start_server
from tests.second_model import write_second_model

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    path
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md")
    if path.name != "CHANGELOG.md"
]
PATIENCE = 120
MIGRATION = "docs/migration.md"
NEW_MODEL = "mobilefacenet-128"
Folders = Callable[[str], Path]
ADDRESS = "127.0.0.1:50051"

NOT_RUN = {
    r"facet bench ": "takes minutes; the tests of the benchmarks run them small",
    r"facet serve\b": "runs until it is stopped; its settings are loaded instead",
    r"\.\./shared|\bDIR\b|\bFILE\b|LABELS_DIR|three\.csv": "needs a labelled set; the tests of the command bring one",
    r"facet (calibrate|evaluate) ": "needs a labelled set; the tests of the command bring one",
    r"facet gallery migrate calibrate ": "needs a labelled set; the tests of the command bring one",
    r"facet gallery migrate cancel ": "ends what the other commands need; the tests of the command cancel a migration",
    r"facet outcome ": "needs the id of an answer; the tests of the command report some",
    r"facet camera ": "needs a camera; the tests of the command send a film",
    r"facet models fetch": "needs a network",
    r"facet models export": "needs the extra export; scripts/test_export runs it",
    r"facet keys (rotate|revoke) ": "needs the id of a caller; the tests of the command make one",
    r"--ca certs/ca\.pem --certificate": "needs a server with TLS; the tests of mutual TLS start one",
    r"--watch": "runs until it is stopped",
    r"facet gallery copy ": "needs two servers; the tests of the command start them",
    r"facet gallery restore": "needs a stopped server; the tests of the command restore",
    r"--install-completion": "changes the start-up files of the shell",
}
"""Regular expressions of commands that are not run, and the reason."""

SHELL = "|".join(
    (
        r"(source|export|cd|git|awk|npm|node|buf|protoc) .*",
        r"scripts/\w+.*",
        r"pictures=.*",
        r"(psql|createdb|pg_dump|pg_restore) .*",
        r"\S*python3? (-m (venv|pip|build|pytest|tests\.faults\.matrix) |examples/|scripts/).*",
        r"\.venv/bin/(ruff|lint-imports|mypy).*",
        r"deploy/make-secrets",
        r"(docker|kubectl|systemctl|install|/opt/facet/bin/pip) .*|systemd-sysusers",
    )
)
"""Lines of a shell that are no command of Facet's. .ci/run, the tests of examples/ and deploy/, and
test_postgres_commands.py run them. Those of the last pattern are not run: they need an engine for containers, a
cluster, or the rights of an administrator. The tests of deploy/ check the files that they name."""


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
                    yield Line(document.relative_to(ROOT).as_posix(), plain.removeprefix(".venv-export/bin/"))


LINES = list(lines())
COMMANDS = [line for line in LINES if line.text.startswith("facet ")]
PYTHON = [
    pytest.param(document.relative_to(ROOT).as_posix(), block, id=f"{document.relative_to(ROOT)}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(blocks(document, "python"), 1)
]


@pytest.fixture(scope="module")
def environment(server: Serving) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    return inherited | {"FACET_ADDRESS": server.address, "PATH": path, "COLUMNS": "80"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, server: Serving, pictures: Pictures) -> Iterator[Folders]:
    """Make a folder for a document as scripts/run leaves it, with the files that the documents name."""
    made: dict[str, Path] = {}

    def folder_of(document: str) -> Path:
        if document not in made:
            made[document] = tmp_path_factory.mktemp("document")
            _fill(made[document], Path(server.said["configuration"]["gallery"]["database"]), pictures)
        return made[document]

    with Client(server.address) as client:
        client.create_gallery("team")
        client.enroll("team", "ann", pictures.gdp, face=CENTRAL)
        yield folder_of
        for gallery in ("team", "team-2", "rockets", "visitors"):
            with suppress(NotFound):
                client.galleries.DeleteGallery(DeleteGalleryRequest(gallery_id=gallery, force=True))


@pytest.fixture(scope="module")
def address_of_two_models(
    tmp_path_factory: pytest.TempPathFactory, folders: Folders, pictures: Pictures
) -> Iterator[str]:
    """A server with a second model, whose gallery has a person without a crop; the picture is among the originals."""
    model = write_second_model(tmp_path_factory.mktemp("models") / f"{NEW_MODEL}.onnx")
    serving = start_server(tmp_path_factory.mktemp("two-models"), "--models.embedding-next", str(model))
    original = folders(MIGRATION) / "originals" / "2019" / "scan 7.jpg"
    original.parent.mkdir(parents=True)
    original.write_bytes(pictures.gdp)
    with Client(serving.address) as client:
        client.create_gallery("team")
        client.enroll("team", "ann", pictures.gdp, face=CENTRAL)
    yield serving.address
    serving.stop()


def _fill(folder: Path, database: Path, pictures: Pictures) -> None:
    for parent in ("out/", ""):
        for name, picture in {"people/Yao Ming.jpg": pictures.yaoming, "photos/players.jpg": pictures.players}.items():
            path = folder / f"{parent}{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
    audit = folder / "audit"
    log = AuditLog(LogSettings(audit, default_head(audit), default_key(audit)))
    log.append([Draft(time_text(now()), "enrolled", caller="key:k1", gallery="team")])
    log.sync()
    log.close()
    with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(folder / "facet.sqlite3")) as copy:
        live.backup(copy)


def test_every_line_of_a_shell_block_is_a_command_that_is_checked() -> None:
    unknown = [str(line) for line in LINES if line not in COMMANDS and not re.fullmatch(SHELL, line.text)]
    assert not unknown


@pytest.mark.parametrize("line", COMMANDS, ids=str)
def test_a_documented_command_runs_as_written(
    line: Line,
    folders: Folders,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    words = shlex.split(line.text)
    if words[1] == "serve" and "--help" not in words:
        monkeypatch.setenv("FACET_SERVER__TOKEN", "a-token-as-the-document-exports-it")
        load(words[2:])
        return
    reason = next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, line.text)), "")
    if reason or "--help" in words:
        # Flags before --help are parsed, and an unknown one is refused.
        shown = CliRunner().invoke(app, [*words[1:], "--help"])
        assert shown.exit_code == 0, shown.output
        return
    if line.document == MIGRATION:
        environment = environment | {"FACET_ADDRESS": request.getfixturevalue("address_of_two_models")}
    ran = subprocess.run(
        words,
        cwd=folders(line.document),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(("document", "block"), PYTHON)
def test_a_documented_program_runs_as_written(
    document: str, block: str, folders: Folders, environment: dict[str, str], server: Serving
) -> None:
    program = block.replace(ADDRESS, server.address)
    exported = folders(document) / "team.parquet"
    if not exported.exists():  # galleries.md exports it with a command before its program reads it
        with Client(server.address) as client:
            exported.write_bytes(b"".join(client.export_gallery("team")))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folders(document),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
