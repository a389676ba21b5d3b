"""Files that may name people are their owner's alone, and nothing writes them in another way."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from facet.terminal import private_files

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("batch", "camera", "cli", "evaluation", "terminal")
ELSEWHERE = {
    "facet/terminal/private_files.py",  # does it
    "facet/cli/models",  # model files name nobody
}
WRITES = frozenset({"write_text", "write_bytes", "mkdir", "makedirs", "imwrite"})


@pytest.fixture(autouse=True)
def _permissive_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_and_the_folders_above_it_are_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "named"
    private_files.make_folder(folder)
    private_files.write(folder / "a", "Ägypten")
    assert (folder / "a").read_text("utf-8") == "Ägypten"
    assert [mode(path) for path in (tmp_path / "out", folder, folder / "a")] == [0o700, 0o700, 0o600]


def test_a_file_is_never_readable_by_others_while_it_is_written(tmp_path: Path) -> None:
    with private_files.appearing(tmp_path / "a") as file:
        file.write(b"half")
        file.flush()
        (only,) = tmp_path.iterdir()
        assert mode(only) == 0o600
    assert mode(tmp_path / "a") == 0o600


def test_a_replaced_file_becomes_private(tmp_path: Path) -> None:
    for name, write in (("a", lambda path: private_files.write(path, b"new")), ("b", private_files.make_empty)):
        path = tmp_path / name
        path.write_bytes(b"old")
        path.chmod(0o644)
        write(path)
        assert path.read_bytes() != b"old"
        assert mode(path) == 0o600


def test_what_exists_and_is_continued_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever shared a file of events or a folder with a group meant it."""
    path = tmp_path / "events"
    path.touch(0o640)
    os.close(private_files.open_descriptor(path, os.O_WRONLY | os.O_APPEND))
    assert mode(path) == 0o640
    folder = tmp_path / "shared"
    folder.mkdir(0o750)
    private_files.make_folder(folder)
    assert mode(folder) == 0o750


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    private_files.write(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def write_half() -> None:
        with private_files.appearing(tmp_path / "a") as file:
            file.write(b"half")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        write_half()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OSError, match=r"File exists|Not a directory"):
            private_files.make_folder(path)


def test_programs_write_files_in_no_other_way() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for room in ROOMS
        for path in (ROOT / "facet" / room).rglob("*.py")
        if not any(path.relative_to(ROOT).as_posix().startswith(place) for place in ELSEWHERE)
        for line in writing_calls(ast.parse(path.read_text("utf-8")))
    ]
    assert not found, "use facet.terminal.private_files"


def writing_calls(tree: ast.AST) -> Iterator[int]:
    """The lines that write a file or make a folder. av.open and os.fdopen take one that private_files has made."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        modes = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
        opens = (
            called.endswith("open")
            and called not in {"av.open", "os.fdopen"}
            and any(each[:1] in tuple("wax") for each in modes)
        )
        makes = called == "os.open" and "O_CREAT" in ast.unparse(node)
        if opens or makes or called.startswith("shutil.copy") or called.rpartition(".")[2] in WRITES:
            yield node.lineno
