"""What the documents promise is there, and what is there is documented."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facet.server.config import Config

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted(path.name for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text("utf-8"))
PROSE = "\n".join(path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))


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


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_script_teaches_its_use(program: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / program), "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout) > 300
    words = " ".join(result.stdout.split())
    assert "--json" in words
    assert "Exit code" in words or program == "serve.py"
    assert f"scripts/{program}" in PROSE or program in PROSE, "no document names it"


@pytest.mark.parametrize("program", ["run", "test", "test_export"])
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
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links {target}"


def test_every_script_that_a_document_names_is_there() -> None:
    for name in set(re.findall(r"scripts/(\w+(?:\.py)?)", PROSE)):
        assert (ROOT / "scripts" / name).is_file(), name
