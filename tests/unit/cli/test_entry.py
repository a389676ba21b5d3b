"""How the command starts: at once, and with one line that helps if something is missing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facet.server.config import Config

ROOT = Path(__file__).resolve().parents[3]
BEFORE_THE_CHECK = (
    *(path for path in sorted((ROOT / "scripts").glob("*.py")) if "facet.cli.entry" in path.read_text("utf-8")),
    *(ROOT / "facet" / name for name in ("__init__.py", "__main__.py", "cli/__init__.py", "cli/__main__.py")),
    *(ROOT / "facet" / name for name in ("cli/entry.py", "terminal/__init__.py", "terminal/installation.py")),
)


def python(*arguments: str, path: tuple[Path, ...] = (), cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with this tree on its path, behind the folders in ``path``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (*path, ROOT)))
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("path", BEFORE_THE_CHECK, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_read_before_the_version_is_checked_are_valid_in_python_3_8(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


def test_an_old_python_is_told_how_to_get_an_environment(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 8, 10, 'final', 0)")
    line = only_line(python("scripts/serve.py", "--json", path=(tmp_path,)))
    assert line.startswith("Facet needs Python 3.11 or newer")
    assert f"{ROOT}/scripts/run" in line
    assert line.endswith(f"{ROOT}/.venv/bin/python scripts/serve.py --json")


def test_a_python_without_packages_is_told_how_to_get_an_environment() -> None:
    line = only_line(python("-S", "-m", "facet", "status"))
    assert line.startswith("typer is not installed")
    assert line.endswith(f"{ROOT}/.venv/bin/python -m facet status")


def test_the_client_alone_says_where_the_command_comes_from(tmp_path: Path) -> None:
    (tmp_path / "facet").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "facet" / name).write_text((ROOT / "facet" / name).read_text("utf-8"), "utf-8")
    line = only_line(python("-m", "facet", path=(tmp_path,), cwd=tmp_path))
    assert line.startswith("only Facet's client is installed here")


def test_a_missing_library_of_opencv_is_named_with_its_remedy(tmp_path: Path) -> None:
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r}, name='cv2')")
    information = tmp_path / "opencv_python-5.0.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 5.0.0\n")
    line = only_line(python("-m", "facet", "identify", "picture.jpg", path=(tmp_path,)))
    assert line.startswith("libGL.so.1 is missing on this machine")
    assert "-m pip install --force-reinstall --no-deps opencv-python-headless==" in line


def test_a_command_that_needs_no_opencv_works_without_it(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    done = python("-m", "facet", "people", "list", "--address", "127.0.0.1:1", path=(tmp_path,))
    assert done.returncode == 1
    assert "no server answers" in done.stderr


def test_help_and_version_need_neither_grpc_nor_models(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(STARTED_WITHOUT)
    for flag in ("--help", "--version"):
        assert python(str(program), flag).stdout.splitlines()[-1] == "0 []"


STARTED_WITHOUT = """
import sys
from facet.cli.entry import main
try:
    main()
except SystemExit as end:
    print(end.code, sorted({"cv2", "grpc", "numpy", "onnxruntime"} & {*sys.modules}))
"""


@pytest.mark.parametrize(
    ("typed", "completion"),
    [
        ("facet ga", "gallery"),
        ("facet gallery ex", "export"),
        ("facet serve --server.po", "--server.port"),
        ("facet people show --gal", "--gallery"),
    ],
)
def test_the_shell_completes_commands_flags_and_settings(
    typed: str, completion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_FACET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    done = python("-m", "facet.cli")
    assert done.stdout.splitlines() == [completion], done.stderr


def test_a_script_starts_in_any_folder_and_does_not_hide_the_package_gallery(tmp_path: Path) -> None:
    done = python(str(ROOT / "scripts" / "gallery.py"), "verify", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage: gallery.py verify" in done.stdout


NO_SETTING, LISTED = "facet serve: there is no setting", "facet serve --help lists all"


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            ["--server.prot", "1"],
            "facet serve: there is no setting --server.prot; did you mean --server.port? facet serve --help lists all",
        ),
        (["--jsn"], "facet serve: there is no setting --jsn; did you mean --json? facet serve --help lists all"),
        (["--server.port", "x"], "facet serve: server.port must be an integer from 0 to 65535, not 'x'"),
        (["--server.port"], "facet serve: argument --server.port: expected one argument"),
        (["surplus"], "facet serve: unrecognized arguments: surplus"),
    ],
)
def test_a_wrong_flag_of_the_server_is_one_line(flags: list[str], line: str) -> None:
    done = python("-m", "facet", "serve", *flags)
    assert (done.returncode, done.stderr.splitlines()) == (2, [line])


def test_several_wrong_settings_have_a_line_each() -> None:
    done = python("-m", "facet", "serve", "--server.port", "x", "--log.level", "loud")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "facet serve: the configuration cannot be used:",
        "  server.port must be an integer from 0 to 65535, not 'x'",
        "  log.level must be one of debug, info, warning, error, not 'loud'",
    ]


def test_help_of_settings_and_errors_name_the_script_by_the_path_that_was_typed(tmp_path: Path) -> None:
    path = os.path.relpath(ROOT / "scripts", tmp_path)
    said = python(f"{path}/serve.py", "--help", cwd=tmp_path)
    text = "".join(said.stdout.replace("│", "").split())  # a long path is folded to the width of its column
    assert f"{path}/fetch_models.py" in text
    assert "facetmodelsfetch" not in text
    done = python(f"{path}/enroll.py", "list", "--address", "127.0.0.1:1", cwd=tmp_path)
    assert f"start one with {path}/serve.py" in done.stderr


def test_help_of_the_server_lists_every_setting_at_80_columns() -> None:
    said = python("-m", "facet", "serve", "--help").stdout
    for section, of_section in Config.model_fields.items():
        for name in of_section.annotation.model_fields:  # type: ignore[union-attr]
            assert f"--{section}.{name.replace('_', '-')}" in said
    assert max(map(len, said.splitlines())) <= 80
