"""The command that installs a missing optional dependency."""

from __future__ import annotations

import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest

from facet.runtime import extras

ROOT = Path(__file__).resolve().parents[3]


def test_in_the_environment_of_a_clone_it_is_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    monkeypatch.chdir(ROOT)
    assert extras.install_command("milvus") == "scripts/install milvus"


def test_an_extra_with_an_environment_of_its_own_names_the_command_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    monkeypatch.chdir(ROOT)
    then = ".venv-export/bin/facet models export yolo11n.pt"
    assert extras.install_command("export", then="models export yolo11n.pt") == f"scripts/install export && {then}"
    assert extras.install_command("milvus", then="serve") == "scripts/install milvus"


def test_the_script_is_named_by_its_path_from_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    monkeypatch.chdir(tmp_path)
    assert extras.install_command("milvus") == shlex.join([str(ROOT / "scripts" / "install"), "milvus"])


def test_another_environment_of_a_clone_gets_the_extra_of_the_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    command = shlex.split(extras.install_command("milvus"))
    assert command[1:] == ["-m", "pip", "install", "-e", f"{ROOT}[milvus]"]


def test_without_a_clone_it_names_the_packages_of_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = [
        "numpy>=2.0",
        'openvino>=2026.2; python_version >= "3"',
        'matplotlib>=3.10; extra == "evaluation"',
        'jinja2; extra == "evaluation"',
        'pymilvus>=3.0; extra == "milvus"',
    ]

    monkeypatch.setattr(extras, "ROOT", tmp_path)
    monkeypatch.setattr(metadata, "requires", {"facet-recognition": listed}.get)
    command = shlex.split(extras.install_command("evaluation"))
    assert command[1:] == ["-m", "pip", "install", "matplotlib>=3.10", "jinja2"]
