"""Commands in messages work when they are typed: their paths are quoted."""

from __future__ import annotations

import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest

from facet.runtime import extras
from facet.terminal import installation
from facet.terminal.command_line import program


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in a folder whose name must be quoted."""
    root = tmp_path / "my clone"
    (root / "scripts").mkdir(parents=True)
    for name in ("run", "install"):
        (root / "scripts" / name).touch()
    monkeypatch.setattr(installation, "ROOT", root)
    return root


def missing() -> str:
    name = "a_package_that_is_not_there"
    return installation.remedy(ModuleNotFoundError(f"No module named {name!r}", name=name))


def test_the_scripts_of_a_clone_are_quoted(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f": {shlex.quote(str(clone / 'scripts' / 'run'))} makes an environment" in missing()
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    assert missing().endswith(f"type {shlex.join([str(clone / 'scripts' / 'install'), 'base'])}")


def test_the_command_of_another_environment_is_quoted(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "ROOT", clone)
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    monkeypatch.chdir(tmp_path)
    command = shlex.split(extras.install_command("export", then="models export a.pt"))
    assert command[0] == "my clone/scripts/install"


def test_a_script_is_quoted_where_text_names_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my clone").symlink_to(installation.ROOT, target_is_directory=True)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "my clone" / "scripts" / "enroll.py")])
    serve = tmp_path / "my clone" / "scripts" / "serve.py"
    assert program.spelled("start one with facet serve") == f"start one with {shlex.quote(str(serve))}"


class Installed:
    """A distribution of which this is known: the text of its ``direct_url.json``."""

    version = "0.1.0"

    def __init__(self, direct_url: str | None) -> None:
        self._direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        return self._direct_url if name == "direct_url.json" else None


@pytest.mark.parametrize(
    ("direct_url", "end"),
    [
        (
            '{"url": "file:///my clone", "dir_info": {"editable": true}}',
            "install --force-reinstall --no-deps -e 'file:///my clone'",
        ),
        (None, "facet-recognition-client, then reinstall facet-recognition from where you got it"),
        (
            '{"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "1"}}',
            "facet-recognition-client, then reinstall facet-recognition from where you got it",
        ),
    ],
)
def test_the_remedy_for_both_distributions_names_only_sources_that_are_known(
    direct_url: str | None, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.1.0")
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(direct_url))
    line = installation.overlap()
    assert f"{shlex.quote(sys.executable)} -m pip uninstall --yes facet-recognition-client" in line
    assert line.endswith(end)
    assert "facet-recognition==" not in line
