"""What the documents promise is there, and what is there is documented."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from facet.cli.app import app
from facet.server.config import Config
from facet.terminal.command_line.lazy import LazyGroup
from facet.terminal.command_line.program import script_for

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted(path.name for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text("utf-8"))
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
PROSE = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `(\w+\.\w+)` \| (?:`(.*?)`)? ?\|", text, re.MULTILINE))
    settings = {
        f"{section}.{name}": getattr(getattr(Config(), section), name)
        for section, field in Config.model_fields.items()
        for name in field.annotation.model_fields  # type: ignore[union-attr]
    }
    assert documented.keys() == settings.keys()
    for setting, value in settings.items():
        plain = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        assert documented[setting].lower() == plain.lower(), setting


def command_tree(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command below a group, such as ("gallery", "backup")."""
    for name, command in group.commands.items():
        found = group.load(name) if isinstance(group, LazyGroup) else command
        yield (*path, name)
        if isinstance(found, TyperGroup):
            yield from command_tree(found, *path, name)


def help_of(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="facet", catch_exceptions=False)
    return " ".join(result.stdout.split())


COMMANDS = [*command_tree(typer.main.get_command(app))]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_teaches_its_use(words: tuple[str, ...]) -> None:
    said, whole = help_of(*words), help_of(words[0])
    assert f"Usage: facet {' '.join(words)}" in said
    assert len(said) > 300
    assert "--json" in said + whole
    assert "Exit code" in said + whole


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_documented(words: tuple[str, ...]) -> None:
    command, prose = "facet " + " ".join(words), " ".join(PROSE.split())
    assert command in prose or script_for(command).removeprefix("scripts/") in prose


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_script_teaches_its_use(program: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / program), "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert f"Usage: {program}" in words
    assert "--json" in words
    assert "Exit code" in words


def test_help_of_a_script_names_scripts_and_help_of_the_command_names_the_command() -> None:
    for command, ours, other in (
        ([sys.executable, str(ROOT / "scripts" / "gallery.py")], "scripts/gallery.py backup", "facet gallery backup"),
        ([sys.executable, "-m", "facet.cli", "gallery"], "facet gallery backup", "scripts/gallery.py backup"),
    ):
        said = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
        assert ours in said
        assert other not in said


@pytest.mark.parametrize("program", ["install", "run", "test", "test_export"])
def test_the_scripts_of_an_environment_teach_their_use_without_making_one(program: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in (program, "environment.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    command = [str(tmp_path / "scripts" / program), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"scripts/{program}" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


def test_every_file_that_a_document_links_is_there() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links {target}"


def test_every_script_that_a_document_names_is_there() -> None:
    for name in set(re.findall(r"scripts/(\w+(?:\.(?:py|sh))?)", PROSE)):
        assert (ROOT / "scripts" / name).is_file(), name


def test_every_path_of_the_architecture_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    paths = set(re.findall(r"`([a-z_]+/[\w./]+)`", text))
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
